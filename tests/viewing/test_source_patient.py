"""Whom source files name, what of that is a mismatch, and that a mismatch lets nobody sign."""

import contextlib
import html
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydicom.uid import TwelveLeadECGWaveformStorage
from streamlit.testing.v1 import AppTest

from medconsist._digests import sha256_of_path
from medconsist.errors import CorruptInputError, MedconsistError
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore
from medconsist.viewing import source_identity
from medconsist.viewing.launch import page
from medconsist.viewing.source_identity import source_conflicts, source_report
from medconsist.viewing.source_patient import SourcePatient, patient_of_source
from tests.viewing.source_files import WRITERS, edf_head, write_dicom_head
from tests.viewing.worklist_cases import finish

NEW_KINDS = [kind for kind in WRITERS if kind != "fastMRI"]
HOSTILE = ("\u202egnp.exe", "a\0b", "<script>alert(1)</script>", "../../etc", "%2e%2e", "é" * 4096)


@dataclass(frozen=True)
class Site:
    """A study, whose results and their files are written one by one."""

    root: Path
    write: Callable[..., Result]

    @property
    def store(self) -> ResultStore:
        return ResultStore(self.root, "brain")

    def result(self, path: Path | None, *, item: str = "a", patient: str | None = "p-7") -> Result:
        """Write a result of a file that lies where the run saw it, the current one of its case."""
        digest = "ab" * 32 if path is None else sha256_of_path(path)
        fields = {"inputs": {"source": digest}, "item": item, "patient": patient}
        found = self.write(self.root, "scan-1", fields=fields, maps=())
        if path is not None:
            self.store.inputs.add(digest, path)
        return found


@pytest.fixture
def site(tmp_path: Path, write_result: Callable[..., Result]) -> Site:
    return Site(tmp_path / "results", write_result)


def file_of(kind: str, folder: Path, patient: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return WRITERS[kind](folder, patient)


@pytest.mark.parametrize("kind", WRITERS)
def test_each_kind_of_file_says_whom_it_names(tmp_path: Path, kind: str) -> None:
    said = patient_of_source(file_of(kind, tmp_path, "PERSON-1"))
    assert said == SourcePatient(kind.split()[0], "PERSON-1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (kind, said)
        for kind in WRITERS
        for said in ("X", "", "anonymous", "000000", "Unknown")
        # one rule for all kinds; each ISMRMRD file takes a second to write
        if kind != "ISMRMRD" or said in ("X", "")
    ],
)
def test_what_only_says_that_there_is_no_id_names_nobody(
    tmp_path: Path, kind: str, said: str
) -> None:
    found = patient_of_source(file_of(kind, tmp_path, said))
    assert found is not None
    assert found.id is None


def test_the_patient_of_a_plain_edf_file_is_free_text(tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    path.write_bytes(edf_head(b"Jane  Doe, 51", reserved=b""))
    assert patient_of_source(path) == SourcePatient("EDF", "Jane Doe, 51")


@pytest.mark.parametrize("start", [b"II*\0", b"{}", b"", b"\x5c\x01\0\0"])
def test_other_kinds_name_nobody(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "slide.svs"
    path.write_bytes(start + b"PERSON-1" * 9)
    assert patient_of_source(path) is None


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_was_cut_anywhere_is_an_error_or_names_the_same(
    tmp_path: Path, kind: str
) -> None:
    whole = file_of(kind, tmp_path, "PERSON-1").read_bytes()
    path = tmp_path / "cut"
    for length in (9, 133, 200, len(whole) // 2, len(whole) - 1)[: 3 if "MR" in kind else 5]:
        path.write_bytes(whole[:length])
        try:
            found = patient_of_source(path)
        except MedconsistError:
            continue
        assert found is None or found.id in (None, "PERSON-1")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (kind, said)
        for said in HOSTILE
        for kind in ("EDF+", "DICOM waveform", "fastMRI")
        if kind != "fastMRI" or "\0" not in said  # HDF5 ends a text at its first NUL
    ],
)
def test_hostile_ids_are_read_as_they_are(tmp_path: Path, kind: str, said: str) -> None:
    if kind == "EDF+":
        (tmp_path / "a.edf").write_bytes(edf_head(said.encode("latin-1", "replace")))
        path = tmp_path / "a.edf"
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom knows that it is too long
            path = file_of(kind, tmp_path, said)
    found = patient_of_source(path)
    assert found is not None
    assert found.id
    assert len(found.id) <= 4096


def test_a_header_that_claims_more_than_there_is_ends_with_a_sentence(tmp_path: Path) -> None:
    path = write_dicom_head(tmp_path / "a.dcm", "PERSON-1", sop_class=TwelveLeadECGWaveformStorage)
    data = path.read_bytes()
    at = data.index(b"\x10\0\x20\0LO")
    path.write_bytes(data[: at + 6] + b"\xff\xff" + data[at + 8 :])
    with contextlib.suppress(MedconsistError):
        assert "PERSON-1" in str(patient_of_source(path))
    deflated = data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    path.write_bytes(deflated)
    with pytest.raises(MedconsistError, match="deflated"):
        patient_of_source(path)


def test_an_xml_header_that_expands_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "raw.h5"
    bomb = '<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>'
    for text, said in ((bomb, "document type"), ("<a", "no well-formed XML")):
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "dataset/data", data=np.zeros(1, [("head", "<i4"), ("data", "<f4")])
            )
            file.create_dataset("dataset/xml", data=[text])
        with pytest.raises(MedconsistError, match=said):
            patient_of_source(path)


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_a_pseudonym_is_no_mismatch_and_is_not_called_a_match(
    site: Site, tmp_path: Path, kind: str
) -> None:
    path = file_of(kind, tmp_path / "in", "HOSPITAL-42")
    result = site.result(path)
    report = source_report(site.store, result, patients=lambda: {"p-7", "p-8"})
    assert report.conflicts == ()
    ((role, words),) = report.asked
    assert role == "source"
    assert "it names its patient by another id" in words
    assert "HOSPITAL-42" not in words


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_names_another_patient_of_the_study_is_a_mismatch(
    site: Site, tmp_path: Path, kind: str
) -> None:
    result = site.result(file_of(kind, tmp_path / "in", "p-8"))
    about: dict[str, Any] = {"patients": lambda: {"p-7", "p-8"}}
    (said,) = source_conflicts(site.store, result, **about, names=True)
    assert "says patient p-8" in said
    assert "the result says p-7" in said
    (quiet,) = source_conflicts(site.store, result, **about)
    assert "p-8" not in quiet
    same = site.result(file_of(kind, tmp_path / "same", "p-7"), item="b")
    report = source_report(site.store, same, **about)
    assert report.conflicts == ()
    assert report.asked[0][1].endswith("it names this patient")


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_two_files_of_a_case_that_name_two_patients_are_a_mismatch(
    site: Site, tmp_path: Path, kind: str
) -> None:
    first = site.result(file_of(kind, tmp_path / "one", "HOSPITAL-1"))
    again = site.result(file_of(kind, tmp_path / "same", "HOSPITAL-1"), item="b")
    assert source_conflicts(site.store, again, others=(first, again)) == []
    other = site.result(file_of(kind, tmp_path / "two", "HOSPITAL-2"), item="c")
    (said,) = source_conflicts(site.store, other, others=(first, again, other), names=True)[:1]
    assert "name two patients: HOSPITAL-2 and HOSPITAL-1" in said
    assert "HOSPITAL" not in "".join(source_conflicts(site.store, first, others=(other,)))


def test_ids_of_two_departments_are_not_compared(site: Site, tmp_path: Path) -> None:
    scan = site.result(file_of("DICOM slide", tmp_path / "one", "RADIOLOGY-1"))
    ecg = site.result(file_of("EDF+", tmp_path / "two", "NEUROLOGY-1"), item="b")
    assert source_conflicts(site.store, ecg, others=(scan, ecg)) == []


def test_a_prediction_of_a_slide_is_asked_by_the_slide(site: Site, tmp_path: Path) -> None:
    path = file_of("DICOM slide", tmp_path / "in", "p-8")
    bag = finish(site.root, "s", patient="p-7", item="a", inputs={"slide": sha256_of_path(path)})
    site.store.inputs.add(bag.inputs["slide"], path)
    made = finish(site.root, "s", patient="p-7", item="a", inputs={"bag_a": "cd" * 32})
    others = (bag, made)
    found = source_conflicts(site.store, made, others=others, patients=lambda: {"p-8"})
    assert len(found) == 1
    assert source_report(site.store, made).asked == (
        ("input", "source not asked: this result does not say which file it is of"),
    )


def test_a_file_that_changed_says_nothing_of_the_result(site: Site, tmp_path: Path) -> None:
    path = file_of("EDF+", tmp_path / "in", "p-8")
    result = site.result(path)
    about: dict[str, Any] = {"patients": lambda: {"p-8"}}
    assert source_conflicts(site.store, result, **about)
    time.sleep(0.02)  # longer than the kernel's clock of files ticks
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"p-8", b"p-9"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = source_report(site.store, result, **about)
    assert report.conflicts == ()
    assert report.asked == (("source", "source not asked: its bytes have changed since"),)
    path.unlink()
    assert "not there any more" in source_report(site.store, result).asked[0][1]


def test_a_large_file_is_not_asked_and_one_without_a_patient_is_not_hashed(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = site.result(file_of("EDF+", tmp_path / "in", "p-8"))
    monkeypatch.setattr(source_identity, "MOST_BYTES", 100)
    words = source_report(site.store, result).asked[0][1]
    assert words.startswith("source not asked: it is larger than")
    slide = tmp_path / "slide.svs"
    slide.write_bytes(b"II*\0" + bytes(50))
    result = site.result(slide, item="b")

    def never(_path: Path) -> str:
        raise AssertionError

    monkeypatch.setattr("medconsist.results.input_places.sha256_of_path", never)
    words = source_report(site.store, result).asked[0][1]
    assert words == "source not asked: a file of its kind has no field for a patient"


def test_a_file_is_hashed_once(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = site.result(file_of("EDF+", tmp_path / "in", "p-7"))
    hashed = list[Path]()

    def counted(path: Path) -> str:
        hashed.append(path)
        return sha256_of_path(path)

    monkeypatch.setattr("medconsist.results.input_places.sha256_of_path", counted)
    for _ in range(3):
        assert source_report(site.store, result).asked[0][1].endswith("this patient")
    assert len(hashed) == 1


def test_a_source_that_cannot_be_read_is_not_called_asked(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "torn.edf"
    path.write_bytes(b"0       p-8")
    with pytest.raises(CorruptInputError, match="ends within its header"):
        patient_of_source(path)
    report = source_report(site.store, site.result(path), patients=lambda: {"p-8"})
    assert report.conflicts == ()
    assert report.asked == (("source", "source not asked: its header cannot be read"),)


# ---- the page


def opened(site: Site, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("MEDCONSIST_RESULTS", str(site.root))
    app = AppTest.from_file(str(page()), default_timeout=90)
    app.query_params["study"], app.query_params["case"] = "brain", "scan-1"
    app.run()
    assert not app.exception
    return app


def words_of(app: AppTest) -> str:
    return html.unescape("\n".join(element.proto.body for element in app.get("html")))


def may_sign(app: AppTest) -> bool:
    """Whether the page has fields for a verdict and a button to sign it, pressed or not yet."""
    has_button = any(one.label.startswith("Sign …") for one in app.button)
    return has_button and any(one.label == "Decision" for one in app.radio)


@pytest.mark.parametrize("kind", NEW_KINDS)
def test_nobody_signs_where_the_source_names_another_patient(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    finish(site.root, "scan-9", patient="p-8")
    site.result(file_of(kind, tmp_path / "in", "p-8"))
    app = opened(site, monkeypatch)
    said = "the file of source says patient p-8, who is another one of this study"
    assert f"Identity in doubt, nobody signs: {said}" in words_of(app)
    assert not may_sign(app)
    captions = " ".join(one.value for one in app.caption).replace("\\", "")
    assert "Identity is in doubt, and nobody signs" in captions
    assert "it names another patient" in words_of(app)


def test_where_the_source_names_this_patient_it_is_signed(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(site.root, "scan-9", patient="p-8")
    site.result(file_of("EDF+", tmp_path / "in", "p-7"))
    app = opened(site, monkeypatch)
    assert may_sign(app)
    assert "Identity in doubt" not in words_of(app)
    assert "source asked (EDF+): it names this patient" in words_of(app)


def test_hostile_ids_are_shown_as_text_and_the_page_stands(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.result(file_of("DICOM waveform", tmp_path / "one", "\u202e<script>a\u202cb"))
    (tmp_path / "a.edf").write_bytes(edf_head(b"<b>\xad\x85\0x"))
    site.result(tmp_path / "a.edf", item="b")
    (tmp_path / "b.edf").write_bytes(edf_head(b"\0\0<img/src=x>"))
    site.result(tmp_path / "b.edf", item="c")
    app = opened(site, monkeypatch)
    raw = "\n".join(element.proto.body for element in app.get("html"))
    assert "Identity in doubt, nobody signs: the EDF+ file of source" in raw
    assert "&lt;img/src=x&gt;" in raw
    for part in ("<img/src", "<b>\ufffd", "\u202e", "\0", "\x85"):
        assert part not in raw


def test_a_source_that_nobody_could_ask_is_said_on_the_page(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.result(None)
    shown = words_of(opened(site, monkeypatch))
    assert "Identity in doubt" not in shown
    assert "Patient in the source: source" in shown
    assert "source not asked: it is not known where it lies, or not there any more" in shown

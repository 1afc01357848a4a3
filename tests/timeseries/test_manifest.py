"""Recordings of a manifest: whose each is, what is refused, and nothing kept in memory."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import (
    MedconsistError,
    MissingInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsupportedInputError,
)
from medconsist.timeseries import manifest as module
from medconsist.timeseries.manifest import recordings_of_manifest
from medconsist.timeseries.prepare import prepare
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.prepared import read_prepared
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.recording import Recording

CONFIG = PrepareConfig(rate=100.0, samples=100, classes=("well", "ill"), normalise="none")


def table(path: Path, *, value: float = 1.0, samples: int = 200) -> None:
    """A recording as a table: time and one lead, 100 Hz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{n / 100},{value * np.sin(n):.4f}" for n in range(samples)]
    path.write_text("\n".join(["time [s],II [mV]", *rows]) + "\n")


def manifest(folder: Path, *rows: str, header: str = "path,patient,label,site") -> Path:
    path = folder / "cases.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Two patients, one of them with two recordings."""
    for number, name in enumerate(("p1/a.csv", "p1/b.csv", "p2/c.csv"), 1):
        table(tmp_path / name, value=number)
    return manifest(
        tmp_path, "p1/a.csv,p1,ill,north", "p1/b.csv,p1,ill,north", "p2/c.csv,16777217,well,"
    )  # fmt: skip


def test_each_row_is_a_recording_with_its_patient_label_and_site(cases: Path) -> None:
    found = recordings_of_manifest(cases)
    assert [(one.patient, one.trial, one.label, one.site) for one in found] == [
        ("p1", "a", "ill", "north"),
        ("p1", "b", "ill", "north"),
        ("16777217", "c", "well", None),
    ]
    peak = [float(np.abs(one.recording.read()).max()) for one in found]
    assert [round(value) for value in peak] == [1, 2, 3]


def test_a_label_of_ones_own_is_taken_by_its_column(tmp_path: Path) -> None:
    table(tmp_path / "a.csv")
    path = manifest(tmp_path, "a.csv,ill,old", header="path,label,x_age")
    assert recordings_of_manifest(path, label="x_age")[0].label == "old"
    with pytest.raises(RefusedInputError, match="there is no column 'x_sex' of labels"):
        recordings_of_manifest(path, label="x_sex")


def test_items_of_one_name_in_two_cases_of_a_patient_are_two_trials(tmp_path: Path) -> None:
    for name in ("v1/ecg.csv", "v2/ecg.csv"):
        table(tmp_path / name)
    path = manifest(
        tmp_path, "v1/ecg.csv,p1,v1,ill", "v2/ecg.csv,p1,v2,ill", header="path,patient,case,label"
    )
    assert [one.trial for one in recordings_of_manifest(path)] == ["v1/ecg", "v2/ecg"]
    record = prepare(recordings_of_manifest(path), tmp_path / "out", config=CONFIG)
    assert record.facts.trials == ("v1/ecg", "v2/ecg")


def test_what_is_prepared_holds_the_samples_of_the_files(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", value=2.0)
    prepare(
        recordings_of_manifest(manifest(tmp_path, "a.csv,p1,ill,")), tmp_path / "o", config=CONFIG
    )
    windows = read_prepared(tmp_path / "o")
    wanted = open_recording(tmp_path / "a.csv").read().reshape(2, 100, 1)
    np.testing.assert_allclose(windows.batch().numpy(), wanted, atol=1e-6)  # stored as float32


def test_no_samples_are_kept(cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[Recording]] = []

    def watched(path: Path, *, options: ReadOptions) -> Recording:
        found = open_recording(path, options=options)
        alive.append(weakref.ref(found))
        return found

    monkeypatch.setattr(module, "open_recording", watched)
    cases.write_text("\n".join(cases.read_text().splitlines()[:3]) + "\n")
    found = recordings_of_manifest(cases)
    assert found[0].recording.read(10, 20).shape == (10, 1)
    gc.collect()
    assert len(alive) == 3
    assert [one() for one in alive] == [None] * 3


@pytest.mark.parametrize(
    ("name", "content", "kind", "says"),
    [
        ("a.edf", b"", TruncatedFileError, r"cases\.csv, row 3: a\.edf is empty"),
        ("a.csv", b"time [s],II [mV]\n0,x\n", MedconsistError, r"cases\.csv, row 3: a\.csv"),
        ("a.xml", b"<a/>", UnsupportedInputError, r"row 3: a\.xml is of no known kind"),
        ("a.dat", b"12", MissingInputError, r"row 3: a\.dat has no header a\.hea beside it"),
        ("a.npy", b"", MedconsistError, r"row 3: a\.npy"),
    ],
)
def test_a_file_that_cannot_be_opened_is_named_by_its_row(
    name: str, content: bytes, kind: type[MedconsistError], says: str, tmp_path: Path
) -> None:
    table(tmp_path / "good.csv")
    (tmp_path / name).write_bytes(content)
    path = manifest(tmp_path, "good.csv,p1,ill,", f"{name},p2,well,")
    with pytest.raises(kind, match=says):
        recordings_of_manifest(path)


def test_a_file_that_changed_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    table(tmp_path / "a.csv", samples=200)
    found = recordings_of_manifest(manifest(tmp_path, "a.csv,p1,ill,"))
    table(tmp_path / "a.csv", samples=150)
    with pytest.raises(RefusedInputError, match=r"cases\.csv, row 2: .*samples 0 to 200 asked"):
        found[0].recording.read()
    with pytest.raises(RefusedInputError, match="samples 0 to 300 asked for"):
        found[0].recording.read(0, 300)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "has a header and no rows"),
        (["gone.csv,p1,ill,"], r"row 2, column path: .*gone\.csv"),
        (["a.csv,p1,ill,", "a.csv,p2,well,"], "rows 2 and 3 name one file"),
        (["a.csv,p 1,ill,"], r"row 2, column patient"),
        (["a.csv,p1"], "2 cells, but the header has 4 columns"),
    ],
)
def test_a_manifest_at_fault_is_refused_before_a_file_is_opened(
    rows: list[str], says: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(b"\0 no recording")
    with pytest.raises(RefusedInputError, match=says):
        recordings_of_manifest(manifest(tmp_path, *rows))


def test_a_case_with_two_labels_and_a_manifest_that_is_none_are_refused(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        table(tmp_path / name)
    path = manifest(tmp_path, "a.csv,c1,ill", "b.csv,c1,well", header="path,case,label")
    with pytest.raises(RefusedInputError, match="case c1 has 2 labels"):
        recordings_of_manifest(path)
    with pytest.raises(MissingInputError, match="there is no manifest"):
        recordings_of_manifest(tmp_path / "none.csv")
    with pytest.raises(RefusedInputError, match=r"a manifest is a \.csv or \.parquet file"):
        recordings_of_manifest(tmp_path / "a.edf")
    with pytest.raises(RefusedInputError, match="is a folder; make a manifest of it"):
        recordings_of_manifest(tmp_path)

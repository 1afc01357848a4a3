"""The verdict as a structured report, read back by pydicom, highdicom and DCMTK."""

import subprocess
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom
import pydicom
import pytest

from medconsist.errors import ConflictError, RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.access import Person
from medconsist.review.chain import links_of, newest_links
from medconsist.review.database import Database, sqlite_url
from medconsist.review.entries import Entry
from medconsist.review.records import Pin, Subject
from medconsist.review.store import Filing, ReviewStore
from medconsist.viewing.leaving.dicom_source import source_of_result
from medconsist.viewing.leaving.dicom_sr import review_sr
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.report import Review
from medconsist.viewing.markup import NOTICE
from tests.mri.posed import oblique, series_datasets, volume, write_series
from tests.mri.stored_result import WEIGHTS
from tests.viewing.conftest import WriteResult
from tests.viewing.leaving.filed import (
    LINK,
    amended,
    comment,
    draft,
    entry,
    impression,
    signed,
    subject_of,
)
from tests.viewing.leaving.imaged import Imaged, dates_of, dcmtk, imaged, read

LATER = "2026-02-01T10:00:00.000000Z"
SIGNER = Person(subject="anna", name="A. Reader", session="s1")
HERE = Pin(space="voxel", at=(2.0, 4.0, 9.5))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Imaged:
    return imaged(tmp_path_factory.mktemp("known"), oblique())


@pytest.fixture(scope="module")
def unknown(tmp_path_factory: pytest.TempPathFactory) -> Imaged:
    return imaged(tmp_path_factory.mktemp("unknown"), None)


def left_of(case: Imaged, *, how: Any = None, **changes: Any) -> Export:
    return review_sr(case.review(**changes), source=case.source, **(how or {}))


def items_of(data: Any) -> list[Any]:
    """Return all content items, parents before children."""
    found = []
    for one in data.get("ContentSequence", ()):
        found += [one, *items_of(one)]
    return found


def texts_of(left: Export) -> dict[str, list[str]]:
    """Return the meaning of each name to the texts under it."""
    found: dict[str, list[str]] = {}
    for one in items_of(read(left)):
        if one.ValueType == "TEXT":
            found.setdefault(one.ConceptNameCodeSequence[0].CodeMeaning, []).append(one.TextValue)
    return found


def amended_thread(case: Imaged) -> list[Entry]:
    return [
        entry(draft(case.subject, comment="never signed"), "v0"),
        entry(signed(case.subject, comment="fine"), "v1", after="v0"),
        entry(amended(case.subject), "v2", after="v1", created=LATER),
    ]


def test_a_signature_is_verified_by_who_signed_with_time_and_meaning(case: Imaged) -> None:
    data = read(left_of(case, how={"organization": "Ward 7"}))
    assert (data.VerificationFlag, data.CompletionFlag, data.PreliminaryFlag) == (
        "VERIFIED",
        "COMPLETE",
        "FINAL",
    )
    (who,) = data.VerifyingObserverSequence
    assert str(who.VerifyingObserverName) == "A. Reader"
    assert who.VerifyingOrganization == "Ward 7"
    assert str(who.VerificationDateTime) == "20260131093000.000000+0000"
    (block,) = texts_of(left_of(case))["signature"]
    assert "Signed by: A. Reader\r\nAccount: anna\r\n" in block
    assert "Date and time: 2026-01-31 09:30:00 UTC\r\nMeaning: review\r\n" in block
    assert f"sha256 of what was signed: {case.result.content_sha256}" in block
    assert f"number 41, hash {LINK.hash}" in block
    assert (data.ContentDate, data.ContentTime) == ("20260131", "093000")


def test_an_organisation_that_nobody_told_is_said_to_be_so(case: Imaged) -> None:
    (who,) = read(left_of(case)).VerifyingObserverSequence
    assert who.VerifyingOrganization == "not stated"


def test_a_draft_is_unverified_and_partial(case: Imaged) -> None:
    left = left_of(case, thread=[entry(draft(case.subject), "v1")], links={})
    data = read(left)
    assert (data.VerificationFlag, data.CompletionFlag, data.PreliminaryFlag) == (
        "UNVERIFIED",
        "PARTIAL",
        "PRELIMINARY",
    )
    assert "VerifyingObserverSequence" not in data
    assert "PredecessorDocumentsSequence" not in data
    assert texts_of(left)["signature"] == ["None: this is a draft."]
    assert left.name == "head-review-draft.sr.dcm"
    assert data.SeriesDescription.endswith("; draft")


def test_an_amendment_names_the_very_file_that_it_stands_in_the_place_of(case: Imaged) -> None:
    thread = amended_thread(case)
    links = {"v1": LINK, "v2": type(LINK)(55, "6" * 64)}
    before = read(left_of(case, thread=thread[:2], links=links))  # exported before it was amended
    left = left_of(case, thread=thread, links=links)  # asked by the old one
    data = read(left)
    (study,) = data.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (named,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == before.StudyInstanceUID
    assert series.SeriesInstanceUID == before.SeriesInstanceUID
    assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID != data.SOPInstanceUID
    assert (before.InstanceNumber, data.InstanceNumber) == (1, 2)
    texts = texts_of(left)
    assert texts["signature"][0].startswith("Amended because: seen again\r\n")
    assert "number 55" in texts["signature"][0]
    assert "number 41" in texts["replaced signature"][0]
    assert "Comment: fine" in texts["replaced signature"][0]
    assert "never signed" not in str(texts)


def test_a_draft_of_an_amendment_is_unverified_and_shows_what_is_signed(case: Imaged) -> None:
    thread = [
        entry(signed(case.subject), "v1"),
        entry(draft(case.subject), "v2", after="v1", created=LATER),
    ]
    left = left_of(case, thread=thread)
    data, texts = read(left), texts_of(left)
    assert data.VerificationFlag == "UNVERIFIED"
    assert len(data.PredecessorDocumentsSequence) == 1
    assert texts["signature"] == ["None: this is a draft."]
    assert "Signed by: A. Reader" in texts["earlier signature"][0]


def test_what_was_signed_holds_what_was_known_then_and_never_changes(case: Imaged) -> None:
    talk = [entry(comment(case.subject, "a ring here"), "c1")]
    later = [
        entry(comment(case.subject, "and there"), "c2", created=LATER),
        entry(comment(case.subject, ""), "c3", after="c1", created=LATER),
    ]
    then, now = left_of(case, comments=talk), left_of(case, comments=[*talk, *later])
    assert then.data == now.data
    assert "a ring here" in texts_of(now)["Comment"][0]
    drafts = {"thread": [entry(draft(case.subject), "v1")], "links": {}}
    (said,) = texts_of(left_of(case, comments=[*talk, *later], **drafts))["Comment"]
    assert "and there" in said


def test_a_comment_points_at_its_pixel_on_its_frame(case: Imaged) -> None:
    left = left_of(case, comments=[entry(comment(case.subject, "a ring", pin=HERE), "c1")])
    (point,) = (one for one in items_of(read(left)) if one.ValueType == "SCOORD")
    # PS3.3 C.18.6.1.2: the corner of the first pixel is 0\0, so its centre is 0.5\0.5.
    assert (point.GraphicType, list(point.GraphicData)) == ("POINT", [10.0, 4.5])
    (image,) = (one.ReferencedSOPSequence[0] for one in point.ContentSequence)
    assert image.ReferencedSOPInstanceUID == read(case.image).SOPInstanceUID
    assert image.ReferencedFrameNumber == 3
    (said,) = texts_of(left)["Comment"]
    assert said == "slice 3, row 4, column 9.5 (slices from 1, pixels from 0):\r\na ring"
    assert texts_of(left)["Person Observer's Login Name"].count("anna") == 2


@pytest.mark.parametrize(
    "pin",
    [
        None,
        Pin(space="voxel", at=(3.0, 4.0, 9.5)),
        Pin(space="voxel", at=(1.5, 4.0, 9.5)),
        Pin(space="voxel", at=(1.0, 4.0, 27.6)),
        Pin(space="slide", at=(7.0, 9.0)),
        Pin(space="time", at=(1.0, 2.0), lead="II"),
    ],
)
def test_a_place_that_is_not_on_the_image_stays_in_words(case: Imaged, pin: Pin | None) -> None:
    left = left_of(case, comments=[entry(comment(case.subject, "a ring", pin=pin), "c1")])
    assert not [one for one in items_of(read(left)) if one.ValueType == "SCOORD"]
    (said,) = texts_of(left)["Comment"]
    assert said.endswith(":\r\na ring")


def test_a_comment_on_another_result_gets_no_place_on_this_image(case: Imaged) -> None:
    other = Subject.model_validate(case.subject.model_dump() | {"content_sha256": "9" * 64})
    left = left_of(case, comments=[entry(comment(other, "seen earlier", pin=HERE), "c1")])
    assert not [one for one in items_of(read(left)) if one.ValueType == "SCOORD"]
    assert "of another result of the case, sha256 999999999999" in texts_of(left)["Comment"][0]


def full(write_result: WriteResult, root: Path, **fields: Any) -> tuple[Result, Export]:
    result = write_result(root, fields=fields)
    thread = [entry(signed(subject_of(result), reasons=("blur", "ring")), "v1")]
    review = Review(
        result=result,
        thread=thread,
        entry="v1",
        links={"v1": LINK},
        impressions=[entry(impression(subject_of(result)), "i1")],
    )
    return result, review_sr(review, source=source_of_result(result))


def test_highdicom_reads_the_scores_with_unit_and_expectation(
    write_result: WriteResult, tmp_path: Path
) -> None:
    _, left = full(write_result, tmp_path)
    report: Any = highdicom.sr.srread(BytesIO(left.data)).content
    groups = {one.tracking_identifier: one for one in report.get_image_measurement_groups()}
    assert list(groups) == [
        *("verdict", "Error on withheld samples", "residual chi2"),
        *("ssim zerofilled", "ssim reconstruction"),
    ]
    found = {one.name.meaning: one for one in groups["residual chi2"].get_measurements()}
    assert {name: one.value for name, one in found.items()} == {
        "residual chi2": 0.79,
        "Expected: residual chi2": 0.74,
        "n": 4118,
        "p": 0.03,
        "n history": 40,
    }
    assert found["Expected: residual chi2"].name.value == "residual_chi2_expected"
    plain = groups["Error on withheld samples"].get_measurements()[0].name
    assert (plain.value, plain.meaning) == ("withheld_error", "Error on withheld samples")
    assert found["residual chi2"].unit.value == "{sigma^2}"
    assert found["p"].unit.meaning == "no units"
    states = {
        one.name.value: one.value.value
        for group in ("residual chi2", "Error on withheld samples", "verdict")
        for one in groups[group].get_qualitative_evaluations()
    }
    assert states == {"verdict": "accept", "state": "signed"}
    ssim = {one.name.meaning: one.value for one in groups["ssim zerofilled"].get_measurements()}
    assert ssim["ssim"] == 0.71
    assert (ssim["ssim interval low"], ssim["ssim interval high"]) == pytest.approx((0.69, 0.73))


def test_judgement_meaning_reasons_and_notes_are_there_in_words(
    write_result: WriteResult, tmp_path: Path
) -> None:
    _, left = full(write_result, tmp_path)
    texts = texts_of(left)
    judged = "\n".join(texts["judgement"])
    assert "Outside the history of this site (p = 0.03, 40 cases)." in judged
    assert "An alarm for coil faults and spikes, no image quality." in judged
    assert "valid under exchangeability only" in judged
    assert "n counts slice" in judged
    assert texts["reason"] == ["blur", "ring"]
    assert texts["note"] == ["Simulated scan, not a patient."]
    assert texts["first impression"] == ["reject\r\ntoo noisy"]
    assert texts["use"] == [NOTICE]
    assert texts["identity"] == ["study brain, case scan-1, item unknown, patient p-7"]


@pytest.mark.parametrize(
    ("kind", "procedure"),
    [
        ("mri.reconstruction", "Magnetic resonance imaging"),
        ("wsi.prediction", "Light microscopy"),
        ("timeseries.prediction", "Recording of a biosignal"),
        ("other.task", "procedure unknown"),
    ],
)
def test_the_procedure_is_said_where_it_is_known(
    kind: str, procedure: str, write_result: WriteResult, tmp_path: Path
) -> None:
    _, left = full(write_result, tmp_path, kind=kind, item="i-1")
    (said,) = (
        one.ConceptCodeSequence[0].CodeMeaning
        for one in items_of(read(left))
        if one.ConceptNameCodeSequence[0].CodeMeaning == "Procedure reported"
    )
    assert said == procedure
    assert texts_of(left)["identity"] == ["study brain, case scan-1, item i-1, patient p-7"]


def test_without_an_image_there_is_no_reference_and_the_ids_are_those_of_the_result(
    write_result: WriteResult, tmp_path: Path
) -> None:
    _, left = full(write_result, tmp_path)
    data = read(left)
    assert (data.PatientID, data.PatientIdentityRemoved) == ("p-7", "YES")
    assert "CurrentRequestedProcedureEvidenceSequence" not in data
    assert data.ContentQualification == "RESEARCH"


def test_the_algorithm_is_identified_with_the_sha256_of_its_weights(case: Imaged) -> None:
    left = left_of(case)
    texts = texts_of(left)
    assert texts["Algorithm Name"] == ["cirim (simulation-trained)"]
    assert texts["Algorithm Version"][0].startswith("medconsist ")
    assert f"weights sha256 {WEIGHTS}" in texts["Algorithm Parameters"]
    assert WEIGHTS in texts["algorithm"][0]
    assert WEIGHTS in read(left).ContributingEquipmentSequence[0].ContributionDescription


def test_unknown_orientation_is_said(case: Imaged, unknown: Imaged) -> None:
    pin = [entry(comment(unknown.subject, "a ring", pin=HERE), "c1")]
    left = left_of(unknown, comments=pin)
    assert "unknown" in texts_of(left)["orientation"][0]
    assert "orientation" not in texts_of(left_of(case))
    assert [one for one in items_of(read(left)) if one.ValueType == "SCOORD"]  # a pixel is known


def test_the_report_lies_in_the_study_of_the_image(case: Imaged) -> None:
    data, image = read(left_of(case)), read(case.image)
    assert data.StudyInstanceUID == image.StudyInstanceUID
    (study,) = data.CurrentRequestedProcedureEvidenceSequence
    (named,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert named.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == image.SeriesInstanceUID


def test_identity_of_a_reference_is_in_the_report_only_where_the_image_has_it(
    tmp_path: Path,
) -> None:
    datasets = series_datasets(volume(), oblique(), TimezoneOffsetFromUTC="-0530")
    reference = write_series(tmp_path / "ref", datasets)
    kept = imaged(tmp_path / "results", oblique(), reference=reference)
    data = read(left_of(kept))
    assert (str(data.PatientName), data.AccessionNumber) == ("Doe^Jane", "ACC-31")
    assert data.StudyInstanceUID == datasets[0].StudyInstanceUID
    assert data.TimezoneOffsetFromUTC == "-0530"
    assert f"{data.ContentDate} {data.ContentTime}" == "20260131 040000"
    assert "DeidentificationMethodCodeSequence" not in data


def test_no_item_has_an_empty_list_of_items_below_it(case: Imaged) -> None:
    left = left_of(case, comments=[entry(comment(case.subject, "a ring", pin=HERE), "c1")])
    assert all(one.ContentSequence for one in items_of(read(left)) if "ContentSequence" in one)


@pytest.mark.data
def test_a_real_reference_lends_its_patient_and_study(data_dir: Path, tmp_path: Path) -> None:
    reference = data_dir / "mri" / "pydicom_MR_small.dcm"
    header = pydicom.dcmread(reference)
    kept = imaged(tmp_path / "results", None, reference=reference)
    left = left_of(kept)
    data = read(left)
    assert "yes" in dcmtk("dcmftest", left, tmp_path)
    assert (data.PatientName, data.PatientID) == (header.PatientName, header.PatientID)
    assert data.StudyInstanceUID == header.StudyInstanceUID
    assert data.SeriesInstanceUID != header.SeriesInstanceUID
    assert "unknown" in texts_of(left)["orientation"][0]


def test_the_same_review_is_the_same_bytes(case: Imaged) -> None:
    talk = [entry(comment(case.subject, "a ring", pin=HERE), "c1")]
    left = left_of(case, comments=talk)
    assert left.data == left_of(case, comments=talk).data
    assert dates_of(left) == {"20260131"}  # of the signature, not of the export
    assert (left.name, left.what) == ("head-review.sr.dcm", "DICOM SR")
    assert read(left).SOPInstanceUID != read(left_of(case)).SOPInstanceUID


def test_dcmtk_reads_the_tree_and_finds_the_right_words(case: Imaged, tmp_path: Path) -> None:
    talk = [entry(comment(case.subject, "a ring", pin=HERE), "c1")]
    links = {"v1": LINK, "v2": LINK}
    left = left_of(case, thread=amended_thread(case), links=links, comments=talk)
    assert "yes" in dcmtk("dcmftest", left, tmp_path)
    shown = dcmtk("dsrdump", left, tmp_path, "+Pl")
    assert "Comprehensive SR Document" in shown
    assert "Verification Flag   : VERIFIED" in shown
    assert "Predecessor Docs    : 1" in shown
    assert NOTICE in shown
    assert "(POINT,10/4.5)" in shown
    assert '"1.25" ({sigma^2},UCUM,"sigma^2")' in shown
    written = dcmtk("dsr2xml", left, tmp_path)
    assert case.result.content_sha256 in written
    assert "Signed by: A. Reader" in written


HOSTILE = [
    "a\x07b\x1b$B\x85c",
    "\u202egnp.exe\u2066",
    "back\\slash ^ = caret",
    "x" * 4096,
    "<script>alert(1)</script> & ]]>",
    "Łódź Ирина 王芳 مرحبا 🫀",
    "line\r\nline\nline\rend",
    "urn:oid:1.2 http://evil",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_valid_and_visible(case: Imaged, text: str, tmp_path: Path) -> None:
    said = signed(case.subject, comment=text, printed_name=text[:200], reasons=(text[:64],))
    talk = [entry(comment(case.subject, text, pin=HERE), "c1")]
    left = left_of(case, thread=[entry(said, "v1")], comments=talk)
    assert "yes" in dcmtk("dcmftest", left, tmp_path)
    long = dcmtk("dsrdump", left, tmp_path, "+Pl")
    assert not text.isprintable() or text in long
    with pydicom.config.strict_reading():
        data = read(left)
        assert 0 < len(str(data.VerifyingObserverSequence[0].VerifyingObserverName)) <= 64
    kept = texts_of(left)["comment of the verdict"][0]
    assert not {"\x07", "\x1b", "\x85", "\u202e", "\u2066"} & set(kept)
    if text.isprintable():
        assert kept == text
        assert text[:200] in texts_of(left)["signature"][0]
    assert highdicom.sr.srread(BytesIO(left.data)).content


def test_no_name_passes_for_the_next_row_of_a_signature(case: Imaged) -> None:
    said = signed(case.subject, printed_name="A\nMeaning: approval\r\nAccount: eve")
    (block,) = texts_of(left_of(case, thread=[entry(said, "v1")]))["signature"]
    assert "Signed by: A Meaning: approval" in block
    assert [one for one in block.splitlines() if one.startswith("Meaning")] == ["Meaning: review"]


def test_a_verdict_of_another_result_is_refused(case: Imaged) -> None:
    other = Subject.model_validate(case.subject.model_dump() | {"content_sha256": "9" * 64})
    with pytest.raises(ConflictError, match="Open the result that was read"):
        left_of(case, thread=[entry(signed(other), "v1")])


def test_a_signature_without_its_link_is_refused(case: Imaged) -> None:
    with pytest.raises(RefusedInputError, match="link of the audit chain of verdict v1"):
        left_of(case, links={})


def test_what_left_is_a_link_of_the_chain(case: Imaged, tmp_path: Path) -> None:
    with closing(Database(sqlite_url(tmp_path / "review.db"))) as database:
        store = ReviewStore(database)
        store.grant(None, "anna", "mri", "signer")
        store.take_lock(SIGNER, "mri", "head")
        sha = case.result.content_sha256
        filing = Filing(body=signed(case.subject), entry="v1")
        store.file(SIGNER, filing, seen=sha, stored=sha)
        thread = store.thread(SIGNER, "mri", "head", "verdict")
        with database.reading() as connection:
            links = links_of(connection, [one.id for one in thread])
        left = left_of(case, thread=thread, links=links)
        store.exported(SIGNER, case.subject, what=left.what, sha256=left.sha256)
        with database.reading() as connection:
            (last,) = newest_links(connection, 1)
    assert (last["action"], last["object_type"]) == ("exported", "DICOM SR")
    assert left.sha256 in last["after_json"]
    assert f"number {links['v1'].seq}, hash {links['v1'].hash}" in texts_of(left)["signature"][0]


def test_dcmtk_is_asked_in_earnest(case: Imaged, tmp_path: Path) -> None:
    left = left_of(case)
    broken = Export(name="x.dcm", media_type="", what="", data=left.data[:900])
    with pytest.raises((AssertionError, subprocess.CalledProcessError)):
        dcmtk("dsrdump", broken, tmp_path)

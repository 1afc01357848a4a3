"""Identity: nothing of the reference's is in the file, unless it was asked for."""

from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import UID

from medconsist.errors import CorruptInputError, RefusedInputError
from medconsist.mri.formats.deidentify import (
    Belonging,
    belonging_of_result,
    with_identity,
    without_identity,
)
from medconsist.mri.formats.dicom_in import DicomSeries, read_dicom_series
from medconsist.mri.formats.dicom_out import Labels, write_dicom
from medconsist.mri.formats.dicom_uids import derived_uid
from tests.mri.posed import IDENTITY, oblique, series_datasets, volume, write_series

LABELS = Labels(derivation="cs", unit="1", software="medconsist", series=("k",))
NEVER_COPIED = (
    *("PatientAge", "PatientAddress", "SeriesDate", "AcquisitionDateTime", "OperatorsName"),
    *("InstitutionName", "StationName", "SeriesDescription", "ImageComments"),
)


@pytest.fixture
def reference(tmp_path: Path) -> DicomSeries:
    datasets = series_datasets(volume(), oblique())
    for dataset in datasets:
        block = dataset.private_block(0x0029, "VENDOR", create=True)
        block.add_new(0x10, "LO", "private Jane Doe")
    return read_dicom_series(write_series(tmp_path / "reference", datasets))


def unchecked(word: str, value: str) -> Any:
    """Return an attribute as damaged files have them."""
    tag = pydicom.tag.Tag(word)
    kind = pydicom.datadict.dictionary_VR(tag)
    return pydicom.DataElement(tag, kind, value, validation_mode=pydicom.config.IGNORE)


def written(path: Path, belonging: Belonging) -> Any:
    write_dicom(
        path,
        volume(),
        affine=oblique(),
        voxel_size_mm=(None, None, None),
        belonging=belonging,
        labels=LABELS,
    )
    return pydicom.dcmread(path)


def test_no_identifying_value_of_the_reference_is_in_the_bytes(
    tmp_path: Path, reference: DicomSeries
) -> None:
    path = tmp_path / "a.dcm"
    read = written(path, without_identity(reference, patient="p-1"))
    content = path.read_bytes()
    # One letter, as the sex is, is found anywhere: that attribute is looked at by itself.
    secrets = [value for word, value in IDENTITY.items() if word != "PatientSex"]
    secrets += ["Doe", "20260304", "1.2.826.0.1.3680043", "private"]
    assert not [secret for secret in secrets if secret.encode() in content]
    assert not read.PatientSex
    assert read.PatientIdentityRemoved == "YES"
    assert read.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
    assert (str(read.PatientName), read.PatientID) == ("p-1", "p-1")
    assert read.PatientPosition == "HFS"


def test_replaced_uids_agree_with_each_other_in_every_export(
    tmp_path: Path, reference: DicomSeries
) -> None:
    one = written(tmp_path / "a.dcm", without_identity(reference, patient="p-1"))
    two = written(tmp_path / "b.dcm", without_identity(reference, patient="p-2"))
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID
    evidence = one.ReferencedImageEvidenceSequence[0]
    assert evidence.StudyInstanceUID == one.StudyInstanceUID
    series = evidence.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID != one.SeriesInstanceUID
    frames = one.SharedFunctionalGroupsSequence[0].ReferencedImageSequence
    objects = [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence]
    assert [item.ReferencedSOPInstanceUID for item in frames] == objects
    assert objects == [derived_uid("replaced", one.sop_instance) for one in reference.instances]


def test_references_without_a_frame_of_reference_share_none(reference: DicomSeries) -> None:
    del reference.header.FrameOfReferenceUID
    found = {with_identity(reference).frame_of_reference}
    found.add(without_identity(reference, patient="p-1").frame_of_reference)
    reference.header.StudyInstanceUID = "1.2.3"
    found.add(without_identity(reference, patient="p-1").frame_of_reference)
    # The first two are of one study, where nothing else is known.
    assert len(found) == 2
    assert all(UID(uid).is_valid for uid in found)


def test_identity_is_kept_whole_where_it_is_asked_for(
    tmp_path: Path, reference: DicomSeries
) -> None:
    read = written(tmp_path / "a.dcm", with_identity(reference))
    kept = [word for word in IDENTITY if word not in (*NEVER_COPIED, "DeviceSerialNumber")]
    own = ("SeriesInstanceUID",)
    assert {w: str(read[w].value) for w in kept if w not in own} == {
        w: IDENTITY[w] for w in kept if w not in own
    }
    assert not [word for word in NEVER_COPIED if str(read.get(word, "")) == IDENTITY[word]]
    assert read.PatientIdentityRemoved == "NO"
    assert "DeidentificationMethodCodeSequence" not in read
    evidence = read.ReferencedImageEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.SeriesInstanceUID == IDENTITY["SeriesInstanceUID"]


def test_a_name_in_another_character_set_is_kept(tmp_path: Path) -> None:
    more = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jörg"}
    datasets = series_datasets(volume(1), oblique())
    for word, value in more.items():
        setattr(datasets[0], word, value)
    read = read_dicom_series(write_series(tmp_path / "reference", datasets))
    path = tmp_path / "a.dcm"
    assert str(written(path, with_identity(read)).PatientName) == "Müller^Jörg"
    assert "Müller^Jörg".encode() in path.read_bytes()


def test_free_text_in_the_place_of_a_code_is_left_out(
    tmp_path: Path, reference: DicomSeries
) -> None:
    reference.header["BodyPartExamined"] = unchecked("BodyPartExamined", "knee, Jane Doe")
    for belonging in (without_identity(reference, patient="p-1"), with_identity(reference)):
        read = written(tmp_path / "a.dcm", belonging)
        assert "BodyPartExamined" not in read
        assert read.PatientPosition == "HFS"


def test_an_identity_that_is_no_valid_dicom_is_not_kept_in_part(reference: DicomSeries) -> None:
    reference.header["StudyDescription"] = unchecked("StudyDescription", "x" * 65)
    with pytest.raises(CorruptInputError, match="StudyDescription of the reference series"):
        with_identity(reference)
    without_identity(reference, patient="p-1")


def test_a_reference_without_identity_stays_without(reference: DicomSeries) -> None:
    reference.header.PatientIdentityRemoved = "YES"
    assert with_identity(reference).attributes["PatientIdentityRemoved"] == "YES"


def test_results_of_one_scan_share_study_and_frame_of_reference() -> None:
    one, two, other = (belonging_of_result("p", scan=scan) for scan in ("a", "a", "b"))
    assert (one.study, one.frame_of_reference) == (two.study, two.frame_of_reference)
    assert one.study != other.study


def test_an_id_longer_than_dicom_allows_stays_unique() -> None:
    names = [40 * "p" + letter + 60 * "p" for letter in "ab"]
    ids = [belonging_of_result(name, scan="a").attributes["PatientID"] for name in names]
    assert len(set(ids)) == 2
    assert max(map(len, ids)) <= 64
    with pytest.raises(RefusedInputError, match="not a safe name"):
        belonging_of_result("Doe^Jane", scan="a")


def test_derived_uids_are_valid_and_keep_the_borders_of_words() -> None:
    uids = [derived_uid("ab", "c"), derived_uid("a", "bc"), derived_uid("abc"), derived_uid()]
    assert len(set(uids)) == len(uids)
    assert all(UID(uid).is_valid and len(uid) <= 44 for uid in uids)
    # Written files hang on it: this number never changes.
    assert derived_uid("study", "a") == "2.25.9881478581821045907157317922639717812"

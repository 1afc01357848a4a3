"""``medconsist mri export``: the path last, the warning always, refusals as one sentence."""

import json
from pathlib import Path

import pydicom
import pytest

from tests.cli.conftest import Program
from tests.mri.posed import SPACING, oblique, series_datasets, volume, write_series
from tests.mri.stored_result import store_result


@pytest.fixture
def case(tmp_path: Path) -> Path:
    return store_result(tmp_path / "results", affine=oblique(), spacing=SPACING)


@pytest.mark.parametrize("to", ["dicom", "nifti", "ismrmrd"])
def test_path_of_the_file_is_the_last_line(
    to: str, case: Path, tmp_path: Path, program: Program
) -> None:
    answer = program("mri", "export", case, "--to", to, "--out", tmp_path / "out")
    assert answer.code == 0, answer.err
    first, *_, last = answer.out.splitlines()
    assert first == "Research use only, not for diagnosis."
    assert [Path(last)] == list((tmp_path / "out").iterdir())


def test_identity_is_kept_by_its_flag_alone_and_said(
    case: Path, tmp_path: Path, program: Program
) -> None:
    reference = write_series(tmp_path / "ref", series_datasets(volume(), oblique()))
    words = ("mri", "export", case, "--to", "dicom", "--reference", reference, "--json")
    removed = json.loads(program(*words, "--out", tmp_path / "a").out)
    kept = json.loads(program(*words, "--out", tmp_path / "b", "--keep-identity").out)
    assert pydicom.dcmread(removed["path"]).PatientID == "p-7"
    assert pydicom.dcmread(kept["path"]).PatientID == "MRN-4711"
    assert not removed["notes"]
    assert "name, ids and dates of the reference" in kept["notes"][0]


def test_identity_of_no_reference_is_refused(case: Path, tmp_path: Path, program: Program) -> None:
    words = ("mri", "export", case, "--to", "dicom", "--out", tmp_path / "out")
    answer = program(*words, "--keep-identity")
    assert answer.code == 2
    assert "--reference FOLDER" in answer.sentence
    assert not (tmp_path / "out").exists()


def test_a_reference_that_is_not_there_writes_nothing(
    case: Path, tmp_path: Path, program: Program
) -> None:
    words = ("mri", "export", case, "--to", "nifti", "--out", tmp_path / "out")
    answer = program(*words, "--reference", tmp_path / "no")
    assert answer.code == 2
    assert "does not exist" in answer.sentence
    assert not (tmp_path / "out").exists()

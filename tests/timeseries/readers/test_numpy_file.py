"""NumPy arrays, and COMET's layout by id."""

import json
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import (
    CorruptInputError,
    MedconsistError,
    MissingInputError,
    RefusedInputError,
    UnsafeFileError,
)
from medconsist.timeseries.readers.choice import open_dataset, open_recording
from medconsist.timeseries.readers.options import ReadOptions
from tests.timeseries.readers.writers import write_comet


def test_each_trial_is_a_recording_with_its_patient_and_label(tmp_path: Path) -> None:
    found = open_dataset(write_comet(tmp_path / "set"))
    assert [(one.info.patient, one.info.trial) for one in found] == [
        (patient, trial) for patient in "123" for trial in "012"
    ]
    assert [one.read()[0, 0] for one in found] == [0, 1, 2, 100, 101, 102, 200, 201, 202]
    assert found.labels == {"1": "no", "2": "yes", "3": "no"}
    assert found.classes == ("no", "yes")
    info = found[0].info
    assert (info.rate, info.channels, info.units) == (256.0, ("Fp1", "Cz"), ("uV", "uV"))


def test_patients_are_looked_up_by_id_whatever_the_order_of_names(tmp_path: Path) -> None:
    # Sorted as text, feature_100 comes before feature_11: the released loader shifts labels here.
    found = open_dataset(write_comet(tmp_path / "set", ids=(11, 100, 7), digits=1))
    labels = {one.info.patient: (int(one.read()[0, 0]) // 100) % 2 for one in found}
    assert labels == {"11": 0, "100": 1, "7": 0}
    assert found.labels == {"11": "no", "100": "yes", "7": "no"}
    assert any("the labels of others" in note for note in found.notes)


def test_ids_beyond_float_stay_distinct(tmp_path: Path) -> None:
    ids = (2**24, 2**24 + 1, 2**53 + 1)
    found = open_dataset(write_comet(tmp_path / "set", ids=ids))
    assert sorted(found.labels) == sorted(map(str, ids))
    assert {one.info.patient for one in found} == set(map(str, ids))


def test_ids_as_floats_are_refused(tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set")
    np.save(folder / "Label" / "label.npy", np.array([[0.0, 1], [1, 2], [0, 3]], np.float32))
    with pytest.raises(RefusedInputError, match=r"lose digits above 2\*\*24"):
        open_dataset(folder)


def test_ids_as_exact_floats_are_read_as_released(tmp_path: Path) -> None:
    # COMET's AD notebook fills np.zeros((23, 2)), so that its label.npy holds 64-bit floats.
    folder = write_comet(tmp_path / "set")
    np.save(folder / "Label" / "label.npy", np.array([[0.0, 1], [1, 2], [0, 3]]))
    assert open_dataset(folder).labels == {"1": "no", "2": "yes", "3": "no"}


@pytest.mark.parametrize("wrong", [1.5, np.nan, np.inf, 2.0**53])
def test_floats_that_are_no_whole_number_are_refused(tmp_path: Path, wrong: float) -> None:
    folder = write_comet(tmp_path / "set")
    np.save(folder / "Label" / "label.npy", np.array([[0, 1], [1, 2], [0, wrong]]))
    with pytest.raises(RefusedInputError, match=r"64-bit ones above 2\*\*53"):
        open_dataset(folder)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set")
    (folder / "Feature" / "feature_02.npy").unlink()
    with pytest.raises(MissingInputError, match=r"a label and no feature file: \[2\]"):
        open_dataset(folder)


def test_an_extra_file_is_an_error(tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set")
    np.save(folder / "Feature" / "feature_09.npy", np.zeros((1, 8, 2)))
    with pytest.raises(RefusedInputError, match=r"no label: \[9\]"):
        open_dataset(folder)


@pytest.mark.parametrize("name", ["feature_x.npy", "notes.txt", "feature_1.npy.bak", ".hidden"])
def test_a_strange_file_among_them_is_an_error(name: str, tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set")
    (folder / "Feature" / name).write_bytes(b"x")
    with pytest.raises(RefusedInputError, match=r"allowed: feature_ID\.npy alone"):
        open_dataset(folder)


def test_two_files_of_one_id_are_an_error(tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set")
    np.save(folder / "Feature" / "feature_002.npy", np.zeros((1, 8, 2)))
    with pytest.raises(RefusedInputError, match="are of one id"):
        open_dataset(folder)


def test_two_labels_of_one_id_are_an_error(tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set")
    np.save(folder / "Label" / "label.npy", np.array([[0, 1], [1, 2], [0, 3], [1, 2]]))
    with pytest.raises(RefusedInputError, match=r"several rows for the ids \[2\]"):
        open_dataset(folder)


@pytest.mark.parametrize("folder", ["Feature", "Label"])
def test_half_a_layout_is_an_error(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    with pytest.raises(MissingInputError, match=r"label\.npy does not exist|no folder Feature"):
        open_dataset(tmp_path)


def test_a_rate_that_nobody_gives_is_asked_for(tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set", meta=False)
    with pytest.raises(RefusedInputError, match=r"does not say its sampling rate"):
        open_dataset(folder)
    found = open_dataset(folder, options=ReadOptions(rate=256))
    assert found[0].info.channels == ("channel 1", "channel 2")
    assert found.classes == ("0", "1")


@pytest.mark.parametrize(
    "meta",
    ["{", "[]", '{"fs": "fast"}', '{"fs": 0}', '{"fs": 256, "channels": ["I"]}', '{"fs": -1}'],
)
def test_meta_that_makes_no_sense_is_refused(meta: str, tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set", meta=False)
    (folder / "meta.json").write_text(meta)
    with pytest.raises(RefusedInputError, match=r"meta\.json|0\.0 Hz|-1\.0 Hz|1 names"):
        open_dataset(folder)


def test_channel_names_may_have_either_key(tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set", meta=False)
    (folder / "meta.json").write_text(json.dumps({"fs": 256, "channel_names": ["FZ", "OZ"]}))
    assert open_dataset(folder)[0].info.channels == ("Fz", "Oz")


def test_patients_of_other_channels_are_refused(tmp_path: Path) -> None:
    folder = write_comet(tmp_path / "set", meta=False)
    np.save(folder / "Feature" / "feature_02.npy", np.zeros((1, 8, 3)))
    with pytest.raises(CorruptInputError, match="differ in their number of channels"):
        open_dataset(folder, options=ReadOptions(rate=256))


def test_a_cut_feature_file_is_refused(tmp_path: Path) -> None:
    path = write_comet(tmp_path / "set") / "Feature" / "feature_02.npy"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CorruptInputError, match=r"feature_02\.npy"):
        open_dataset(tmp_path / "set")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    array = np.empty((2, 1), object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(UnsafeFileError, match="can run code"):
        open_recording(tmp_path / "a.npy", options=ReadOptions(rate=1))


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0, 3), (3, 0)])
def test_arrays_of_other_axes_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(shape))
    with pytest.raises(MedconsistError, match=r"a\.npy"):
        open_recording(tmp_path / "a.npy", options=ReadOptions(rate=1))


@pytest.mark.parametrize("dtype", ["c8", "?", "S4", "M8[s]"])
def test_arrays_of_no_real_numbers_are_refused(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2), dtype))
    with pytest.raises(CorruptInputError, match="allowed: numbers"):
        open_recording(tmp_path / "a.npy", options=ReadOptions(rate=1))


def test_a_signalling_nan_is_a_missing_sample_without_a_warning(tmp_path: Path) -> None:
    bits = np.zeros((4, 1), np.uint32)
    bits[1] = 0x7FA00000
    np.save(tmp_path / "a.npy", bits.view(np.float32))
    found = open_recording(tmp_path / "a.npy", options=ReadOptions(rate=1, channels=("I",)))
    assert np.array_equal(np.isnan(found.read().astype(np.float64)).ravel(), [0, 1, 0, 0])

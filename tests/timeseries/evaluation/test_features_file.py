"""Embeddings of any program are read alike from four kinds of files, and never run."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from medconsist.errors import (
    BudgetError,
    CorruptInputError,
    MissingInputError,
    RefusedInputError,
    TruncatedFileError,
    UnsafeFileError,
    UnsupportedInputError,
)
from medconsist.timeseries.evaluation.features_file import read_features
from medconsist.timeseries.evaluation.fixed import GivenFeatures

PATIENT, TRIAL = np.array([17, 17, 2**24 + 1, 2**24 + 2]), np.array([1, 2, 1, 1])
LABEL = np.array([0, 0, 1, 1])
FEATURES = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
COLUMNS = {"patient": PATIENT, "trial": TRIAL, "label": LABEL, "features": FEATURES}


def written(path: Path, **other: np.ndarray) -> Path:
    columns = COLUMNS | other
    if path.suffix == ".npz":
        names: dict[str, Any] = dict(columns)  # savez also has arguments of other kinds
        np.savez(path, **names)
    elif path.suffix == ".safetensors":
        save_file(columns, path)
    elif path.suffix == ".h5":
        with h5py.File(path, "x") as file:
            for name, values in columns.items():
                file.create_dataset(name, data=values, compression="gzip")
    else:
        rows = [
            ",".join(map(str, [p, t, y, *x])) for p, t, y, x in zip(*columns.values(), strict=True)
        ]
        path.write_text("\n".join(["patient,trial,label,f1,f2,f3", *rows]) + "\n")
    return path


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".safetensors", ".csv"])
def test_every_kind_of_file_gives_the_same_windows(suffix: str, tmp_path: Path) -> None:
    windows = read_features(written(tmp_path / f"features{suffix}"))
    assert np.array_equal(GivenFeatures("one").features(windows), FEATURES.astype(np.float64))
    assert windows.table.patients == ("17", "16777217", "16777218")
    assert windows.table.patient_labels.tolist() == [0, 1, 1]
    assert windows.table.trial.tolist() == [0, 1, 2, 3]
    assert windows.table.classes == ("0", "1")
    assert windows.fingerprint == read_features(written(tmp_path / "other.npz")).fingerprint


def test_text_ids_and_unknown_labels_are_read(tmp_path: Path) -> None:
    label = np.array(["case", "case", "control", ""])
    path = written(tmp_path / "a.npz", label=label, patient=np.array(["a", "a", "b", "c"]))
    table = read_features(path, classes=("control", "case")).table
    assert table.classes == ("control", "case")
    assert table.patient_labels.tolist() == [1, 0, -1]


def test_what_does_not_fit_is_refused_in_a_sentence(tmp_path: Path) -> None:
    holed = FEATURES.copy()
    holed[2] = np.nan
    with pytest.raises(RefusedInputError, match="1 of 4 rows hold NaN"):
        read_features(written(tmp_path / "nan.npz", features=holed))
    with pytest.raises(RefusedInputError, match="one for each of 3 rows"):
        read_features(written(tmp_path / "short.npz", features=FEATURES[:3]))
    with pytest.raises(RefusedInputError, match="one row a window"):
        read_features(written(tmp_path / "flat.npz", features=FEATURES[0]))
    with pytest.raises(RefusedInputError, match="patient 0 has two labels"):
        read_features(written(tmp_path / "two.npz", label=np.array([0, 1, 1, 1])))
    with pytest.raises(RefusedInputError, match="'1' is none of the classes"):
        read_features(written(tmp_path / "a.npz"), classes=("0", "2"))
    np.savez(tmp_path / "less.npz", patient=PATIENT, features=FEATURES)
    with pytest.raises(RefusedInputError, match="trial, label missing"):
        read_features(tmp_path / "less.npz")
    (tmp_path / "ragged.csv").write_text("patient,trial,label,f1,f2\na,1,0,1,2\nb,1,1,3\n")
    with pytest.raises(RefusedInputError, match="row 3 has 4 cells"):
        read_features(tmp_path / "ragged.csv")
    (tmp_path / "word.csv").write_text("patient,trial,label,f1\na,1,0,high\n")
    with pytest.raises(RefusedInputError, match="a feature is no number"):
        read_features(tmp_path / "word.csv")


def test_unsafe_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no features"):
        read_features(tmp_path / "none.npz")
    (tmp_path / "a.pkl").write_bytes(b"x")
    with pytest.raises(UnsupportedInputError, match="are read from"):
        read_features(tmp_path / "a.pkl")
    pickled = written(tmp_path / "pickled.npz", patient=np.array([{}, {}, {}, {}], dtype=object))
    with pytest.raises(UnsafeFileError, match="pickled content"):
        read_features(pickled)
    for suffix, error in (
        (".npz", CorruptInputError),
        (".safetensors", CorruptInputError),
        (".h5", TruncatedFileError),
    ):
        whole = written(tmp_path / f"whole{suffix}").read_bytes()
        (tmp_path / f"half{suffix}").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(error, match="half"):
            read_features(tmp_path / f"half{suffix}")
    with pytest.raises(BudgetError, match="memory budget"):
        read_features(written(tmp_path / "large.npz"), budget_bytes=100)
    with h5py.File(tmp_path / "link.h5", "x") as file:
        file["features"] = h5py.ExternalLink("whole.h5", "features")
    with pytest.raises(UnsafeFileError, match="ExternalLink"):
        read_features(tmp_path / "link.h5")

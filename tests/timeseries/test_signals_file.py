"""The file of samples grows piece by piece, is there whole or not at all, and is mapped."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import CorruptResultError, RefusedInputError
from medconsist.timeseries.signals_file import mapped_signals, write_signals


def _write(path: Path, pieces: list[int]) -> np.ndarray:
    values = np.arange(sum(pieces) * 8, dtype=np.float32).reshape(-1, 4, 2)
    with write_signals(path, samples=4, channels=2) as writer:
        for piece in np.split(values, np.cumsum(pieces)[:-1]):
            writer.add(piece)
    return values


@pytest.mark.parametrize("pieces", [[1], [3, 0, 5], [0], [1] * 1500])
def test_pieces_come_back_as_plain_numpy_reads_them(tmp_path: Path, pieces: list[int]) -> None:
    path = tmp_path / "signals.npy"
    values = _write(path, pieces)
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), values)


def test_the_samples_are_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    values = _write(tmp_path / "signals.npy", [2, 3])
    mapped = mapped_signals(tmp_path / "signals.npy", shape=(5, 4, 2))
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped[3], values[3])


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "signals.npy"

    def write_wrong() -> None:
        with write_signals(path, samples=4, channels=2) as writer:
            writer.add(np.zeros((1, 4, 2), np.float32))
            writer.add(np.zeros((1, 5, 2), np.float32))

    with pytest.raises(RefusedInputError, match="cannot follow"):
        write_wrong()
    assert not list(tmp_path.iterdir())


def test_another_shape_or_no_numpy_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signals.npy"
    _write(path, [2])
    with pytest.raises(CorruptResultError, match=r"shape \(2, 4, 2\), its record says"):
        mapped_signals(path, shape=(3, 4, 2))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CorruptResultError, match="no NumPy file"):
        mapped_signals(path, shape=(2, 4, 2))
    np.save(path, np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(CorruptResultError, match="no NumPy file"):
        mapped_signals(path, shape=(2, 4, 2))

"""Smooth random fields that can be read in any rectangle, and random numbers by grid cell."""

import numpy as np
from jaxtyping import Float, Integer

__all__ = ["NoiseField", "cell_randoms"]

_LATTICE = 320
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_GOLDEN = 0x9E3779B97F4A7C15


class NoiseField:
    """Normal numbers on a periodic lattice, interpolated by cubic convolution (Keys 1981).

    Any rectangle can be read without its surroundings, so a slide is drawn block by block.
    Reference: R. Keys, IEEE Trans. ASSP 29:1153, doi:10.1109/TASSP.1981.1163711.

    Parameters
    ----------
    lattice
        Values at the lattice points, repeated in both directions.
    pitch
        Level-0 pixels between lattice points along y and x.

    Examples
    --------
    >>> field = NoiseField.draw((0, 1), pitch=8.0)
    >>> field.sample(np.arange(16), np.arange(32)).shape
    (16, 32)
    """

    def __init__(
        self, lattice: Float[np.ndarray, "rows columns"], *, pitch: tuple[float, float]
    ) -> None:
        self.lattice = lattice
        self.pitch = pitch

    @classmethod
    def draw(
        cls, key: tuple[int, ...], *, pitch: float | tuple[float, float], size: int = _LATTICE
    ) -> "NoiseField":
        """Draw a lattice of ``size x size`` standard normal numbers from the seed ``key``."""
        values = np.random.default_rng(key).standard_normal((size, size), dtype=np.float32)
        return cls(values, pitch=pitch if isinstance(pitch, tuple) else (pitch, pitch))

    def sample(
        self, ys: Integer[np.ndarray, " rows"], xs: Integer[np.ndarray, " columns"]
    ) -> Float[np.ndarray, "rows columns"]:
        """Return the field at the pixels of rows ``ys`` and columns ``xs``."""
        along_y, rows = _weights(ys / self.pitch[0])
        along_x, columns = _weights(xs / self.pitch[1])
        height, width = self.lattice.shape
        part = self.lattice[np.ix_(rows % height, columns % width)]
        return along_y @ part @ along_x.T


def _weights(
    positions: Float[np.ndarray, " points"],
) -> tuple[Float[np.ndarray, "points taps"], Integer[np.ndarray, " taps"]]:
    left = np.floor(positions).astype(np.int64)
    t = (positions - left).astype(np.float32)
    first = int(left.min()) - 1
    taps = np.arange(first, int(left.max()) + 3)
    weights = np.zeros((len(positions), len(taps)), np.float32)
    kernel = (
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )
    for offset, values in enumerate(kernel):
        weights[np.arange(len(positions)), left - 1 - first + offset] = values
    return weights, taps


def cell_randoms(
    seed: int,
    rows: Integer[np.ndarray, " rows"],
    columns: Integer[np.ndarray, " columns"],
    *,
    count: int,
) -> Float[np.ndarray, "count rows columns"]:
    """Return ``count`` uniform numbers in [0, 1) for each cell: the same wherever it is asked from.

    SplitMix64 (Steele et al. 2014, doi:10.1145/2660193.2660195) of seed, row and column.
    """
    state = _mix(np.full(1, seed, np.uint64) + np.uint64(_GOLDEN))
    state = _mix(state + rows.astype(np.uint64))[:, None]
    state = _mix(state * np.uint64(3) + columns.astype(np.uint64)[None])
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    return (_mix(state[None] + steps[:, None, None]) >> np.uint64(40)) / np.float32(1 << 24)


def _mix(z: Integer[np.ndarray, "..."]) -> Integer[np.ndarray, "..."]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX[0])
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX[1])
    return z ^ (z >> np.uint64(31))

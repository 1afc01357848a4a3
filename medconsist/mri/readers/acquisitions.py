"""Readouts as a scanner counts them, before they lie on a grid; ISMRMRD and twix give the same."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
from jaxtyping import Float, Int, Shaped

__all__ = ["PLACED", "Acquisitions", "Encoding", "Fetch", "Role"]

Rows = Int[np.ndarray, " rows"]
Vectors = Float[np.ndarray, "rows 3"]
Fetch = Callable[[Rows], Shaped[np.ndarray, " samples"]]
"""Samples of the readouts with these numbers (ascending), channel after channel, as they lie."""


class Role(IntEnum):
    """What a readout was acquired for.

    Examples
    --------
    >>> Role.NOISE.name
    'NOISE'
    """

    IMAGE = 0
    NOISE = 1
    CALIBRATION = 2
    OTHER = 3


PLACED = (Role.IMAGE, Role.CALIBRATION)
"""Readouts that may come onto the grid."""


@dataclass(frozen=True, eq=False)
class Acquisitions:
    """Heads of the readouts, one entry per readout.

    Of ``length`` samples per channel those in ``[first, stop)`` are kept; number ``centre`` passes
    through the centre of k-space. ``frames`` counts what makes a separate image. Directions and
    positions are in the patient's left-posterior-superior frame [mm].

    Examples
    --------
    >>> count = np.zeros(2, dtype=int)
    >>> heads = dict.fromkeys((f.name for f in fields(Acquisitions)), count)
    >>> heads |= dict.fromkeys(("frames",), np.zeros((2, 4), int)) | {"dwell_us": np.zeros(2)}
    >>> heads |= dict.fromkeys(Acquisitions.VECTORS, np.zeros((2, 3)))
    >>> len(Acquisitions(**heads).where(count == 0).line)
    2
    """

    VECTORS = ("position", "read_dir", "phase_dir", "slice_dir")

    number: Rows
    role: Rows
    length: Rows
    channels: Rows
    first: Rows
    stop: Rows
    centre: Rows
    line: Rows
    partition: Rows
    average: Rows
    slice: Rows
    frames: Int[np.ndarray, "rows counters"]
    dwell_us: Float[np.ndarray, " rows"]
    position: Vectors
    read_dir: Vectors
    phase_dir: Vectors
    slice_dir: Vectors

    def where(self, chosen: Shaped[np.ndarray, " rows"]) -> "Acquisitions":
        """Return the readouts that are marked True."""
        return replace(self, **{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The grid: points along readout, line and partition, and which line is the centre.

    Examples
    --------
    >>> Encoding(matrix=(256, 128, 1)).line_centre is None
    True
    """

    matrix: tuple[int | None, int | None, int | None]
    line_centre: int | None = None
    partition_centre: int | None = None

"""Which patient direction each edge of a drawn slice shows; unknown stays unknown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medconsist.errors import RefusedInputError

__all__ = ["Edges", "edge_letters", "ruler_mm"]

# Direction cosine from which a second letter is named: about 15 degrees of tilt.
_TILT = 0.25
_POSITIVE, _NEGATIVE = "RAS", "LPI"


@dataclass(frozen=True)
class Edges:
    """Letters of the four edges of a picture, e.g. ``R`` or, for a tilted slice, ``RA``.

    Parameters
    ----------
    left, right, top, bottom
        Patient direction in which that edge lies: right, left, anterior, posterior, superior,
        inferior.

    Examples
    --------
    >>> Edges(left="L", right="R", top="P", bottom="A").sentence
    'left L · right R · top P · bottom A'
    """

    left: str
    right: str
    top: str
    bottom: str

    @property
    def sentence(self) -> str:
        """The four edges as one line."""
        return f"left {self.left} · right {self.right} · top {self.top} · bottom {self.bottom}"


def edge_letters(affine: Sequence[Sequence[float]]) -> Edges:
    """Return the letters of a slice drawn with rows downwards and columns to the right.

    Parameters
    ----------
    affine
        4 x 4 matrix from voxel index (column, row, slice) to patient position [mm], with axes
        right, anterior, superior.

    Raises
    ------
    RefusedInputError
        If the column or the row direction has no length.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    right, bottom = matrix[:3, 0], matrix[:3, 1]
    return Edges(
        left=_letters(-right), right=_letters(right), top=_letters(-bottom), bottom=_letters(bottom)
    )


def ruler_mm(extent_mm: float) -> float:
    """Return the length of a ruler: the longest of .01, .02, .05 ... mm below 40 % of the image.

    Examples
    --------
    >>> ruler_mm(220.0), ruler_mm(1.1)
    (50.0, 0.2)
    """
    lengths = [step * 10.0**power for power in range(-2, 4) for step in (1, 2, 5)]
    return max((length for length in lengths if length <= 0.4 * extent_mm), default=lengths[0])


def _letters(direction: np.ndarray) -> str:
    length = float(np.linalg.norm(direction))
    if not (np.isfinite(length) and length > 0):
        msg = f"direction {direction.tolist()} has no length; the orientation is unknown."
        raise RefusedInputError(msg)
    cosines = direction / length
    order = [axis for axis in np.argsort(-np.abs(cosines)) if abs(cosines[axis]) >= _TILT]
    return "".join((_POSITIVE if cosines[axis] > 0 else _NEGATIVE)[axis] for axis in order)

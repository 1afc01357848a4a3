"""Borders of pieces and of holes through pixel centres, and their areas, as OpenCV has them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool

from medconsist._extras import require

__all__ = ["Piece", "Ring", "ring_area", "traced_pieces"]

Ring = npt.NDArray[np.int64]
Mask = Bool[np.ndarray, "rows columns"]
# so near to 1 that the crossing between two pixels rounds to the one inside
_INSIDE = 1 - 1e-6


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One piece of a mask: its border, the borders of its holes, and the areas within them.

    Examples
    --------
    >>> [piece.net_area for piece in traced_pieces(np.ones((3, 4), bool))]
    [6.0]
    """

    outline: Ring
    area: float
    holes: tuple[Ring, ...]
    hole_areas: tuple[float, ...]

    @property
    def net_area(self) -> float:
        """Area less that of every hole."""
        return self.area - sum(self.hole_areas)


def traced_pieces(mask: Mask) -> list[Piece]:
    """Return the pieces (which touch at corners too) with rings of (row, column), ends once."""
    labels, count = require("scipy.ndimage", extra="wsi").label(mask, np.ones((3, 3)))
    outlines: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {piece: [] for piece in range(1, count + 1)}
    for ring in _rings(mask):
        piece = int(labels[tuple(ring[0])])
        if ring_area(ring) < 0:
            holes[piece].append(ring)
        else:
            outlines[piece] = ring
    return [
        Piece(
            outline=outlines[piece],
            area=ring_area(outlines[piece]),
            holes=tuple(holes[piece]),
            hole_areas=tuple(-ring_area(hole) for hole in holes[piece]),
        )
        for piece in sorted(outlines)
    ]


def ring_area(ring: Ring) -> float:
    """Return the signed area of a ring of (row, column) by the shoelace formula; holes below 0."""
    row, column = ring.T
    return float((np.roll(row, -1) * column - np.roll(column, -1) * row).sum()) / 2


def _rings(mask: Mask) -> list[Ring]:
    """Trace every border once; ends are not repeated."""
    contours = require("skimage.measure", extra="wsi").find_contours(
        np.pad(mask, 1).astype(np.float64), _INSIDE, fully_connected="high"
    )
    rings = []
    for contour in contours:
        ring = np.rint(contour).astype(np.int64)[:-1] - 1
        moved = (ring != np.roll(ring, 1, axis=0)).any(1)
        moved[0] |= not moved.any()
        rings.append(ring[moved])
    return rings

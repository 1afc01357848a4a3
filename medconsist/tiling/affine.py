"""The one map between an index and a place: an offset and a step along each axis."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["Affine"]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """``place = offset + scale * index``, along each axis on its own, in float64.

    Windows, their corners, a heat map and whatever is exported from it share one such map, so that
    no factor is rounded on the way and no error grows with the index.

    Parameters
    ----------
    offset
        Place of index 0 along each axis.
    scale
        Places per index along each axis; finite, not 0.

    Raises
    ------
    ShapeError
        Offset and scale have not one entry for each axis.
    RefusedInputError
        An entry is not finite, or a scale is 0.

    Examples
    --------
    >>> tiles = Affine(offset=(10.0, 0.0), scale=(256.5, 256.5))
    >>> tiles.to_place([[2, 4]]).tolist(), tiles.to_index([[523.0, 1026.0]]).tolist()
    ([[523.0, 1026.0]], [[2.0, 4.0]])
    """

    offset: tuple[float | int, ...]
    scale: tuple[float | int, ...]

    def __post_init__(self) -> None:
        if len(self.offset) != len(self.scale) or not self.offset:
            msg = f"offset {self.offset} and scale {self.scale} need one entry for each axis."
            raise ShapeError(msg)
        object.__setattr__(self, "offset", tuple(float(value) for value in self.offset))
        object.__setattr__(self, "scale", tuple(float(value) for value in self.scale))
        if not np.isfinite((*self.offset, *self.scale)).all() or 0.0 in self.scale:
            msg = f"offset {self.offset} and scale {self.scale} must be finite, no scale 0."
            raise RefusedInputError(msg)

    def to_place(self, index: npt.ArrayLike) -> Points:
        """Return the places of indices, shape ``(..., axes)``."""
        return np.asarray(self.offset) + np.asarray(self.scale) * self._points(index)

    def to_index(self, place: npt.ArrayLike) -> Points:
        """Return the indices, with their fractions, of places, shape ``(..., axes)``."""
        return (self._points(place) - np.asarray(self.offset)) / np.asarray(self.scale)

    @property
    def inverse(self) -> "Affine":
        """The map from place to index."""
        pairs = zip(self.offset, self.scale, strict=True)
        return Affine(
            offset=tuple(-offset / scale for offset, scale in pairs),
            scale=tuple(1 / scale for scale in self.scale),
        )

    def then(self, outer: "Affine") -> "Affine":
        """Return the map that applies ``outer`` to the places of this one."""
        if len(outer.offset) != len(self.offset):
            msg = f"{len(self.offset)} axes cannot be followed by {len(outer.offset)}."
            raise ShapeError(msg)
        rows = zip(self.offset, self.scale, outer.offset, outer.scale, strict=True)
        joined = [(o2 + s2 * o1, s2 * s1) for o1, s1, o2, s2 in rows]
        return Affine(offset=tuple(o for o, _ in joined), scale=tuple(s for _, s in joined))

    def _points(self, points: npt.ArrayLike) -> Points:
        array = np.asarray(points, dtype=np.float64)
        if array.shape[-1:] != (len(self.offset),):
            msg = f"points of {len(self.offset)} axes are needed, got the shape {array.shape}."
            raise ShapeError(msg)
        return array

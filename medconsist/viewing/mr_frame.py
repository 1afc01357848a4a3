"""Where a stored volume lies on the screen: three planes in radiological convention, or as stored.

The browser draws along the axes of the stored grid, never between them. Where the orientation is
known, each axis stands for the patient axis that it is closest to, and planes are drawn as
radiologists do: the patient's right on the left of the screen, anterior or superior on top. Where
it is unknown, rows run down, columns to the right and slices down, as stored, without letters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from medconsist.results.schema import Affine, ArrayRecord
from medconsist.viewing.orientation import Edges, edge_letters

__all__ = ["PLANES", "Frame", "frame_of"]

PLANES = ("axial", "coronal", "sagittal")
"""The planes in the order of the numbers that NiiVue gives them."""

_STORED = ("across columns", "across rows", "slices")  # by the axis that a plane is normal to
_NORMAL = {"axial": 2, "coronal": 1, "sagittal": 0}
# Patient axis and sign that point to the right and to the top of the screen.
_RIGHT = {"axial": (0, -1), "coronal": (0, -1), "sagittal": (1, -1)}
_TOP = {"axial": (1, 1), "coronal": (2, 1), "sagittal": (2, 1)}
_AXES = 3


@dataclass(frozen=True)
class Frame:
    """How the axes of a stored volume (column, row, slice) lie on the screen.

    Parameters
    ----------
    axes
        For the patient axes right, anterior, superior: which stored axis is drawn along it.
    signs
        For the same: 1 where the index grows towards right, anterior, superior, else -1.
    size
        Number of columns, rows, slices.
    spacing_mm
        Of a column, a row, a slice; None where unknown.
    orientation
        Voxel index to patient position [mm]; None where unknown.

    Examples
    --------
    >>> frame = Frame((0, 1, 2), (-1, -1, 1), (40, 48, 3), (1.0, 1.0, 5.0), None)
    >>> frame.native, frame.letters("axial")
    ('axial', None)
    """

    axes: tuple[int, ...]
    signs: tuple[int, ...]
    size: tuple[int, ...]
    spacing_mm: tuple[float | None, ...]
    orientation: Affine | None

    @property
    def native(self) -> str:
        """The plane in which the stored slices lie."""
        return next(plane for plane in PLANES if self.axes[_NORMAL[plane]] == _AXES - 1)

    def name(self, plane: str) -> str:
        """Return the name of a plane on the screen; patient planes only where they are known.

        Examples
        --------
        >>> Frame((0, 1, 2), (-1, -1, -1), (4, 4, 2), (None,) * 3, None).name("sagittal")
        'across columns'
        """
        return plane if self.orientation is not None else _STORED[self.axes[_NORMAL[plane]]]

    def letters(self, plane: str) -> Edges | None:
        """Return the letters of the four edges of a plane; None where nothing is known."""
        if self.orientation is None:
            return None
        right, top = self._direction(*_RIGHT[plane]), self._direction(*_TOP[plane])
        drawn = np.zeros((4, 4))
        drawn[:_AXES, 0], drawn[:_AXES, 1] = right, -top
        return edge_letters(drawn.tolist())

    def affine(self) -> list[list[float]]:
        """Return the matrix with which NiiVue draws this frame, its middle at 0.

        It has one entry in each row: the axes of the grid, without tilt. An unknown spacing is
        drawn as 1.
        """
        steps = [step or 1.0 for step in self.spacing_mm]
        rows = np.zeros((_AXES, 4))
        for row, (axis, sign) in enumerate(zip(self.axes, self.signs, strict=True)):
            rows[row, axis] = sign * steps[axis]
            rows[row, 3] = -rows[row, axis] * (self.size[axis] - 1) / 2
        return rows.tolist()

    def _direction(self, patient_axis: int, sign: int) -> np.ndarray:
        """Return the patient direction of the stored axis that is drawn along a patient axis."""
        column = np.asarray(self.orientation, dtype=np.float64)[:_AXES, self.axes[patient_axis]]
        return column * (self.signs[patient_axis] * sign)


def frame_of(record: ArrayRecord) -> Frame:
    """Return the frame of a stored volume with the axes slices, height, width.

    Examples
    --------
    >>> record = ArrayRecord(role="cs", path="cs.zarr", kind="zarr", shape=(3, 48, 40),
    ...     axes=("slices", "height", "width"), dtype="float32", sha256="0" * 64)
    >>> frame_of(record).signs
    (-1, -1, -1)
    """
    size, spacing = record.shape[::-1], (record.spacing_mm or (None,) * _AXES)[::-1]
    if record.orientation is None:
        # Left of the screen is the patient's right: -1 puts column 0 and row 0 at left and top.
        return Frame((0, 1, 2), (-1, -1, -1), size, spacing, None)
    axes, signs = _closest(record.orientation)
    return Frame(axes, signs, size, spacing, record.orientation)


def _closest(orientation: Sequence[Sequence[float]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return for each patient axis the stored axis closest to it, each one once, and its sign."""
    columns = np.asarray(orientation, dtype=np.float64)[:_AXES, :_AXES]
    cosines = columns / np.linalg.norm(columns, axis=0)
    order = max(
        permutations(range(_AXES)),
        key=lambda axes: sum(abs(cosines[row, axis]) for row, axis in enumerate(axes)),
    )
    signs = tuple(1 if cosines[row, axis] > 0 else -1 for row, axis in enumerate(order))
    return tuple(order), signs

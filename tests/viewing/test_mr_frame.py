"""Which patient direction lies where on the screen, for every way in which a grid can lie."""

import math
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

from medconsist.results.schema import ArrayRecord
from medconsist.viewing.mr_frame import PLANES, Frame, frame_of

GRIDS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)
]
# In radiological convention: patient direction (right, anterior, superior) to the right of the
# screen and to its top, by plane.
SCREEN = {
    "axial": ((-1, 0, 0), (0, 1, 0)),
    "coronal": ((-1, 0, 0), (0, 0, 1)),
    "sagittal": ((0, -1, 0), (0, 0, 1)),
}
LETTERS = {"axial": "R L A P", "coronal": "R L S I", "sagittal": "A P S I"}


def record(orientation: np.ndarray | None) -> ArrayRecord:
    rows: Any = None if orientation is None else tuple(tuple(row) for row in orientation.tolist())
    return ArrayRecord(
        role="cs",
        path="cs.zarr",
        kind="zarr",
        axes=("slices", "height", "width"),
        shape=(3, 48, 40),
        dtype="float32",
        sha256="0" * 64,
        spacing_mm=None if orientation is None else (5.0, 1.5, 1.0),
        orientation=rows,
    )


def grid(order: tuple[int, ...], signs: tuple[float, ...], tilt: float = 0.0) -> np.ndarray:
    """Columns along patient axis ``order[0]``, rows along ``order[1]``, slices ``order[2]``."""
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for column, (axis, sign, step) in enumerate(zip(order, signs, (1.0, 1.5, 5.0), strict=True)):
        matrix[axis, column] = sign * step
    turn = np.eye(4)
    turn[:2, :2] = [[math.cos(tilt), -math.sin(tilt)], [math.sin(tilt), math.cos(tilt)]]
    return turn @ matrix


def drawn_direction(frame: Frame, plane: str, stored_axis: int) -> tuple[int, int]:
    """Where NiiVue draws the next voxel of a stored axis: steps right and up, by its matrix."""
    affine = np.array(frame.affine())[:, :3]
    right, top = (np.array(one) for one in SCREEN[plane])
    step = affine[:, stored_axis] / np.abs(affine[:, stored_axis]).max()
    return int(right @ step), int(top @ step)


@pytest.mark.parametrize("grid_", GRIDS)
def test_each_voxel_step_goes_where_the_patient_direction_is_drawn(
    grid_: tuple[tuple[int, ...], tuple[float, ...]],
) -> None:
    orientation = grid(*grid_)
    frame = frame_of(record(orientation))
    for plane, (right, top) in SCREEN.items():
        for axis in range(3):
            direction = orientation[:3, axis] / np.abs(orientation[:3, axis]).max()
            expected = (int(np.array(right) @ direction), int(np.array(top) @ direction))
            assert drawn_direction(frame, plane, axis) == expected


@pytest.mark.parametrize("grid_", GRIDS)
def test_letters_are_those_of_a_radiologist_however_the_grid_was_stored(
    grid_: tuple[tuple[int, ...], tuple[float, ...]],
) -> None:
    frame = frame_of(record(grid(*grid_)))
    for plane in PLANES:
        edges = frame.letters(plane)
        assert edges is not None
        assert f"{edges.left} {edges.right} {edges.top} {edges.bottom}" == LETTERS[plane]


def test_the_stored_slices_are_the_native_plane() -> None:
    natives = {order: frame_of(record(grid(order, (1.0,) * 3))).native for order, _ in GRIDS}
    normal = {order: ("sagittal", "coronal", "axial")[order[2]] for order in natives}
    assert natives == normal


def test_a_tilted_grid_is_drawn_along_its_own_axes() -> None:
    frame = frame_of(record(grid((0, 1, 2), (-1.0, -1.0, 1.0), tilt=math.radians(30))))
    assert (np.count_nonzero(np.array(frame.affine())[:, :3], axis=1) == 1).all()


def test_letters_of_a_tilt_follow_the_true_direction() -> None:
    orientation = grid((0, 1, 2), (-1.0, -1.0, 1.0), tilt=math.radians(30))
    edges = frame_of(record(orientation)).letters("axial")
    assert edges is not None
    names = [("R", "L"), ("A", "P"), ("S", "I")]
    right = orientation[:3, 0] / np.linalg.norm(orientation[:3, 0])
    expected = {names[axis][0 if right[axis] > 0 else 1] for axis in (0, 1)}
    assert set(edges.right) == expected


def test_two_axes_that_are_both_closest_to_one_are_told_apart() -> None:
    turned = grid((0, 1, 2), (1.0, 1.0, 1.0), tilt=math.radians(45))
    frame = frame_of(record(turned))
    assert sorted(frame.axes) == [0, 1, 2]


def test_an_unknown_orientation_is_drawn_as_stored_and_has_no_letters() -> None:
    frame = frame_of(record(None))
    assert [frame.letters(plane) for plane in PLANES] == [None] * 3
    assert [frame.name(plane) for plane in PLANES] == ["slices", "across rows", "across columns"]
    assert drawn_direction(frame, "axial", 0) == (1, 0)  # columns to the right
    assert drawn_direction(frame, "axial", 1) == (0, -1)  # rows downwards
    assert frame.native == "axial"


def test_the_middle_of_the_volume_is_drawn_in_the_middle() -> None:
    frame = frame_of(record(grid((1, 2, 0), (-1.0, 1.0, -1.0))))
    affine = np.array(frame.affine())
    middle = affine[:, :3] @ ((np.array(frame.size) - 1) / 2) + affine[:, 3]
    # rounding of one product
    assert np.abs(middle).max() < 1e-12

"""Planes of DICOM and affines: the formula of the standard, and what is refused."""

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.formats.dicom_geometry import affine_of_planes, planes_of_affine
from tests.mri.posed import oblique, points

TOGETHER_MM = 1e-9  # double precision, nothing rounded to text
COSINES = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def stacked(along: list[float]) -> np.ndarray:
    return np.array([[0.0, 0.0, z] for z in along])


@pytest.mark.parametrize("handed", [1.0, -1.0])
def test_every_voxel_lies_where_the_formula_of_the_standard_puts_it(handed: float) -> None:
    affine, shape = oblique(handed=handed), (3, 4, 5)
    planes = planes_of_affine(affine, 3)
    x, y = planes.cosines
    lps = [
        planes.positions[s] + x * planes.spacing_mm[1] * i + y * planes.spacing_mm[0] * j
        for s in range(3)
        for j in range(4)
        for i in range(5)
    ]
    ras = points(affine, shape).numpy()
    assert np.abs(np.array(lps) * [-1, -1, 1] - ras).max() <= TOGETHER_MM
    assert np.allclose(planes.stacked, handed * np.cross(x, y))


def test_planes_in_any_order_give_the_affine_back() -> None:
    planes = planes_of_affine(oblique(), 4)
    mixed = [2, 0, 3, 1]
    affine, order = affine_of_planes(
        planes.cosines,
        planes.spacing_mm,
        planes.positions[mixed],
        thickness_mm=None,
        name="series",
    )
    assert [mixed[n] for n in order] == [0, 1, 2, 3]
    assert (affine - oblique()).abs().max() <= TOGETHER_MM


def test_slices_that_are_read_as_straight_are_written_too() -> None:
    # Positions of few digits let slices slide a little: here by .8 % of a step.
    positions = np.array([[0.0, 0.04 * s, 5.0 * s] for s in range(3)])
    affine, _ = affine_of_planes(COSINES, (1.0, 1.0), positions, thickness_mm=None, name="s")
    assert np.abs(planes_of_affine(affine, 3).positions - positions).max() <= TOGETHER_MM


def test_slices_that_count_down_come_back_in_ascending_order() -> None:
    planes = planes_of_affine(oblique(handed=-1.0), 3)
    affine, order = affine_of_planes(
        planes.cosines, planes.spacing_mm, planes.positions, thickness_mm=None, name="series"
    )
    assert order.tolist() == [2, 1, 0]
    there = points(affine, (3, 4, 5)).reshape(3, -1).flip(0)
    assert (there - points(oblique(handed=-1.0), (3, 4, 5)).reshape(3, -1)).abs().max() <= 1e-9


def test_one_slice_takes_its_thickness_and_needs_one() -> None:
    affine, _ = affine_of_planes(COSINES, (2.0, 3.0), stacked([7]), thickness_mm=4.0, name="s")
    expected = torch.tensor([[-3.0, 0, 0, 0], [0, -2, 0, 0], [0, 0, 4, 7], [0, 0, 0, 1]])
    assert torch.equal(affine, expected.double())
    with pytest.raises(RefusedInputError, match="one slice without a thickness"):
        affine_of_planes(COSINES, (2.0, 3.0), stacked([7]), thickness_mm=None, name="s")


@pytest.mark.parametrize(
    ("along", "said"),
    [
        ([0, 5, 10, 20, 25], "a slice is missing"),
        ([0, 5, 5, 10], "several images at one position"),
        ([0, 5, 10.2, 15], "a slice is missing, or stacks are mixed"),
    ],
)
def test_gaps_and_duplicates_are_refused(along: list[float], said: str) -> None:
    with pytest.raises(RefusedInputError, match=said):
        affine_of_planes(COSINES, (1.0, 1.0), stacked(along), thickness_mm=5.0, name="series")


def test_planes_that_slide_sideways_are_refused() -> None:
    tilted = np.array([[0.0, 0.5 * s, 5.0 * s] for s in range(4)])
    with pytest.raises(RefusedInputError, match="slide sideways"):
        affine_of_planes(COSINES, (1.0, 1.0), tilted, thickness_mm=5.0, name="series")


def test_cosines_that_are_no_directions_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="perpendicular unit vectors"):
        affine_of_planes(1.1 * COSINES, (1.0, 1.0), stacked([0]), thickness_mm=5.0, name="s")


def test_sheared_and_singular_affines_are_refused() -> None:
    sheared = torch.eye(4)
    tilted = torch.eye(4)
    sheared[0, 1], tilted[0, 2] = 0.005, 0.02
    for affine in (sheared, tilted):
        with pytest.raises(RefusedInputError, match="not perpendicular"):
            planes_of_affine(affine, 2)
    with pytest.raises(RefusedInputError, match="singular"):
        planes_of_affine(torch.diag(torch.tensor([1.0, 0.0, 1.0, 1.0])), 2)

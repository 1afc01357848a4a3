import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError
from medconsist.viewing.orientation import edge_letters, ruler_mm

OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}


def affine(column: tuple[float, ...], row: tuple[float, ...]) -> list[list[float]]:
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1] = column, row
    return matrix.tolist()


def test_an_axial_slice_in_radiological_view_has_the_right_side_on_the_left() -> None:
    edges = edge_letters(affine((-1, 0, 0), (0, -1, 0)))
    assert edges.sentence == "left R · right L · top A · bottom P"


def test_a_sagittal_slice_names_its_edges() -> None:
    edges = edge_letters(affine((0, -0.9, 0), (0, 0, -1.2)))
    assert edges.sentence == "left A · right P · top S · bottom I"


def test_a_tilted_slice_names_both_directions_the_stronger_first() -> None:
    tilt = math.radians(30)
    edges = edge_letters(affine((1, 0, 0), (0, -math.cos(tilt), -math.sin(tilt))))
    assert (edges.top, edges.bottom) == ("AS", "PI")


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=6))
def test_opposite_edges_have_opposite_letters(numbers: list[float]) -> None:
    column, row = tuple(numbers[:3]), tuple(numbers[3:])
    if min(np.linalg.norm(column), np.linalg.norm(row)) == 0:
        return
    edges = edge_letters(affine(column, row))
    assert edges.right == "".join(OPPOSITE[letter] for letter in edges.left)
    assert edges.bottom == "".join(OPPOSITE[letter] for letter in edges.top)


def test_a_direction_without_length_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="the orientation is unknown"):
        edge_letters(affine((0, 0, 0), (0, 1, 0)))


@given(st.floats(0.03, 2000.0))
def test_the_ruler_fits_and_is_not_tiny(extent: float) -> None:
    assert ruler_mm(extent) <= 0.4 * extent
    assert ruler_mm(extent) >= 0.16 * extent

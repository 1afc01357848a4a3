import numpy as np
import pytest

from medconsist.errors import ShapeError
from medconsist.viewing.compare import absolute_difference, check_same_grid


def test_difference_compares_magnitudes_and_not_phases() -> None:
    image = np.array([[1 + 0j, 2 + 0j]])
    assert absolute_difference(image, image * 1j).tolist() == [[0.0, 0.0]]


def test_difference_is_symmetric_and_never_negative() -> None:
    image, other = np.array([[1.0, 5.0]]), np.array([[4.0, 3.0]])
    assert absolute_difference(image, other).tolist() == [[3.0, 2.0]]
    assert absolute_difference(other, image).tolist() == [[3.0, 2.0]]


def test_difference_does_not_rescale_either_image() -> None:
    image = np.array([[1.0, 2.0]])
    assert absolute_difference(2 * image, image).tolist() == [[1.0, 2.0]]


def test_panes_of_two_grids_are_refused_by_name() -> None:
    with pytest.raises(ShapeError, match=r"cs \(2, 2\), reference \(2, 3\)"):
        check_same_grid({"cs": np.ones((2, 2)), "reference": np.ones((2, 3))})

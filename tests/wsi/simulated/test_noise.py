"""Fields and random cells are the same from wherever they are read."""

import numpy as np

from medconsist.wsi.simulated.noise import NoiseField, cell_randoms


def test_field_passes_through_its_lattice() -> None:
    field = NoiseField.draw((1, 2), pitch=(4.0, 8.0), size=16)
    seen = field.sample(np.arange(0, 40, 4), np.arange(0, 64, 8))
    assert np.allclose(seen, field.lattice[:10, :8], atol=1e-6)


def test_field_repeats_after_its_lattice() -> None:
    field = NoiseField.draw((1, 2), pitch=4.0, size=16)
    near, far = (field.sample(np.arange(8) + shift, np.arange(8)) for shift in (-64, 128))
    assert np.allclose(near, far, atol=1e-6)


def test_a_part_of_a_field_equals_that_part_of_the_whole() -> None:
    field = NoiseField.draw((3,), pitch=5.3)
    whole = field.sample(np.arange(60), np.arange(80))
    # Sums of four products in float32, in another order.
    assert np.allclose(
        field.sample(np.arange(20, 30), np.arange(7, 50)), whole[20:30, 7:50], atol=1e-5
    )


def test_cells_keep_their_numbers() -> None:
    whole = cell_randoms(7, np.arange(-3, 10), np.arange(-2, 12), count=4)
    part = cell_randoms(7, np.arange(0, 5), np.arange(1, 3), count=4)
    assert np.array_equal(whole[:, 3:8, 3:5], part)


def test_cell_numbers_are_uniform_and_unrelated() -> None:
    numbers = cell_randoms(0, np.arange(200), np.arange(200), count=2)
    assert 0 <= numbers.min() < 1e-4
    assert 1 - 1e-4 < numbers.max() < 1
    # Standard error of a correlation over 40,000 pairs is .005.
    neighbours = np.corrcoef(numbers[0, :-1].ravel(), numbers[0, 1:].ravel())[0, 1]
    draws = np.corrcoef(numbers[0].ravel(), numbers[1].ravel())[0, 1]
    assert max(abs(neighbours), abs(draws)) < 0.025

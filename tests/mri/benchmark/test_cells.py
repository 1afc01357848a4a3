"""The cells: one shift at a time, every mask what it says at every size."""

import pytest
import torch

from medconsist.mri.benchmark.cells import MAIN, cells_of, dose_cells, kinds_of
from medconsist.mri.benchmark.dose import doses_of
from medconsist.mri.sampling_masks import effective_acceleration


def test_names_are_unique_and_the_cells_of_training_come_first() -> None:
    names = [cell.name for cell in cells_of(128)]
    assert len(set(names)) == len(names) == 25
    assert tuple(names[:4]) == MAIN


def test_every_shift_of_the_paper_is_there() -> None:
    shifts = {cell.shift for cell in cells_of(128)}
    assert shifts == {
        "",
        "acceleration",
        "contrast",
        "coils",
        "noise",
        "pattern",
        "pattern and contrast",
        "maps",
    }


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_every_mask_is_of_its_acceleration(size: int, generator: torch.Generator) -> None:
    for cell in cells_of(size):
        word = next(word for word in reversed(cell.name.split()) if word.endswith("x"))
        mask = cell.kind((size, size), generator)
        acquired, wanted = mask.sum(), size * size / float(word[:-1])
        step = size if "1-D" in cell.name else 1
        assert abs(float(acquired) - wanted) <= step / 2, (cell.name, effective_acceleration(mask))


def test_one_cell_differs_from_training_in_one_thing() -> None:
    usual = cells_of(128)[0].scans
    for cell in cells_of(128):
        other = [
            name
            for name in ("contrast", "coils", "snr")
            if getattr(cell.scans, name) != getattr(usual, name)
        ]
        assert len(other) + bool(cell.maps.said) <= 1


def test_the_dose_begins_with_a_cell_of_training() -> None:
    clean, *wrong = dose_cells(128)
    assert clean in cells_of(128)
    assert [cell.maps.relative for cell in wrong[:4]] == [0.02, 0.05, 0.1, 0.2]
    assert [cell.maps.shift for cell in wrong[4:]] == [1, 2, 4]


def test_scans_of_one_kind_are_drawn_once() -> None:
    kinds = kinds_of(cells_of(128))
    assert len(kinds) == 7
    assert sum(len(cells) for cells in kinds.values()) == 25


def test_two_axes_of_dose_are_found() -> None:
    smooth, moved = doses_of(cells_of(128))
    assert smooth.clean == moved.clean == "1-D 8x"
    assert list(smooth.levels) == pytest.approx([0.2, 0.5, 1, 2])
    assert list(moved.levels) == [1, 2, 4]
    assert doses_of(cells_of(128)[:4]) == ()

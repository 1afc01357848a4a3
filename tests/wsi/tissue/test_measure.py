"""The measurement of flags runs, refuses tuned seeds, and beats chance."""

import pytest

from medconsist.errors import RefusedInputError
from medconsist.wsi.tissue.measure import measure_flags, measure_stains


def test_flags_on_a_few_new_slides() -> None:
    measured = measure_flags([2000, 2001, 2002], size=(1024, 768))
    rows = {(row.flag, row.figure): row for row in measured}
    blank, spared = rows["blank", "sensitivity"], rows["blank", "specificity"]
    assert blank.proportion.unit_of_analysis == "slide"
    # JPEG rings along the rim of so small a place
    assert blank.mean_area > 0.7
    assert spared.mean_area > 0.99
    assert blank.proportion.n + spared.proportion.n == 3


def test_stains_of_one_seed_are_told_apart() -> None:
    right = [row for row in measure_stains([2000], size=(768, 640)) if row.n]
    assert [(row.true, row.found) for row in right] == [
        ("he", "he"),
        ("ihc", "ihc"),
        ("fluorescence", "fluorescence"),
    ]


@pytest.mark.parametrize("seeds", [[], [100], [1999, 2000]])
def test_seeds_that_thresholds_saw_are_refused(seeds: list[int]) -> None:
    with pytest.raises(RefusedInputError, match="seeds that thresholds have not seen"):
        measure_flags(seeds)

"""What a design decides, and what it refuses before minutes of training."""

import pytest

from medconsist.errors import RefusedInputError
from medconsist.mri.benchmark.design import LESION_CELLS, Design
from tests.mri.benchmark.tiny import tiny


def test_lesions_are_left_out_by_default_where_heads_have_no_room_for_them() -> None:
    assert Design(size=32).with_lesions == ()
    assert Design(size=64).with_lesions == Design().with_lesions == LESION_CELLS


def test_lesions_that_have_no_room_are_refused_before_training() -> None:
    said = "lesion_cells got 2-D 8x at a size of 32; allowed: a size of 64 or more"
    with pytest.raises(RefusedInputError, match=said):
        Design(size=32, lesion_cells=("2-D 8x",))


def test_unknown_lesion_cells_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="cells got 3-D 8x; allowed: 1-D 4x"):
        Design(lesion_cells=("3-D 8x",))


def test_a_default_is_written_down_as_what_it_is() -> None:
    assert Design().as_config()["lesion_cells"] == list(LESION_CELLS)
    assert Design(size=32).as_config()["lesion_cells"] == []
    assert Design().as_config() == Design(lesion_cells=LESION_CELLS).as_config()
    assert tiny(lesion_cells=()).as_config() == tiny().as_config()

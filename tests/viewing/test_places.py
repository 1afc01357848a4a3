"""Places that go between widget, panel and address."""

from typing import Any

import pytest

from medconsist.errors import RefusedInputError
from medconsist.viewing.places import asked_place, asked_slice, sent_pin


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "1,2,3",
        {"space": "slide", "at": [1, 2]},
        {"space": "voxel", "at": [1, 2]},
        {"space": "voxel", "at": "abc"},
        {"space": "voxel", "at": [1, 2, None]},
        {"space": "voxel", "at": 7},
    ],
)
def test_what_is_no_place_in_a_volume_is_none(sent: Any) -> None:
    assert sent_pin(sent, "voxel") is None
    assert asked_place(sent, "voxel") is None


def test_a_place_that_is_gone_to_keeps_the_number_of_the_request() -> None:
    asked = {"space": "voxel", "at": [1, 2, 3], "lead": None, "n": 4}
    assert asked_place(asked, "voxel") == {"at": [1.0, 2.0, 3.0], "lead": None, "n": 4}


@pytest.mark.parametrize("asked", ["0", "4", "-1", "1.0", "", "\u0663", " 1", "9" * 5000])
def test_a_slice_that_is_not_there_is_refused(asked: str) -> None:
    with pytest.raises(RefusedInputError, match="there are 1 to 3"):
        asked_slice(asked, 3)


def test_an_address_counts_slices_as_the_screen_does() -> None:
    assert [asked_slice(one, 3) for one in ("1", "3", None)] == [0, 2, None]

"""Tiles are of one size by their physical width; the step of imported bags says nothing."""

from dataclasses import dataclass

import pytest

from medconsist.wsi.bags.same_tiles import same_tiles


@dataclass(frozen=True)
class Cut:
    tile_px: int | None
    step_px: int | None
    target_mpp: float | None


NATIVE = Cut(256, 256, 0.5)


@pytest.mark.parametrize(
    ("other", "engine", "fits"),
    [
        (Cut(256, 256, 0.5), "native", True),
        (Cut(512, 512, 0.25), "native", True),
        (Cut(257, 257, 0.5), "native", True),  # 0.4 %
        (Cut(260, 260, 0.5), "native", False),  # 1.6 %
        (Cut(256, 128, 0.5), "native", False),
        (Cut(256, 32, 0.5), "clam", True),
        (Cut(256, 32, 0.5), "trident", True),
        (Cut(256, 256, None), "native", False),
        (Cut(None, None, None), "native", False),
    ],
)
def test_width_and_step_decide_and_the_step_of_imported_bags_does_not(
    other: Cut, engine: str, fits: bool
) -> None:
    assert same_tiles(NATIVE, other, engines=("native", engine)) is fits
    assert same_tiles(other, NATIVE, engines=(engine, "native")) is fits

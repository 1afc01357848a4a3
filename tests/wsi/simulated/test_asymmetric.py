"""The orientation picture tells every turn, flip and shift apart."""

from itertools import product
from pathlib import Path

import numpy as np
import openslide
import pytest

from medconsist.errors import RefusedInputError
from medconsist.wsi.simulate import SlideConfig, write_asymmetric_slide
from medconsist.wsi.simulated.asymmetric import asymmetric_pixels
from medconsist.wsi.simulated.letters import draw_text


def test_no_turn_or_flip_leaves_the_picture_the_same() -> None:
    pixels = asymmetric_pixels(320, 320).astype(int)
    for turns, flipped in product(range(4), (False, True)):
        moved = np.rot90(pixels.swapaxes(0, 1) if flipped else pixels, turns)
        if turns or flipped:
            assert np.abs(moved - pixels).mean() > 20


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (0, 64), (64, 0), (-37, 101)])
def test_no_shift_leaves_the_picture_the_same(shift: tuple[int, int]) -> None:
    pixels = asymmetric_pixels(640, 384).astype(int)
    moved = np.roll(pixels, shift, axis=(0, 1))
    assert np.abs(moved - pixels)[128:-128, 128:-128].mean() > 1


def test_openslide_reads_the_picture_upright(tmp_path: Path) -> None:
    path = tmp_path / "letters.svs"
    config = SlideConfig(width=900, height=500, quality=95, subsampling="444")
    pixels = write_asymmetric_slide(path, config)
    with openslide.OpenSlide(path) as slide:
        seen = np.asarray(slide.read_region((0, 0), 0, (900, 500)))[..., :3]
    # JPEG at quality 95.
    assert np.abs(seen.astype(int) - pixels).mean() < 3


def test_unknown_letters_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="No block letters for"):
        draw_text(np.zeros((9, 9, 3), np.uint8), "Q", at=(0, 0), scale=1, colour=(0, 0, 0))

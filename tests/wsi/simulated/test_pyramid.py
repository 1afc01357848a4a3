"""Levels are plain means of the level above, however the rows arrive."""

import io
from itertools import pairwise

import numpy as np
import pytest

from medconsist.wsi.simulate import SlideConfig
from medconsist.wsi.simulated.pyramid import Pyramid, Shrinker, shrink
from medconsist.wsi.simulated.tiff import TiffFile


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("step", [1, 2, 4, 16])
def test_shrinking_is_the_rounded_mean_of_blocks(step: int) -> None:
    pixels = noise(69, 83)
    height, width = 69 // step, 83 // step
    blocks = pixels[: height * step, : width * step].reshape(height, step, width, step, 3)
    assert np.array_equal(shrink(pixels, step=step), np.floor(blocks.mean(axis=(1, 3)) + 0.5))


def test_a_white_picture_stays_white_at_every_step() -> None:
    white = np.full((128, 64, 3), 255, np.uint8)
    for step in (2, 4, 8, 16, 32, 64):
        assert (shrink(white, step=step) == 255).all()


def test_strips_of_any_height_give_the_same_level() -> None:
    pixels, shrinker = noise(103, 40), Shrinker(4)
    cuts = (0, 1, 3, 50, 51, 98, 103)
    strips = [shrinker.push(pixels[a:b]) for a, b in pairwise(cuts)]
    assert np.array_equal(np.concatenate(strips), shrink(pixels, step=4))


def test_strips_of_any_height_give_the_same_file() -> None:
    config = SlideConfig(width=300, height=200, tile=64, levels=2)
    pixels, files = noise(200, 300), []
    for rows in (7, 64, 200):
        buffer = io.BytesIO()
        pyramid = Pyramid(TiffFile(buffer, big=False), config)
        for top in range(0, 200, rows):
            pyramid.push(pixels[top : top + rows])
        levels = pyramid.finish()
        data = buffer.getvalue()
        tiles = [
            data[start : start + count]
            for level in levels
            for start, count in zip(level.offsets, level.byte_counts, strict=True)
        ]
        files.append(tiles)
    assert files[0] == files[1] == files[2]

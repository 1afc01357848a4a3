"""Is another engine's picture the one of OpenSlide: sampled tiles of every level, bit for bit."""

import zlib

import numpy as np

from medconsist.errors import CorruptInputError
from medconsist.wsi.readers.facts import stored_tile
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide, exact_places
from medconsist.wsi.slide import Slide, SlideFacts

__all__ = ["difference", "sampled_boxes"]

Box = tuple[int, int, int, int]

_RANDOM_TILES = 1
_TILE = (256, 256)  # for a level that is not stored in tiles


def difference(slide: Slide, reference: OpenSlideSlide) -> str | None:
    """Return where a slide differs from OpenSlide's, None where all sampled pixels are equal.

    Parameters
    ----------
    slide
        By the engine in question.
    reference
        The same file by OpenSlide.

    Raises
    ------
    CorruptInputError
        OpenSlide cannot decode a sampled tile.
    """
    for level, (x, y, width, height) in sampled_boxes(reference):
        wanted = reference.read_region(level, x, y, width, height)
        where = f"on level {level} at {x}, {y}"
        try:
            seen = slide.read_region(level, x, y, width, height)
        except CorruptInputError as error:
            return f"{where}: {error}"
        most = int(np.abs(wanted.astype(np.int16) - seen).max())
        if most:
            return f"{where} by up to {most} of 255"
    return None


def sampled_boxes(reference: OpenSlideSlide) -> list[tuple[int, Box]]:
    """Return level and x, y, width, height of what is compared.

    On every level the first, the middle and the last tile and a random one, by a seed that
    comes from the facts of the file; each moved to the nearest place that OpenSlide reads without
    interpolation.
    """
    facts = reference.facts
    generator = np.random.default_rng(_seed(facts))
    boxes: list[tuple[int, Box]] = []
    for number, level in enumerate(facts.levels):
        tile = stored_tile(facts, number) or _TILE
        corners = []
        for axis, size in enumerate((level.width, level.height)):
            last = (size - 1) // tile[axis]
            random = generator.integers(0, last + 1, _RANDOM_TILES)
            wanted = np.asarray((0, last // 2, last, *random)) * tile[axis]
            places = exact_places(size, downsample=reference.downsamples[number])
            nearest = np.abs(places[:, None] - wanted).argmin(axis=0)
            corners.append([int(place) for place in places[nearest]])
        for x, y in sorted(set(zip(*corners, strict=True))):
            width, height = min(tile[0], level.width - x), min(tile[1], level.height - y)
            boxes.append((number, (x, y, width, height)))
    return boxes


def _seed(facts: SlideFacts) -> int:
    said = (facts.path.stat().st_size, facts.vendor, facts.levels)
    return zlib.crc32(repr(said).encode())

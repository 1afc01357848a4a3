"""The pixels of a simulated slide, drawn in fixed blocks, so that any rectangle is the same."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float, Integer, UInt8

from medconsist._extras import require
from medconsist.wsi.simulated.anatomy import Anatomy
from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.faults import BLUR_SIGMA_UM, FOLD_GAIN, INK, Fault, plant
from medconsist.wsi.simulated.stain import Palette
from medconsist.wsi.simulated.texture import StainMaps, Texture

__all__ = ["BLOCK", "Scene", "scene_of"]

BLOCK = 512
_SOFTNESS = 4.0
_MISSING = 255

Rows = Integer[np.ndarray, " rows"]
Columns = Integer[np.ndarray, " columns"]
Planes = Float[np.ndarray, "3 rows columns"]


@dataclass(frozen=True)
class Scene:
    """Anatomy, texture, colours and faults of one slide, put together.

    Parameters
    ----------
    config
        The slide.

    Examples
    --------
    >>> Scene(SlideConfig(width=128, height=64)).rectangle(0, 0, height=64, width=128).shape
    (64, 128, 3)
    """

    config: SlideConfig

    @cached_property
    def anatomy(self) -> Anatomy:
        """Where tissue and tumour lie."""
        return Anatomy(self.config)

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """The planted faults."""
        return plant(self.anatomy)

    @cached_property
    def _texture(self) -> Texture:
        return Texture(self.anatomy)

    @cached_property
    def _palette(self) -> Palette:
        return Palette(self.config)

    def strips(self) -> Iterator[UInt8[np.ndarray, "rows columns 3"]]:
        """Yield level 0 from the top in strips of one block."""
        width, height = self.config.width, self.config.height
        for top in range(0, height, BLOCK):
            yield self.rectangle(top, 0, height=min(BLOCK, height - top), width=width)

    def rectangle(
        self, y: int, x: int, *, height: int, width: int
    ) -> UInt8[np.ndarray, "rows columns 3"]:
        """Return the pixels of a rectangle inside level 0."""
        pixels = np.empty((height, width, 3), np.uint8)
        for row in range(y // BLOCK, -(-(y + height) // BLOCK)):
            for column in range(x // BLOCK, -(-(x + width) // BLOCK)):
                rows, to_rows = _overlap(row * BLOCK, y, height)
                columns, to_columns = _overlap(column * BLOCK, x, width)
                pixels[to_rows, to_columns] = self._block(row, column)[rows, columns]
        return pixels

    def _block(self, row: int, column: int) -> UInt8[np.ndarray, "rows columns 3"]:
        ys = np.arange(row * BLOCK, (row + 1) * BLOCK)
        xs = np.arange(column * BLOCK, (column + 1) * BLOCK)
        here = [fault for fault in self.faults if fault.touches(ys, xs)]
        planes = self._in_focus(ys, xs, here)
        planes = self._out_of_focus(planes, ys, xs, here)
        for fault in here:
            if fault.name in INK:
                cover = fault.cover(ys, xs, softness=_SOFTNESS)
                for plane, density in zip(planes, INK[fault.name], strict=True):
                    plane *= 10 ** (-np.float32(density) * cover)
        draw = np.random.default_rng((self.config.seed, 500, row, column))
        noise = draw.standard_normal((BLOCK, BLOCK), dtype=np.float32)
        planes += np.float32(self._palette.noise) * noise + np.float32(0.5)
        np.clip(planes, 0, _MISSING, out=planes)
        pixels = np.empty((BLOCK, BLOCK, 3), np.uint8)
        for channel, plane in enumerate(planes):
            pixels[..., channel] = plane
        for fault in here:
            if fault.name == "blank":
                pixels[fault.depth(ys, xs) > 0] = _MISSING
        return pixels

    def _in_focus(self, ys: Rows, xs: Columns, faults: list[Fault]) -> Planes:
        if self._texture.is_empty(ys, xs):
            flat = self._palette.background[:, None, None]
            return np.broadcast_to(flat, (3, len(ys), len(xs))).copy()
        maps = self._texture.draw(ys, xs)
        for fault in faults:
            if fault.name == "fold":
                gain = 1 + np.float32(FOLD_GAIN - 1) * fault.cover(ys, xs, softness=_SOFTNESS)
                maps = _amplified(maps, gain)
        return self._palette.colours(maps)

    def _out_of_focus(self, planes: Planes, ys: Rows, xs: Columns, faults: list[Fault]) -> Planes:
        for fault in faults:
            if fault.name != "blur":
                continue
            sigma = BLUR_SIGMA_UM / self.config.rendered_mpp
            margin = int(3 * sigma)
            wide = [np.arange(axis[0] - margin, axis[-1] + margin + 1) for axis in (ys, xs)]
            surroundings = self._in_focus(wide[0], wide[1], list(self.faults))
            smooth = require("scipy.ndimage", extra="wsi").gaussian_filter(
                surroundings, (0, sigma, sigma), truncate=3.0
            )[:, margin:-margin, margin:-margin]
            planes = planes + fault.cover(ys, xs, softness=2 * sigma) * (smooth - planes)
        return planes


def _amplified(maps: StainMaps, gain: Float[np.ndarray, "rows columns"]) -> StainMaps:
    parts = {name: plane * gain for name, plane in vars(maps).items() if plane.size > 1}
    return replace(maps, **parts)


def _overlap(start: int, wanted: int, length: int) -> tuple[slice, slice]:
    """Return where a block that starts at ``start`` is read, and where that part goes."""
    low, high = max(start, wanted), min(start + BLOCK, wanted + length)
    return slice(low - start, high - start), slice(low - wanted, high - wanted)


@lru_cache(maxsize=4)
def scene_of(config: SlideConfig) -> Scene:
    """Return the scene of ``config``; the last few keep their fields."""
    return Scene(config)

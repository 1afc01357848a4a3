"""The noise slide on which the speed of readers was first measured, at any size.

Two fields of normal numbers, 64 and 8 px apart, interpolated by cubics: d = .9 coarse + .5 mid, and
camera noise n of one grey level; tissue where coarse > -.2 has the colour 205 - 28 d - 5 n,
140 - 38 d - 6 n, 190 - 22 d - 5 n, and the background 243 + n, 243 + n, 245 + n. Tiles of 256 px at
quality 80 with 4:2:0 take about 10 KB, as real ones do.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.files import write_strips
from medconsist.wsi.simulated.noise import NoiseField

__all__ = ["write_recipe_slide"]

_COARSE, _MID, _CHUNK = 64.0, 8.0, 512
_TISSUE = ((205, 28, 5), (140, 38, 6), (190, 22, 5))
_GLASS = (243, 243, 245)


def write_recipe_slide(path: Path, config: SlideConfig) -> None:
    """Write the noise slide; of ``config`` only size, file layout and seed count.

    Raises
    ------
    StorageError
        If the disk is full or not writable.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "noise.tiff"
    >>> write_recipe_slide(path, SlideConfig(width=512, height=256, layout="tiff"))
    """
    write_strips(path, config, _strips(config))


def _strips(config: SlideConfig) -> Iterator[UInt8[np.ndarray, "rows columns 3"]]:
    draw = np.random.default_rng(config.seed)
    coarse, mid = (_field(draw, config, pitch=pitch) for pitch in (_COARSE, _MID))
    for top in range(0, config.height, _CHUNK):
        ys = np.arange(top, min(top + _CHUNK, config.height))
        strip = np.empty((len(ys), config.width, 3), np.uint8)
        for left in range(0, config.width, _CHUNK):
            xs = np.arange(left, min(left + _CHUNK, config.width))
            camera = np.random.default_rng((config.seed, 1, top, left))
            noise = camera.standard_normal((len(ys), len(xs)), dtype=np.float32)
            broad = coarse.sample(ys, xs)
            detail = np.float32(0.9) * broad + np.float32(0.5) * mid.sample(ys, xs)
            glass = broad <= np.float32(-0.2)
            for channel, (base, slope, grain) in enumerate(_TISSUE):
                plane = base - np.float32(slope) * detail - np.float32(grain) * noise
                plane[glass] = _GLASS[channel] + noise[glass]
                strip[:, left : left + len(xs), channel] = np.clip(plane, 0, 255)
        yield strip


def _field(draw: np.random.Generator, config: SlideConfig, *, pitch: float) -> NoiseField:
    size = tuple(int(length // pitch) + 1 for length in (config.height, config.width))
    return NoiseField(draw.standard_normal(size, dtype=np.float32), pitch=(pitch, pitch))

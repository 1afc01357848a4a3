"""Drawn slides in several files, and what the job of slides says of them."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch

from medconsist._extras import require
from medconsist.errors import NoMppError, NoTissueError
from medconsist.networks.resnet import RESNET18
from medconsist.results.schema import Result
from medconsist.tiling.grid import Items
from medconsist.tiling.source import Source
from medconsist.viewing.bench.faults.entry import Entry, Spot, raised_by
from medconsist.wsi.encoders.choice import make_encoder
from medconsist.wsi.encoders.encoder import IMAGENET, Encoder
from medconsist.wsi.encoders.weights import build_network
from medconsist.wsi.readers.level_tiles import LevelTiles
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.readers.self_check import difference, sampled_boxes
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simulate import SlideConfig, simulate_pixels, write_slide
from medconsist.wsi.slide import Slide
from medconsist.wsi.task import SlideJob, embed_slide
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["SLIDES"]

_UNIT = "drawn slide"
_SIDE, _TILE_PX, _MPP, _TISSUE = 768, 64, 0.5, 0.8
_LARGE: dict[str, Any] = {
    "width": 2048,
    "height": 1536,
    "tile": 128,
    "levels": 1,
}  # 192 stored tiles
_ENGINE_WORDS = "read by OpenSlide"
_NETWORK = "resnet18"
Name = Literal["colour-texture", "given", "random"]


def _slide(spot: Spot, *, suffix: str = ".svs", **changes: Any) -> Path:  # noqa: ANN401  of a slide
    path = spot.room / f"slide{suffix}"
    layout = "svs" if suffix == ".svs" else "tiff"
    facts: dict[str, Any] = {"width": _SIDE, "height": _SIDE, "mpp": _MPP, "tissue": _TISSUE}
    write_slide(path, SlideConfig(**facts | {"layout": layout, "seed": spot.seed} | changes))
    return path


def _write_weights(folder: Path) -> None:
    network = build_network(RESNET18, generator=torch.Generator().manual_seed(1))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    safetensors.torch.save_file(state, folder / "weights.safetensors")


@cache
def _encoder(name: Name, shared: Path) -> Encoder:
    shown = replace(IMAGENET, input_px=_TILE_PX)
    if name == "given":
        weights = shared / "_write_weights" / "weights.safetensors"
        return make_encoder(_NETWORK, weights=weights, preprocessing=shown)
    named = f"{_NETWORK}-random" if name == "random" else name
    return make_encoder(named, preprocessing=shown)


def _embedded(spot: Spot, path: Path, name: Name = "colour-texture") -> Result | None:
    """Return the result of a slide; None where no tissue was drawn that a run takes for some."""
    encoder = _encoder(name, spot.shared)
    job = SlideJob(
        slide=path, out=spot.room / "results", encoder=encoder, settings=Embedding(), threads=1
    )
    try:
        return embed_slide(job).stored.result
    except NoTissueError:
        return None


def _of_encoder(spot: Spot, *, name: Name) -> Result | None:
    return _embedded(spot, _slide(spot), name)


def _of_stain(spot: Spot, *, stain: str) -> Result | None:
    return _embedded(spot, _slide(spot, stain=stain))


def _of_mpp(spot: Spot, *, suffix: str, factor: float | None = 1.0) -> bool | None:
    """Return whether a run refuses a slide that says this for its microns per pixel."""
    path = _slide(spot, suffix=suffix, mpp=None if factor is None else factor * _MPP)
    try:
        return None if _embedded(spot, path) is None else False
    except NoMppError:
        return True


def _notes_of(spot: Spot, *, suffix: str | None) -> bool:
    """Return whether a slide was read by OpenSlide, and says so."""
    path = _deflated(spot) if suffix is None else _slide(spot, suffix=suffix)
    with open_slide(path) as slide:
        return any(_ENGINE_WORDS in note for note in slide.notes)


def _deflated(spot: Spot) -> Path:
    tifffile = require("tifffile", extra="wsi")
    config = SlideConfig(width=_SIDE, height=_SIDE, seed=spot.seed)
    path = spot.room / "slide.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            simulate_pixels(config, 0, 0, _SIDE, _SIDE),
            tile=(256, 256),
            compression="zlib",
            photometric="rgb",
            resolution=(10_000 / _MPP, 10_000 / _MPP),
            resolutionunit="CENTIMETER",
        )
    return path


class _OnePixelOff(Slide):
    """An engine whose level 0 differs from OpenSlide's by 1 of 255 in one pixel."""

    engine = "one pixel off"

    def __init__(self, reference: OpenSlideSlide, x: int, y: int) -> None:
        self.facts, self._reference, self._at = reference.facts, reference, (x, y)

    def read_region(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> npt.NDArray[np.uint8]:
        region = self._reference.read_region(level, x, y, width, height).copy()
        column, row = self._at[0] - x, self._at[1] - y
        if level == 0 and 0 <= column < width and 0 <= row < height:
            region[row, column, 1] ^= 1
        return region

    def tiles(self, grid: TileGrid, items: Items) -> Source:
        return LevelTiles(self, grid, items)

    def close(self) -> None:
        """Nothing is held."""


def _pixel_off(spot: Spot, *, is_compared: bool) -> bool:
    """Return whether the comparison of two engines finds a single pixel."""
    rng = spot.rng
    reference = OpenSlideSlide(_slide(spot, **_LARGE))
    with reference:
        x, y, width, height = 0, 0, *reference.facts.size
        if is_compared:
            boxes = [box for level, box in sampled_boxes(reference) if level == 0]
            x, y, width, height = boxes[int(rng.integers(len(boxes)))]
        place = int(rng.integers(x, x + width)), int(rng.integers(y, y + height))
        return difference(_OnePixelOff(reference, *place), reference) is not None


SLIDES: Mapping[str, Entry] = {
    "random_weights": Entry(
        unit=_UNIT,
        n=10,
        make={
            "colours": partial(_of_encoder, name="colour-texture"),
            "given": partial(_of_encoder, name="given"),
            "random": partial(_of_encoder, name="random"),
        },
        raised=raised_by("random_weights"),
        needs=(_write_weights,),
    ),
    "not_assessed": Entry(
        unit=_UNIT,
        n=12,
        make={stain: partial(_of_stain, stain=stain) for stain in ("he", "fluorescence", "ihc")},
        raised=raised_by("not_assessed"),
    ),
    "other_engine": Entry(
        unit=_UNIT,
        n=20,
        make={
            "jpeg": partial(_notes_of, suffix=".svs"),
            "deflate": partial(_notes_of, suffix=None),
            "pixel_compared": partial(_pixel_off, is_compared=True),
            "pixel_anywhere": partial(_pixel_off, is_compared=False),
        },
        raised=bool,
    ),
    "mpp_unknown": Entry(
        unit=_UNIT,
        n=10,
        make={
            "svs": partial(_of_mpp, suffix=".svs"),
            "tiff": partial(_of_mpp, suffix=".tif"),
            "svs_without": partial(_of_mpp, suffix=".svs", factor=None),
            "tiff_without": partial(_of_mpp, suffix=".tif", factor=None),
            "implausible": partial(_of_mpp, suffix=".svs", factor=100.0),
            "halved": partial(_of_mpp, suffix=".svs", factor=0.5),
        },
        raised=bool,
    ),
}
"""Alarms of slides."""

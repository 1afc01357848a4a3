"""The file of TRIDENT: ``<slide>.h5`` with ``features`` and ``coords``.

Layout as in github.com/mahmoodlab/TRIDENT, commit a91fa84 (data in, data out; no code was copied).
Coordinates are level-0 x, y of OpenSlide, ``openslide.bounds-*`` included. TRIDENT snaps the
microns per pixel to a magnification (0.30 to 0.59 all count as 20x) and rounds the width of a tile
on level 0 to whole pixels, so its scale is never exact, and the header says so. We write contiguous
arrays where TRIDENT writes chunks of one row.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.guarded_hdf5 import (
    BUDGET_BYTES,
    Attribute,
    Attributes,
    Dataset,
    open_guarded,
    write_datasets,
)
from medconsist.wsi.bags.imported import (
    ForeignSlide,
    Placement,
    imported_bag,
    require_same_extent,
)
from medconsist.wsi.mpp import Mpp

__all__ = [
    "SNAPPED",
    "TridentFeatures",
    "TridentFrame",
    "read_trident",
    "trident_bag",
    "write_trident",
]

SNAPPED = "trident (snapped)"
_MPP_OF_1X = 10.0  # um/px: 40x is 0.25 by TRIDENT's table, whatever the scanner measured


@dataclass(frozen=True, kw_only=True)
class TridentFrame:
    """The attributes of both arrays, by their names there.

    Parameters
    ----------
    patch_size, overlap
        Width of a tile and what neighbours share [px at ``target_magnification``].
    patch_size_level0
        ``patch_size * level0_magnification // target_magnification`` [level-0 px].
    level0_magnification, target_magnification
        Snapped to 5, 10, 20, 40, 60, 80.
    level0_width, level0_height
        Of the slide [px].
    name, savetodir
        Of the slide, and the folder that TRIDENT wrote to.
    encoder
        Name of the encoder.

    Examples
    --------
    >>> TridentFrame(patch_size=256, patch_size_level0=512, level0_magnification=40,
    ...     target_magnification=20, overlap=64, name="a", savetodir="out", level0_width=9000,
    ...     level0_height=7000, encoder="uni_v1").step_level0
    384
    """

    patch_size: int
    patch_size_level0: int
    level0_magnification: int
    target_magnification: int
    overlap: int
    name: str
    savetodir: str
    level0_width: int
    level0_height: int
    encoder: str

    def __post_init__(self) -> None:
        sizes = (self.patch_size, self.patch_size_level0)
        powers = (self.level0_magnification, self.target_magnification)
        if min(*sizes, *powers) < 1 or not 0 <= self.overlap < self.patch_size:
            msg = (
                f"{self.name}: patch sizes {sizes} and magnifications {powers} must be 1 or more, "
                f"overlap {self.overlap} within 0..patch_size-1."
            )
            raise RefusedInputError(msg)

    @property
    def step_level0(self) -> int:
        """From one tile to the next [level-0 px]."""
        shared = self.overlap * self.level0_magnification // self.target_magnification
        return max(1, self.patch_size_level0 - shared)


@dataclass(frozen=True, eq=False)
class TridentFeatures:
    """What ``<slide>.h5`` holds; no tile at all is allowed, as TRIDENT writes it.

    Examples
    --------
    >>> TridentFeatures.__dataclass_params__.frozen
    True
    """

    features: Float[Tensor, "tiles features"]
    coords: Int64[np.ndarray, "places 2"]
    frame: TridentFrame


def read_trident(path: Path, *, budget_bytes: int = BUDGET_BYTES) -> TridentFeatures:
    """Read ``<slide>.h5``; features keep their type (fp16, fp32).

    Raises
    ------
    MissingInputError, UnsafeFileError, TruncatedFileError, BudgetError
        See `open_guarded`.
    RefusedInputError
        Another layout; names the array or attribute.
    """
    with open_guarded(path, budget_bytes=budget_bytes) as file:
        features = file.array("features", kinds="f")
        coords = file.places("coords")
        frame = _frame(file.attributes("coords"), file.attributes("features"))
    return TridentFeatures(torch.from_numpy(features), coords, frame)


def trident_bag(found: TridentFeatures, slide: ForeignSlide) -> Bag:
    """Return the bag of a slide that TRIDENT embedded.

    Without ``slide.mpp`` the microns per pixel are those of the snapped magnification, and
    ``mpp_source`` is ``"trident (snapped)"``: never taken for exact.

    Raises
    ------
    ShapeError
        Not one place for each feature.
    RefusedInputError
        A feature that fp16 cannot hold.
    """
    frame = found.frame
    snapped = _MPP_OF_1X / frame.level0_magnification
    note = (
        f"TRIDENT read tiles of {frame.patch_size} px (overlap {frame.overlap}) at "
        f"{frame.target_magnification}x of {frame.level0_magnification}x: magnifications are "
        f"snapped and {frame.patch_size_level0} level-0 px rounded, so the scale is not exact."
    )
    placement = Placement(
        tile_px=frame.patch_size_level0,
        step_px=frame.step_level0,
        engine="trident",
        mpp=slide.mpp or Mpp(snapped, snapped, SNAPPED),
        notes=(note, "Coordinates are whole level-0 pixels, bounds included."),
    )
    return imported_bag(found.features, found.coords, slide=slide, placement=placement)


def write_trident(path: Path, bag: Bag, frame: TridentFrame) -> None:
    """Write a bag as ``<slide>.h5`` of TRIDENT; there whole or not at all.

    Parameters
    ----------
    path
        ``*.h5``; replaced if it exists.
    bag
        Features become float32; coordinates the whole pixels of ``Bag.coords``.
    frame
        Attributes; ``patch_size_level0`` must be the width of the tiles, to the pixel.

    Raises
    ------
    RefusedInputError
        The frame is of other tiles.
    StorageError
        The disk is full or not writable.
    """
    require_same_extent(bag, float(frame.patch_size_level0), layout="TRIDENT")
    shared: dict[str, Attribute] = {"name": frame.name, "savetodir": frame.savetodir}
    of_coords: dict[str, Attribute] = {
        "patch_size": frame.patch_size,
        "patch_size_level0": frame.patch_size_level0,
        "level0_magnification": frame.level0_magnification,
        "target_magnification": frame.target_magnification,
        "overlap": frame.overlap,
        "level0_width": frame.level0_width,
        "level0_height": frame.level0_height,
    }
    features = Dataset(bag.features.float().numpy(), shared | {"encoder": frame.encoder})
    coords = Dataset(bag.coords.numpy().astype(np.int64), shared | of_coords)
    write_datasets(path, {"features": features, "coords": coords})


def _frame(coords: Attributes, features: Attributes) -> TridentFrame:
    return TridentFrame(
        patch_size=coords.whole("patch_size"),
        patch_size_level0=coords.whole("patch_size_level0"),
        level0_magnification=coords.whole("level0_magnification"),
        target_magnification=coords.whole("target_magnification"),
        overlap=coords.whole("overlap"),
        name=coords.text("name"),
        savetodir=coords.text("savetodir"),
        level0_width=coords.whole("level0_width"),
        level0_height=coords.whole("level0_height"),
        encoder=features.text("encoder"),
    )

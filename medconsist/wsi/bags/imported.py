"""Bags of other programs: what their files leave open, and the grid that their places give."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medconsist._records import make_record
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.wsi.bags.bag import Bag, make_bag
from medconsist.wsi.bags.header import UNKNOWN, BagGrid, BagHeader, EncoderRecord
from medconsist.wsi.mpp import Mpp

__all__ = ["ForeignSlide", "Placement", "imported_bag", "require_same_extent"]

_INT32 = 2**31 - 1
_EXPORTED_PX = 1.0  # a foreign file holds whole pixels: a tile may differ by less than one


@dataclass(frozen=True, kw_only=True)
class ForeignSlide:
    """What a file of another program does not say about its slide.

    Parameters
    ----------
    slide
        Name of the slide.
    encoder
        That made the features.
    slide_sha256, patient, case
        None if unknown.
    mpp
        Of level 0; None leaves it to what the file says, or unknown.

    Examples
    --------
    >>> ForeignSlide(slide="a", encoder=EncoderRecord(name="uni")).mpp is None
    True
    """

    slide: str
    encoder: EncoderRecord
    slide_sha256: str | None = None
    patient: str | None = None
    case: str | None = None
    mpp: Mpp | None = None


@dataclass(frozen=True, kw_only=True)
class Placement:
    """How the tiles of a foreign file lie on level 0.

    Parameters
    ----------
    tile_px, step_px
        Width of a tile, and from one to the next [level-0 px], whole numbers.
    engine
        Program that wrote the file.
    mpp
        Of level 0; None is unknown.
    notes
        Sentences for the header.

    Raises
    ------
    RefusedInputError
        A width or step below one pixel or beyond int32.

    Examples
    --------
    >>> Placement(tile_px=512, step_px=512, engine="clam").mpp is None
    True
    """

    tile_px: int
    step_px: int
    engine: str
    mpp: Mpp | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.tile_px, self.step_px) < 1 or max(self.tile_px, self.step_px) > _INT32:
            msg = (
                f"Tiles of {self.tile_px:.6g} level-0 px, {self.step_px:.6g} apart, cannot be; "
                f"allowed: 1 to {_INT32}. Is the {self.engine} file of another layout?"
            )
            raise RefusedInputError(msg)


def imported_bag(
    features: Float[Tensor, "tiles features"],
    coords: Int64[np.ndarray, "places 2"],
    *,
    slide: ForeignSlide,
    placement: Placement,
) -> Bag:
    """Return the bag of a foreign file; its coordinates are kept to the pixel.

    The file holds whole level-0 pixels and no exact scale, so the grid of the bag is one of
    level-0 pixels (scale 1): its origin is the smallest x and y, its step the one of the file, or
    the greatest common divisor of all distances where the tiles lie on no grid of that step.

    Raises
    ------
    ShapeError
        Not one place for each feature.
    RefusedInputError
        Places beyond int32 or further apart than it holds, a feature that fp16 cannot hold, or an
        id or sha256 of the slide that is none.
    """
    if len(features) != len(coords):
        msg = f"{slide.slide}: {len(features)} features and {len(coords)} places. Is a file cut?"
        raise ShapeError(msg)
    low, high = int(coords.min(initial=0)), int(coords.max(initial=0))
    if max(-low, high, high - low) > _INT32:
        msg = (
            f"{slide.slide}: tiles lie from {low} to {high} px; allowed are places and distances "
            f"up to {_INT32}. Is the file of another layout?"
        )
        raise RefusedInputError(msg)
    origin = coords.min(axis=0) if len(coords) else np.zeros(2, np.int64)
    step, note = _common_step(coords - origin, placement.step_px)
    index = (coords - origin) // step
    mpp = placement.mpp
    header = make_record(
        BagHeader,
        slide=slide.slide,
        slide_sha256=slide.slide_sha256,
        patient=slide.patient,
        case=slide.case,
        encoder=slide.encoder,
        grid=_grid(origin, index, step, placement),
        mpp_x=mpp.x if mpp else None,
        mpp_y=mpp.y if mpp else None,
        mpp_source=mpp.source if mpp else UNKNOWN,
        engine=placement.engine,
        notes=(*placement.notes, *note),
    )
    return make_bag(features, torch.from_numpy(index.astype(np.int32)), header=header)


def require_same_extent(bag: Bag, wanted_px: float, *, layout: str) -> None:
    """Refuse an export whose tiles would not be those of the bag.

    Raises
    ------
    RefusedInputError
        A tile of the bag covers other than ``wanted_px`` level-0 pixels, by one pixel or more.
    """
    grid = bag.header.grid
    for scale in (grid.scale_x, grid.scale_y):
        covered = grid.tile_px * scale
        if abs(covered - wanted_px) >= _EXPORTED_PX:
            msg = (
                f"A tile of {bag.header.slide} covers {covered:.6g} level-0 pixels; the {layout} "
                f"attributes say {wanted_px:.6g}. Give the patch size and level of these tiles."
            )
            raise RefusedInputError(msg)


def _common_step(distances: Int64[np.ndarray, "tiles 2"], hint: int) -> tuple[int, tuple[str, ...]]:
    if not (distances % hint).any():
        return hint, ()
    step = int(np.gcd.reduce(distances, axis=None))
    note = f"The tiles lie on no grid of step {hint} level-0 px; the index counts {step} px."
    return step, (note,)


def _grid(
    origin: Int64[np.ndarray, " 2"],
    index: Int64[np.ndarray, "tiles 2"],
    step: int,
    placement: Placement,
) -> BagGrid:
    columns, rows = (index.max(axis=0) if len(index) else np.zeros(2, np.int64)).tolist()
    mpp = placement.mpp
    return BagGrid(
        tile_px=placement.tile_px,
        step_px=step,
        target_mpp=mpp.x if mpp and mpp.x == mpp.y else None,
        origin_x=float(origin[0]),
        origin_y=float(origin[1]),
        scale_x=1.0,
        scale_y=1.0,
        width=columns * step + placement.tile_px,
        height=rows * step + placement.tile_px,
        columns=columns + 1,
        rows=rows + 1,
    )

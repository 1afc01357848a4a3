"""A slide as one small picture: the lowest useful level, read in blocks, reduced by area."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt, UInt8

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.affine import Affine
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.slide import Level, Slide

__all__ = ["Overview", "overview"]

# A level this much coarser than asked for is taken: stored sizes round down, 8 becomes 8.01.
_COARSER = 1.1
_BLOCK_PX = 2048


@dataclass(frozen=True, kw_only=True)
class Overview:
    """A small picture of a slide and the place of its pixels.

    Parameters
    ----------
    picture
        RGB.
    affine
        From (row, column) of the picture to (y, x) of level 0; pixel ``i`` covers ``[i, i + 1)``.
    mpp
        Of level 0.

    Raises
    ------
    ShapeError
        The picture is empty or the affine has not two axes.
    RefusedInputError
        The affine mirrors: a scale is below 0.

    Examples
    --------
    >>> white = np.full((30, 40, 3), 255, np.uint8)
    >>> small = Overview(picture=white, affine=Affine((0.0, 0.0), (16.0, 16.0)),
    ...                  mpp=Mpp(0.5, 0.25, "given"))
    >>> small.pixel_um, small.pixel_mm2
    ((4.0, 8.0), 3.2e-05)
    """

    picture: UInt8[np.ndarray, "rows columns 3"]
    affine: Affine
    mpp: Mpp

    def __post_init__(self) -> None:
        if self.picture.size == 0 or len(self.affine.scale) != 2:
            msg = (
                "an overview needs a picture of one pixel or more and an affine of two axes, got "
                f"{self.picture.shape} and {self.affine}."
            )
            raise ShapeError(msg)
        if min(self.affine.scale) < 0:
            msg = f"the scale of an overview must be above 0 along both axes, got {self.affine}."
            raise RefusedInputError(msg)

    @property
    def pixel_um(self) -> tuple[float, float]:
        """Height and width of a pixel of the picture [um]."""
        return self.affine.scale[0] * self.mpp.y, self.affine.scale[1] * self.mpp.x

    @property
    def pixel_mm2(self) -> float:
        """Area of a pixel of the picture [mm^2]."""
        height, width = self.pixel_um
        return height * width * 1e-6


def overview(slide: Slide, *, mpp: Mpp, target_mpp: float | int = 8.0) -> Overview:
    """Return the whole slide at about ``target_mpp``; beside it no more than a block is held.

    The coarsest level of at most ``1.1 target_mpp`` is read in blocks; each pixel of the overview
    is the mean of ``k x l`` pixels of it, with the whole numbers nearest to the target along each
    axis. The affine states what came out, exactly. A slide without a pyramid is read from level 0,
    every pixel of it.

    Parameters
    ----------
    slide
        Open.
    mpp
        Of level 0.
    target_mpp
        Wanted size of a pixel [um], above 0.

    Raises
    ------
    RefusedInputError
        The target is not above 0.
    CorruptInputError
        The slide cannot be read.
    """
    if not 0 < target_mpp < np.inf:
        msg = f"target_mpp must be finite and above 0, got {target_mpp}; 8 um is usual."
        raise RefusedInputError(msg)
    number = _useful_level(slide.facts.levels, mpp, float(target_mpp))
    level = slide.facts.levels[number]
    scale = level.affine(slide.facts.levels[0]).scale
    target = float(target_mpp)
    factors = (_factor(target, scale[0] * mpp.y), _factor(target, scale[1] * mpp.x))
    picture = np.empty((-(-level.height // factors[0]), -(-level.width // factors[1]), 3), np.uint8)
    for y, x in _blocks(level, factors):
        height, width = _block_size(factors)
        region = slide.read_region(
            number, x, y, min(width, level.width - x), min(height, level.height - y)
        )
        small = area_reduced(region, factors)
        row, column = y // factors[0], x // factors[1]
        picture[row : row + small.shape[0], column : column + small.shape[1]] = small
    pixel = Affine((0.0, 0.0), (scale[0] * factors[0], scale[1] * factors[1]))
    return Overview(picture=picture, affine=pixel, mpp=mpp)


def area_reduced(
    picture: UInt8[np.ndarray, "rows columns 3"], factors: tuple[int, int]
) -> UInt8[np.ndarray, "fewer_rows fewer_columns 3"]:
    """Return the means of blocks, rounded; those at the end average what there is of them."""
    if factors == (1, 1):
        return picture
    # 2^24 bytes and half their number fit into 32 bits: half the memory of a block
    wide = np.uint32 if factors[0] * factors[1] < 2**24 else np.uint64
    rows, n_rows = _summed(picture, factors[0], wide)
    both, n_columns = _summed(rows.swapaxes(0, 1), factors[1], wide)
    count = n_rows[:, None, None] * n_columns[:, None]
    return ((both.swapaxes(0, 1) + count // 2) // count).astype(np.uint8)


def _summed(
    values: np.ndarray, factor: int, wide: type[np.unsignedinteger]
) -> tuple[UInt[np.ndarray, "..."], UInt[np.ndarray, " n"]]:
    """Sum ``factor`` neighbours along the first axis; the second answer counts them."""
    whole = values.shape[0] // factor * factor
    sums = values[:whole].reshape(-1, factor, *values.shape[1:]).sum(1, dtype=wide)
    count = np.full(len(sums), factor, wide)
    rest = values[whole:]
    if len(rest):
        sums = np.concatenate([sums, rest.sum(0, dtype=wide, keepdims=True)])
        count = np.append(count, wide(len(rest)))
    return sums, count


def _useful_level(levels: tuple[Level, ...], mpp: Mpp, target: float) -> int:
    useful = 0
    for number, level in enumerate(levels):
        scale = level.affine(levels[0]).scale
        if max(scale[0] * mpp.y, scale[1] * mpp.x) <= _COARSER * target:
            useful = number
    return useful


def _factor(target: float, pixel_um: float) -> int:
    return max(1, round(target / pixel_um))


def _block_size(factors: tuple[int, int]) -> tuple[int, int]:
    """Return a height and width that are multiples of the factors, near `_BLOCK_PX`."""
    height, width = (max(1, _BLOCK_PX // factor) * factor for factor in factors)
    return height, width


def _blocks(level: Level, factors: tuple[int, int]) -> Iterator[tuple[int, int]]:
    height, width = _block_size(factors)
    for y in range(0, level.height, height):
        for x in range(0, level.width, width):
            yield y, x

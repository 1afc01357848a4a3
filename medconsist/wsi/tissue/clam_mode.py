"""Segmentation as CLAM does it, so that bags can be compared with published ones."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, UInt8

from medconsist._extras import require
from medconsist.errors import BudgetError, RefusedInputError
from medconsist.tiling.affine import Affine
from medconsist.wsi.slide import Level, Slide
from medconsist.wsi.tissue.clam_contours import Ring, traced_pieces

__all__ = ["CLAM_PRESETS", "ClamConfig", "ClamRegion", "clam_level", "clam_regions", "clam_slide"]

_MOST_PIXELS = 100_000_000  # CLAM gives up above 1e8 pixels too
_REFERENCE_PX = 512
_SHIFT = 12


@dataclass(frozen=True, kw_only=True)
class ClamConfig:
    """Parameters by CLAM's own names.

    Parameters
    ----------
    sthresh
        Saturation above it is tissue [0 to 255]; not used if ``otsu``.
    mthresh
        Side of the median filter [px], odd.
    close
        Side of the square of the closing [px]; 0 leaves it out.
    a_t, a_h
        Least area of tissue and of a hole, in units of 512 x 512 level-0 pixels.
    max_n_holes
        So many largest holes of each piece are kept, then those above ``a_h``.
    otsu
        Otsu's threshold in place of ``sthresh``.

    Raises
    ------
    RefusedInputError
        A value is out of range.

    Examples
    --------
    >>> CLAM_PRESETS["bwh_biopsy"].sthresh
    15
    """

    sthresh: int = 8
    mthresh: int = 7
    close: int = 4
    a_t: int = 100
    a_h: int = 16
    max_n_holes: int = 8
    otsu: bool = False

    def __post_init__(self) -> None:
        small = min(self.close, self.a_t, self.a_h, self.max_n_holes) < 0
        if small or not 0 <= self.sthresh <= 255 or self.mthresh < 1 or self.mthresh % 2 == 0:
            msg = (
                "ClamConfig needs sthresh within 0 to 255, an odd mthresh of 1 or more and nothing "
                f"below 0, got {self}."
            )
            raise RefusedInputError(msg)


CLAM_PRESETS: Mapping[str, ClamConfig] = {
    "default": ClamConfig(),
    "bwh_biopsy": ClamConfig(sthresh=15, mthresh=11, close=2, a_t=1, a_h=1, max_n_holes=2),
    "bwh_resection": ClamConfig(sthresh=15, mthresh=11),
    "tcga": ClamConfig(a_t=16, a_h=4),
}


@dataclass(frozen=True, kw_only=True)
class ClamRegion:
    """One piece of tissue: rings of (x, y) in whole level-0 pixels, cut as CLAM cuts them.

    Examples
    --------
    >>> square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]])
    >>> ClamRegion(outline=square, holes=()).outline.max()
    np.int64(9)
    """

    outline: Ring
    holes: tuple[Ring, ...]


def clam_level(levels: tuple[Level, ...]) -> int:
    """Return the coarsest level with a downsample of 64 or less, as OpenSlide chooses for CLAM."""
    base = levels[0]
    downsample = [sum(level.affine(base).scale) / 2 for level in levels]
    return max((at for at, value in enumerate(downsample) if value <= 64), default=0)


def clam_slide(slide: Slide, *, config: ClamConfig | None = None) -> list[ClamRegion]:
    """Return the pieces of tissue of a slide, segmented on `clam_level`.

    Raises
    ------
    BudgetError
        That level has more than 1e8 pixels: a slide without a pyramid.
    """
    number = clam_level(slide.facts.levels)
    level = slide.facts.levels[number]
    if level.width * level.height > _MOST_PIXELS:
        msg = (
            f"CLAM mode reads level {number} whole, and {level.width} x {level.height} px are more "
            "than 1e8. Use the mask of medconsist for slides without a pyramid."
        )
        raise BudgetError(msg)
    picture = slide.read_region(number, 0, 0, level.width, level.height)
    return clam_regions(picture, level.affine(slide.facts.levels[0]), config=config)


def clam_regions(
    picture: UInt8[np.ndarray, "rows columns 3"],
    affine: Affine,
    *,
    config: ClamConfig | None = None,
) -> list[ClamRegion]:
    """Return pieces of tissue with their holes by CLAM's rules, without OpenCV.

    Saturation of HSV in OpenCV's integers, median filter, threshold, closing, borders of pieces
    (which touch at corners) and of holes, areas of the polygons through the centres of border
    pixels: a rectangle of w x h pixels has (w - 1)(h - 1), a hole of w x h has
    (w + 1)(h + 1) - 2. These are OpenCV's own areas; what a mask counts is w h. A piece is kept if
    its area less all its holes is above ``a_t`` units of ``int(512^2 / (ds_x ds_y))`` pixels.
    OpenCV's closing with an even square moves the mask one pixel down and right, and so does this.
    Written from OpenCV's documentation and CLAM's rules, not run against either.

    Parameters
    ----------
    picture
        The level that is segmented, RGB.
    affine
        From (row, column) of it to (y, x) of level 0.

    References
    ----------
    M. Y. Lu et al., Nat. Biomed. Eng. 5 (2021) 555, doi:10.1038/s41551-020-00682-w; S. Suzuki,
    K. Abe, Comput. Vis. Graph. Image Process. 30 (1985) 32 (borders).
    """
    config = config or ClamConfig()
    mask = clam_mask(picture, config=config)
    unit = int(_REFERENCE_PX**2 / (affine.scale[0] * affine.scale[1]))
    regions = []
    for piece in traced_pieces(mask):
        if piece.net_area <= 0 or piece.net_area <= config.a_t * unit:
            continue
        sized = sorted(zip(piece.hole_areas, piece.holes, strict=True), key=lambda one: -one[0])
        kept = [ring for area, ring in sized[: config.max_n_holes] if area > config.a_h * unit]
        regions.append(
            ClamRegion(
                outline=_scaled(piece.outline, affine),
                holes=tuple(_scaled(ring, affine) for ring in kept),
            )
        )
    return regions


def clam_mask(
    picture: UInt8[np.ndarray, "rows columns 3"], *, config: ClamConfig
) -> Bool[np.ndarray, "rows columns"]:
    """Return the mask before any piece is dropped."""
    blurred = _median(_saturation(picture), config.mthresh)
    threshold = float(config.sthresh)
    if config.otsu:
        flat = np.ptp(blurred) == 0
        filters = require("skimage.filters", extra="wsi")
        threshold = float(blurred.flat[0]) if flat else float(filters.threshold_otsu(blurred))
    mask = blurred > threshold
    return mask if config.close < 2 else _closed(mask, config.close)


def _saturation(
    picture: UInt8[np.ndarray, "rows columns 3"],
) -> UInt8[np.ndarray, "rows columns"]:
    """Return S of HSV in 12-bit fixed point: 255 (max - min) / max, rounded."""
    most = picture.max(-1).astype(np.int64)
    spread = most - picture.min(-1)
    per_unit = np.rint((255 << _SHIFT) / np.maximum(np.arange(256), 1)).astype(np.int64)
    per_unit[0] = 0
    return ((spread * per_unit[most] + (1 << (_SHIFT - 1))) >> _SHIFT).astype(np.uint8)


def _median(plane: UInt8[np.ndarray, "rows columns"], side: int) -> npt.NDArray[np.uint8]:
    """Median over a square; the border repeats."""
    if side == 1:
        return plane
    reach = side // 2
    wide = np.pad(plane, reach, mode="edge")
    median = require("skimage.filters.rank", extra="wsi").median
    return median(wide, np.ones((side, side), np.uint8))[reach:-reach, reach:-reach]


def _closed(mask: Bool[np.ndarray, "rows columns"], side: int) -> Bool[np.ndarray, "rows columns"]:
    """Dilate, then erode, by the offsets ``-(side // 2)`` to ``side - 1 - side // 2`` each time."""
    wide = np.pad(mask, side)
    grown = _over_square(wide, side, np.logical_or)
    # outside the picture never erodes
    inside = np.pad(grown[side:-side, side:-side], side, constant_values=True)
    return _over_square(inside, side, np.logical_and)[side:-side, side:-side]


def _over_square(mask: npt.NDArray[np.bool_], side: int, join: np.ufunc) -> npt.NDArray[np.bool_]:
    for axis in (0, 1):
        moved = [np.roll(mask, side // 2 - at, axis) for at in range(side)]
        mask = join.reduce(moved)
    return mask


def _scaled(ring: Ring, affine: Affine) -> Ring:
    """Return (x, y) at level 0, the fraction cut off as CLAM does."""
    return affine.to_place(ring)[:, ::-1].astype(np.int64)

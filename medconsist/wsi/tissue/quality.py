"""Every flag of a slide at once: masks on the overview, and what share of the tissue they touch."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool

from medconsist._extras import require
from medconsist.wsi.tissue.blank import blank_mask
from medconsist.wsi.tissue.blur import BlurConfig, ReadTiles, blur_mask
from medconsist.wsi.tissue.fold import FoldConfig, fold_mask
from medconsist.wsi.tissue.mask import TissueMask
from medconsist.wsi.tissue.overview import Overview
from medconsist.wsi.tissue.pen import PenConfig, pen_mask

__all__ = ["FLAGS", "Quality", "QualityConfig", "quality_flags"]

FLAGS = ("pen", "fold", "blur", "blank")

Mask = Bool[np.ndarray, "rows columns"]


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """The thresholds of every flag.

    Examples
    --------
    >>> QualityConfig().blur.threshold
    0.41
    """

    pen: PenConfig = field(default_factory=PenConfig)
    fold: FoldConfig = field(default_factory=FoldConfig)
    blur: BlurConfig = field(default_factory=BlurConfig)
    blank_min_mm2: float = 0.02


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Flags that were assessed, and why the others were not.

    Parameters
    ----------
    masks
        On the grid of the overview, by name.
    shares
        Area of each flag over that of the tissue with its lumens, ink and missing places
        (filled outlines); None where there is no tissue.
    not_assessed
        Name and reason.

    Examples
    --------
    >>> Quality(masks={}, shares={}, not_assessed={"blur": "no tiles"}).not_assessed
    {'blur': 'no tiles'}
    """

    masks: Mapping[str, Mask]
    shares: Mapping[str, float | None]
    not_assessed: Mapping[str, str]


def quality_flags(
    overview: Overview,
    tissue: TissueMask,
    *,
    read: ReadTiles | None = None,
    config: QualityConfig | None = None,
) -> Quality:
    """Return pen, fold, blur and blank masks; what cannot be judged is named, never guessed.

    Pen needs bright field; folds need H&E (clusters of DAB form bands too); blur needs ``read``.
    """
    config = config or QualityConfig()
    kind = tissue.stain.kind
    masks: dict[str, Mask] = {"blank": blank_mask(overview, min_mm2=config.blank_min_mm2)}
    missing: dict[str, str] = {}
    if kind == "fluorescence":
        missing["pen"] = "ink is not seen in fluorescence"
    else:
        masks["pen"] = pen_mask(overview, config=config.pen)
    if kind == "he":
        masks["fold"] = fold_mask(overview, tissue.mask, pen=masks["pen"], config=config.fold)
    else:
        missing["fold"] = f"folds are measured on H&E, this is {kind}"
    if read is None:
        missing["blur"] = "no reader of tiles was given"
    else:
        hidden = masks["blank"] | masks.get("pen", masks["blank"])
        masks["blur"] = blur_mask(overview, tissue.mask, read, ignored=hidden, config=config.blur)
    within = require("scipy.ndimage", extra="wsi").binary_fill_holes(tissue.mask)
    area = int(within.sum())
    shares = {name: _share(mask & within, area) for name, mask in masks.items()}
    return Quality(masks=masks, shares=shares, not_assessed=missing)


def _share(mask: Mask, area: int) -> float | None:
    return float(mask.sum()) / area if area else None

"""Places where nothing was recorded: pure white or pure black over some area."""

import numpy as np
from jaxtyping import Bool

from medconsist.wsi.tissue.optical_density import filled
from medconsist.wsi.tissue.overview import Overview
from medconsist.wsi.tissue.pieces import large_pieces

__all__ = ["blank_mask"]


def blank_mask(overview: Overview, *, min_mm2: float = 0.02) -> Bool[np.ndarray, "rows columns"]:
    """Mark pieces of ``min_mm2`` or more that are (255, 255, 255) or (0, 0, 0) throughout.

    Missing tiles and unscanned places are exactly that; glass under a lamp hardly ever, unless the
    scanner clips its background to white: then this marks the glass, which holds no tissue either.
    """
    nothing = filled(overview.picture) | (overview.picture == 0).all(-1)
    return large_pieces(nothing, mm2=min_mm2, pixel_mm2=overview.pixel_mm2)

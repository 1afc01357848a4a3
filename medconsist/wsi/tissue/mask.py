"""Which pixels of an overview are tissue, by density or by intensity, and how many mm^2."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from medconsist._extras import require
from medconsist.errors import NoTissueError
from medconsist.wsi.tissue.optical_density import filled, optical_density
from medconsist.wsi.tissue.overview import Overview
from medconsist.wsi.tissue.picture import tissue_picture
from medconsist.wsi.tissue.pieces import closed, labelled, large_pieces
from medconsist.wsi.tissue.stain import StainEvidence, stain_kind

__all__ = ["MaskConfig", "TissueMask", "require_tissue", "tissue_mask"]


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Limits of the threshold, and the sizes that are too small to matter.

    Parameters
    ----------
    density
        Otsu's threshold on the strongest optical density is held within this pair: below the
        first is glass (a white slide has no tissue), above the second is tissue (a picture full of
        tissue has no glass to compare with).
    intensity
        The same for the brightest channel of fluorescence above its background [0 to 255].
    smoothing_um
        Of fluorescence, standard deviation: joins nuclei to tissue.
    closing_um
        Radius of the closing that joins what is stained within pale tissue.
    min_object_mm2
        Smaller pieces are dirt.
    max_hole_mm2
        Smaller holes are filled.

    Examples
    --------
    >>> MaskConfig(min_object_mm2=0.1).max_hole_mm2
    0.02
    """

    density: tuple[float, float] = (0.03, 0.06)
    intensity: tuple[float, float] = (4.0, 20.0)
    smoothing_um: float = 24.0
    closing_um: float = 16.0
    min_object_mm2: float = 0.02
    max_hole_mm2: float = 0.02


@dataclass(frozen=True, kw_only=True)
class TissueMask:
    """The mask of an overview, and what it was made by.

    Examples
    --------
    >>> from medconsist.tiling.affine import Affine
    >>> from medconsist.wsi.mpp import Mpp
    >>> pink = np.full((50, 50, 3), (225, 140, 190), np.uint8)
    >>> scaled = Affine((0.0, 0.0), (16.0, 16.0))
    >>> tissue_mask(Overview(picture=pink, affine=scaled, mpp=Mpp(0.5, 0.5, "given"))).area_mm2
    0.16
    """

    mask: Bool[np.ndarray, "rows columns"]
    area_mm2: float
    threshold: float
    stain: StainEvidence


def tissue_mask(overview: Overview, *, config: MaskConfig | None = None) -> TissueMask:
    """Return the tissue of an overview; it may be empty (see `require_tissue`).

    Bright field: strongest optical density above Otsu's threshold, held within limits.
    Fluorescence: the smoothed brightest channel above its 5th percentile. Pure white is fill and
    takes no part, so that padding changes nothing. Ink counts as tissue here: see the flag pen.

    References
    ----------
    N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62, doi:10.1109/TSMC.1979.4310076.
    """
    config = config or MaskConfig()
    stain = stain_kind(overview.picture)
    if stain.kind == "fluorescence":
        signal, limits = _intensity(overview, config), config.intensity
    else:
        signal, limits = optical_density(overview.picture).strongest, config.density
    threshold = _threshold(signal[~filled(overview.picture)], limits)
    above = closed(signal > threshold, radius_um=config.closing_um, pixel_um=overview.pixel_um)
    mask = _without_small(above, overview, config)
    # 12 digits: a count times an area, without the noise of the product
    area = round(float(mask.sum()) * overview.pixel_mm2, 12)
    return TissueMask(mask=mask, area_mm2=area, threshold=threshold, stain=stain)


def require_tissue(overview: Overview, tissue: TissueMask) -> TissueMask:
    """Return the tissue as it is, or raise if there is none.

    Raises
    ------
    NoTissueError
        The mask is empty; ``error.picture`` holds the overview as PNG bytes.
    """
    if tissue.mask.any():
        return tissue
    rows, columns = tissue.mask.shape
    msg = (
        f"no tissue was found: nothing above {tissue.threshold:.3g} on an overview of {columns} x "
        f"{rows} px ({tissue.stain.reason}). Look at the picture "
        "(medconsist wsi doctor --picture FILE); smaller pieces than MaskConfig.min_object_mm2 are "
        "taken for dirt."
    )
    error = NoTissueError(msg)
    error.picture = tissue_picture(overview, mask=tissue.mask)
    raise error


def _intensity(overview: Overview, config: MaskConfig) -> Float32[np.ndarray, "rows columns"]:
    brightest = overview.picture.max(-1).astype(np.float32)
    seen = ~filled(overview.picture)
    excess = (brightest - np.percentile(brightest[seen], 5)).clip(0) * seen
    sigma = [config.smoothing_um / size for size in overview.pixel_um]
    ndimage = require("scipy.ndimage", extra="wsi")
    smooth = ndimage.gaussian_filter(excess, sigma, mode="constant", output=np.float32)
    smooth[~seen] = 0
    return smooth


def _threshold(signal: Float32[np.ndarray, " n"], limits: tuple[float, float]) -> float:
    low, high = limits
    if not signal.size or np.ptp(signal) == 0:
        return float(low)
    otsu = require("skimage.filters", extra="wsi").threshold_otsu(signal)
    return float(np.clip(otsu, low, high))


def _without_small(
    mask: Bool[np.ndarray, "rows columns"], overview: Overview, config: MaskConfig
) -> Bool[np.ndarray, "rows columns"]:
    """Fill small holes, then drop small pieces; the border of the picture closes no hole."""
    labels, sizes = labelled(np.pad(~mask, 1, constant_values=True))
    open_glass = sizes * overview.pixel_mm2 > config.max_hole_mm2
    open_glass[labels[0, 0]] = True  # what reaches the border is no hole, however small
    full = ~open_glass[labels][1:-1, 1:-1]
    return large_pieces(full, mm2=config.min_object_mm2, pixel_mm2=overview.pixel_mm2)

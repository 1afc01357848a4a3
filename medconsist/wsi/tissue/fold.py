"""Folded tissue: long narrow ridges of optical density, darker than the tissue around them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from medconsist._extras import require
from medconsist.wsi.tissue.optical_density import optical_density
from medconsist.wsi.tissue.overview import Overview
from medconsist.wsi.tissue.pieces import closed

__all__ = ["FoldConfig", "fold_mask"]

_FAINTEST = 0.03  # density of the surroundings below which a ratio says nothing

Mask = Bool[np.ndarray, "rows columns"]
Plane = Float[np.ndarray, "rows columns"]


@dataclass(frozen=True, kw_only=True)
class FoldConfig:
    """Scale, strength and shape of a fold.

    Parameters
    ----------
    width_um
        Standard deviation of the Gaussian that smooths; folds of about twice to four times this
        width answer most.
    surround_um
        The same for the density of the surroundings.
    seed, grow
        Ridge strength that begins a fold and that it extends to (hysteresis), as a share of the
        density around.
    min_length_mm, min_elongation
        Shorter or rounder pieces are none.

    Examples
    --------
    >>> FoldConfig(min_length_mm=0.3).seed
    0.4
    """

    width_um: float = 20.0
    surround_um: float = 200.0
    seed: float = 0.4
    grow: float = 0.22
    min_length_mm: float = 0.2
    min_elongation: float = 2.5


def fold_mask(
    overview: Overview, tissue: Mask, *, pen: Mask | None = None, config: FoldConfig | None = None
) -> Mask:
    """Mark the dark core of folds of an H&E slide, and a pixel around it.

    With the mean optical density ``D``, smoothed over ``width_um``, and the smaller eigenvalue
    ``l`` of its Hessian, the strength is ``-l width^2 / D_surround``; lumens and ink are first
    filled with the density around them, so that their edges are no ridges. A narrow dark band of
    epithelium (a hair follicle, a gland cut lengthwise) looks the same to this: look at the flag
    before tissue is left out for it.

    Parameters
    ----------
    overview
        Bright field.
    tissue
        Its mask.
    pen
        Where ink hides the tissue.

    References
    ----------
    Ridges by the Hessian: Y. Sato et al., Med. Image Anal. 2 (1998) 143,
    doi:10.1016/S1361-8415(98)80009-1.
    """
    config = config or FoldConfig()
    clear = tissue.copy() if pen is None else tissue & ~_widened(pen, overview)
    if not clear.any():
        return np.zeros_like(tissue)
    density = optical_density(overview.picture).colours.mean(-1)
    clear &= density > _FAINTEST
    strength = _strength(density, clear, overview, config)
    strong = clear & (strength > config.grow)
    labels, count = require("scipy.ndimage", extra="wsi").label(strong, np.ones((3, 3)))
    begun = np.zeros(count + 1, bool)
    begun[labels[strong & (strength > config.seed)]] = True
    return tissue & _long(labels, begun, overview, config)


def _strength(density: Plane, clear: Mask, overview: Overview, config: FoldConfig) -> Plane:
    around = _mean_around(density, clear, overview, config.surround_um)
    near = _mean_around(density, clear, overview, config.surround_um / 2)
    level = np.where(clear, density, near)
    pixel = overview.pixel_um
    sigma = [config.width_um / size for size in pixel]
    smooth = require("scipy.ndimage", extra="wsi").gaussian_filter
    # per um of each axis, so that pixels need not be square
    down = smooth(level, sigma, order=(2, 0)) / pixel[0] ** 2
    across = smooth(level, sigma, order=(0, 2)) / pixel[1] ** 2
    mixed = smooth(level, sigma, order=(1, 1)) / (pixel[0] * pixel[1])
    smaller = (down + across) / 2 - np.hypot((down - across) / 2, mixed)
    return -smaller * config.width_um**2 / np.maximum(around, _FAINTEST)


def _mean_around(density: Plane, clear: Mask, overview: Overview, sigma_um: float) -> Plane:
    smooth = require("scipy.ndimage", extra="wsi").gaussian_filter
    sigma = [sigma_um / size for size in overview.pixel_um]
    weight = smooth(clear.astype(np.float32), sigma, truncate=2.5)
    return smooth(np.where(clear, density, 0), sigma, truncate=2.5) / np.maximum(weight, 1e-3)


def _widened(pen: Mask, overview: Overview) -> Mask:
    """Add the soft edge of strokes, 32 um."""
    steps = max(1, round(32 / min(overview.pixel_um)))
    return require("scipy.ndimage", extra="wsi").binary_dilation(pen, iterations=steps)


def _long(
    labels: np.ndarray, begun: Bool[np.ndarray, " pieces"], overview: Overview, config: FoldConfig
) -> Mask:
    """Keep the begun pieces that are long and narrow by their second moments."""
    chosen = np.zeros_like(begun)
    measure = require("skimage.measure", extra="wsi")
    for piece in measure.regionprops(np.where(begun[labels], labels, 0), spacing=overview.pixel_um):
        length = piece.axis_major_length
        breadth = max(piece.axis_minor_length, min(overview.pixel_um))
        long_enough = length >= 1000 * config.min_length_mm
        chosen[piece.label] = long_enough and length >= config.min_elongation * breadth
    core = closed(chosen[labels], radius_um=config.width_um, pixel_um=overview.pixel_um)
    return require("scipy.ndimage", extra="wsi").binary_dilation(core, np.ones((3, 3)))

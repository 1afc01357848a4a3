r"""One score a scan, and the factor that makes a heuristic an interval.

A heuristic u(x) > 0 (any map of this room) and an image give the interval
:math:`|\hat x(r)| \pm c\, u(r)` at every pixel of the object. The unit is the scan: its pixels are
no independent units, and no promise is made for a single pixel.

``"scans"``
    c is the split-conformal bound of the per-scan score, the least c that covers at least
    ``1 - share`` of the object's pixels: P(a new scan has at least so many covered) is at least
    ``1 - alpha``.
``"pixels"``
    c is that of conformal risk control: the expected share of uncovered pixels of a new scan is
    at most alpha.

Both are for finite n and any heuristic, if the new scan and the calibration scans are
exchangeable: same scanner, protocol, anatomy and method. No shift is covered.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.evidence.features import object_mask, reference_intensity
from medconsist.shapes import ComplexImages, RealImages

__all__ = ["LEAST_SPREAD", "error_ratios", "half_width", "raised", "scan_score", "uncovered_share"]

LEAST_SPREAD = 0.01
"""Of the median intensity of the object; a heuristic below it is raised to it, so that a few pixels
at which it vanishes by chance do not make the factor of a whole scan."""


def raised(spread: Float[Tensor, "..."], image: ComplexImages | RealImages) -> RealImages:
    """Return the heuristic, at least `LEAST_SPREAD` of the image's reference intensity.

    Raises
    ------
    ShapeError
        Heuristic and image have different shapes.
    RefusedInputError
        A value is negative or not finite, or there is no object.
    """
    if spread.shape != image.shape:
        msg = f"a heuristic of shape {tuple(spread.shape)} beside {tuple(image.shape)}; take one."
        raise ShapeError(msg)
    if not bool((torch.isfinite(spread) & (spread >= 0)).all()):
        msg = "the heuristic is negative or not finite at some pixel; allowed: 0 and above."
        raise RefusedInputError(msg)
    return spread.clamp_min(LEAST_SPREAD * reference_intensity(image + 0j))


def error_ratios(
    image: ComplexImages | RealImages,
    reference: Float[Tensor, "..."],
    spread: Float[Tensor, "..."],
) -> Float[Tensor, " pixels"]:
    r"""Return :math:`||\hat x| - x| / u` of the pixels of the object, ascending.

    The object is where the *image* exceeds a tenth of its 99th percentile (`object_mask`), so
    that a reader without a reference knows where the promise holds. Free of units.

    Parameters
    ----------
    image
        Of one scan, all its slices.
    reference
        Magnitude, on the same grid and in the same units.
    spread
        The heuristic, in the units of the image; see `raised`.

    Raises
    ------
    ShapeError, RefusedInputError
        As `raised`; or the reference does not fit, or is not finite.
    """
    if reference.shape != image.shape:
        msg = (
            f"a reference of shape {tuple(reference.shape)} beside {tuple(image.shape)}; allowed: "
            "the reference of this scan."
        )
        raise ShapeError(msg)
    error = (image.abs() - reference).abs()
    if not bool(error.isfinite().all()):
        msg = "image or reference is not finite at some pixel, which no factor covers; mend it."
        raise RefusedInputError(msg)
    error = error / raised(spread, image)
    return error[object_mask(image + 0j)].sort().values


def scan_score(ratios: Float[Tensor, " pixels"], *, share: float) -> float:
    """Return the least factor that covers at least ``1 - share`` of a scan's pixels.

    The k-th smallest ratio with ``k = ceil((1 - share) m)`` of m pixels.

    Parameters
    ----------
    ratios
        See `error_ratios`; one or more.
    share
        Of pixels that may be left uncovered, in [0, 1).

    Raises
    ------
    RefusedInputError
        No pixel, or a share out of range.
    """
    if not 0 <= share < 1 or len(ratios) == 0:
        msg = f"got share {share} and {len(ratios)} pixels; allowed: 0 <= share < 1, 1 or more."
        raise RefusedInputError(msg)
    place = math.ceil((1 - share) * len(ratios) - 1e-9)  # .56 * 25 is 14.000000000000002
    return float(ratios.sort().values[max(place, 1) - 1])


def uncovered_share(ratios: Float[Tensor, " pixels"], factor: float) -> float:
    """Return the share of a scan's pixels that lie outside the interval of this factor."""
    return float((ratios > factor).double().mean())


def half_width(spread: RealImages, image: ComplexImages, *, factor: float) -> RealImages:
    """Return ``factor * u``, in the units of the image; see `raised`."""
    return factor * raised(spread, image)

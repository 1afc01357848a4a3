"""The part of an image that the samples do not determine."""

import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.forward import Measurement
from medconsist.mri.normal_operator import SenseNormal
from medconsist.operators.solvers import conjugate_gradient
from medconsist.shapes import Array

__all__ = ["ITERATIONS", "noise_weight", "not_determined"]

ITERATIONS = 30  # fixed: the share grows or shrinks with it, so that values would not compare


def noise_weight(sigma: float, reference: float) -> float:
    """Return ``lambda = (sigma / reference)^2``: noise power over signal power of a pixel.

    With orthonormal Fourier transform and maps of unit norm it is the weight at which the data
    and a prior of that signal power are equally strong (Wiener filter).
    """
    if not reference > 0:
        msg = f"reference must be a positive intensity, got {reference}."
        raise RefusedInputError(msg)
    return (sigma / reference) ** 2


def not_determined(measurement: Measurement, sets: Array, *, weight: float) -> Array:
    """Return ``x - (A^H A + lambda)^-1 A^H A x``, by 30 iterations of conjugate gradients.

    Directions that the samples see with gain ``s^2`` remain by ``lambda / (s^2 + lambda)``: all of
    a direction in the null space, nearly nothing of one that is well seen. It is where the method
    filled in by its prior. **True anatomy lives there too: it is not "invented".** And an invented
    feature of 4 pixels or more lies almost wholly outside it: see ``refutability`` for those.

    Parameters
    ----------
    measurement
        Mask and maps are used, no samples.
    sets
        The image of each map set, ``slices sets height width``.
    weight
        ``lambda``, see `noise_weight`.

    Returns
    -------
        ``slices sets height width`` complex; its magnitude is the map.
    """
    gram = SenseNormal(measurement.mask, measurement.maps)

    def damped(x: Array) -> Array:
        return gram(x) + weight * x

    seen = conjugate_gradient(damped, gram(sets), iterations=ITERATIONS, batch_dims=1)
    # where no coil is sensitive nothing is reconstructed either: rounding must not show
    return torch.where(sets == 0, 0, sets - seen)

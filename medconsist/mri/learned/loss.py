"""What a cascade is trained on: a distance, weighted over steps and cascades."""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from medconsist._extras import require
from medconsist.consistency.agreement import cauchy, mse, pseudo_huber
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.shapes import RealImages

__all__ = ["Distance", "Weighting", "magnitudes", "step_weights", "supervised_loss"]

Weighting = Literal["logspace", "uniform", "last"]
Distance = Literal["l1", "mse", "pseudo_huber", "cauchy", "ssim", "l1_ssim"]
Predictions = Complex[Tensor, "cascades steps slices sets height width"]
Magnitudes = Float[Tensor, "cascades steps slices height width"]

_SSIM_WINDOW = 7
_SSIM_SHARE = 0.9  # of l1_ssim, ATOMMIC's weights for CC359
_ROBUST_SCALE = 0.05  # of the largest intensity: where pseudo-Huber and Cauchy bend
_LEAST_POWER = 1e-12  # under the root of the magnitude, whose slope is infinite at 0


def step_weights(
    weighting: Weighting, cascades: int, steps: int
) -> Float[Tensor, "cascades steps"]:
    """Return the weight of the loss of each time-step of each cascade.

    With ``w_t = 10^(-(T-t)/(T-1))`` (1 if T = 1, where ATOMMIC has 0.1), t = 1 .. T, and v_k alike
    over cascades:

    - ``"logspace"``: ``v_k w_t / (K T)``, ATOMMIC's; late steps of late cascades count most.
    - ``"uniform"``: ``sum_j w_j / (K T)`` for every step: what mridc's released code computes,
      ``(sum_t l_t)(sum_j w_j) / T``, although it builds the weights w.
    - ``"last"``: 1 for the last step of the last cascade, 0 for the others.

    Examples
    --------
    >>> step_weights("logspace", 1, 3)
    tensor([[0.0333, 0.1054, 0.3333]])
    """
    w = _logspace(steps)
    match weighting:
        case "logspace":
            return _logspace(cascades)[:, None] * w / (cascades * steps)
        case "uniform":
            return w.sum().expand(cascades, steps) / (cascades * steps)
        case "last":
            last = torch.zeros(cascades, steps)
            last[-1, -1] = 1
            return last
    msg = f"weighting got {weighting!r}; allowed: {', '.join(map(repr, get_args(Weighting)))}."
    raise RefusedInputError(msg)


def _logspace(n: int) -> Tensor:
    return torch.ones(1) if n == 1 else torch.logspace(-1, 0, n)


def magnitudes(predictions: Predictions) -> Magnitudes:
    """Return ``(sum_s |x_s|^2)^(1/2)`` over map sets, with a finite slope at 0."""
    power = torch.view_as_real(predictions).square().sum(-1).sum(-3)
    return (power + _LEAST_POWER).sqrt()


def supervised_loss(
    predictions: Predictions,
    reference: RealImages,
    *,
    distance: Distance = "l1",
    weighting: Weighting = "logspace",
) -> Float[Tensor, ""]:
    """Return ``sum_kt W_kt d(|x_kt| / m, |x*| / m)`` with m the largest intensity of each slice.

    CIRIM (doi:10.1088/1361-6560/ac6cc2) takes d = ``"l1"``. ``"ssim"`` is ``1 - SSIM`` (uniform
    window of 7 x 7, data range 1; other than `metrics.image.ssim` with the biased variance, the
    peak of the slice, and its windows at the edge mirrored instead of left out), ``"l1_ssim"``
    ``0.1 L1 + 0.9 (1 - SSIM)``; ``"pseudo_huber"`` and ``"cauchy"`` bend at 5 % of m.

    Parameters
    ----------
    predictions
        Of `Cirim`.
    reference
        Magnitude ``|x*|``, finite and not zero throughout a slice.
    distance, weighting
        See above and `step_weights`.

    Raises
    ------
    ShapeError
        Predictions and reference differ in slices or plane.
    RefusedInputError
        A name is not allowed, or a reference is zero throughout or not finite.
    """
    cascades, steps, slices, _, height, width = predictions.shape
    if reference.shape != (slices, height, width):
        msg = (
            f"the reference has shape {tuple(reference.shape)}; allowed: "
            f"({slices}, {height}, {width}), as the predictions."
        )
        raise ShapeError(msg)
    weights = step_weights(weighting, cascades, steps).to(reference)
    largest = reference.flatten(1).amax(1)[:, None, None]
    if not bool(((largest > 0) & largest.isfinite()).all()):
        msg = "a reference is zero throughout or not finite: nothing to learn from; leave it out."
        raise RefusedInputError(msg)
    found = magnitudes(predictions) / largest
    wanted = (reference / largest).expand_as(found)
    counted = weights > 0
    distances = _distance(distance)(found[counted].flatten(0, 1), wanted[counted].flatten(0, 1))
    per_step = distances.reshape(-1, slices).mean(1)
    return (weights[counted] * per_step).sum()


def _distance(name: Distance) -> Callable[[Tensor, Tensor], Tensor]:
    match name:
        case "l1":
            return _l1
        case "ssim":
            return _one_minus_ssim
        case "l1_ssim":
            return lambda x, y: (1 - _SSIM_SHARE) * _l1(x, y) + _SSIM_SHARE * _one_minus_ssim(x, y)
        case "mse":
            return _per_image(mse)
        case "pseudo_huber":
            return _per_image(partial(pseudo_huber, c=_ROBUST_SCALE, dims=()))
        case "cauchy":
            return _per_image(partial(cauchy, c=_ROBUST_SCALE, dims=()))
    msg = f"distance got {name!r}; allowed: {', '.join(map(repr, get_args(Distance)))}."
    raise RefusedInputError(msg)


def _per_image(agreement: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, y: agreement(x, y, reduction="none").flatten(1).mean(1)


def _l1(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().flatten(1).mean(1)


def _one_minus_ssim(x: Tensor, y: Tensor) -> Tensor:
    image = require("torchmetrics.functional.image", extra="train")
    similarity = image.structural_similarity_index_measure(
        x[:, None],
        y[:, None],
        gaussian_kernel=False,
        kernel_size=_SSIM_WINDOW,
        data_range=1.0,
        reduction="none",
    )
    return 1 - similarity

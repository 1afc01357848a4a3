"""The losses of self-supervision: predicted samples beside measured ones, on Lambda alone."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from medconsist.consistency.agreement import cauchy, mad_scale, mse, pseudo_huber, relative_l1l2
from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.mri.forward import sense_operator
from medconsist.mri.learned.loss import Weighting, step_weights
from medconsist.shapes import CoilKSpace, CoilMaps

__all__ = ["WithheldLoss", "withheld_loss"]

WithheldLoss = Literal["ssdu", "mse", "pseudo_huber", "pseudo_huber_scan", "cauchy", "cauchy_scan"]
Predictions = Complex[Tensor, "cascades steps slices sets height width"]


def withheld_loss(
    predictions: Predictions,
    samples: CoilKSpace,
    maps: CoilMaps,
    *,
    hold: Bool[Tensor, "slices height width"],
    loss: WithheldLoss = "ssdu",
    scale: float | int | None = None,
    weighting: Weighting = "last",
) -> Float[Tensor, ""]:
    """Return ``sum_kt W_kt d(A_Lambda x_kt, y_Lambda)``, the mean over slices.

    d over the n values of Lambda, all coils, by name:

    - ``"ssdu"``: half of each relative norm, l2 and l1 (Yaman et al. 2020,
      doi:10.1002/mrm.28378).
    - ``"mse"``: the mean of ``|r|^2``.
    - ``"pseudo_huber"``, ``"cauchy"``: the mean over values, each of which bends at c.
    - ``"pseudo_huber_scan"``, ``"cauchy_scan"``: of the whole slice, bending at ``c sqrt(n)``.

    Parameters
    ----------
    predictions
        Of `Cirim`, that saw Theta alone.
    samples
        y; only its values on ``hold`` are used.
    maps
        As in `Measurement`.
    hold
        Lambda; at least one position in each slice.
    loss
        See above.
    scale
        c in units of the samples, positive; None is ``1.4826 MAD`` of the residuals of the last
        prediction in this batch (`mad_scale`), a constant in the gradient.
    weighting
        See `step_weights`; ``"last"`` is SSDU's.

    Raises
    ------
    RefusedInputError
        A name is not allowed.
    ConvergenceError
        A prediction is not finite.
    """
    if loss not in get_args(WithheldLoss):
        msg = f"loss got {loss!r}; allowed: {', '.join(map(repr, get_args(WithheldLoss)))}."
        raise RefusedInputError(msg)
    if not bool(torch.isfinite(predictions).all()):
        msg = "the predictions of the network are not finite. Take a lower learning rate."
        raise ConvergenceError(msg)
    weights = step_weights(weighting, *predictions.shape[:2]).to(samples.real)
    counted = weights > 0
    per_slice = [
        _distances(
            _predicted(predictions[:, :, index][counted], maps[index], hold[index]),
            samples[index][:, hold[index]],
            loss,
            scale,
        )
        for index in range(len(samples))
    ]
    return (weights[counted] * torch.stack(per_slice).mean(0)).sum()


def _predicted(
    images: Complex[Tensor, "steps sets height width"],
    maps: Complex[Tensor, "sets coils height width"],
    hold: Bool[Tensor, "height width"],
) -> Complex[Tensor, "steps coils values"]:
    operator = sense_operator(hold[None], maps.expand(len(images), -1, -1, -1, -1))
    return operator(images)[..., hold]


def _distances(
    predicted: Complex[Tensor, "steps coils values"],
    measured: Complex[Tensor, "coils values"],
    loss: WithheldLoss,
    scale: float | None,
) -> Float[Tensor, " steps"]:
    wanted = measured.expand_as(predicted)
    match loss:
        case "ssdu":
            return relative_l1l2(predicted, wanted, reduction="none")
        case "mse":
            return mse(predicted, wanted, dims=(1, 2), reduction="none")
    c = mad_scale(predicted[-1] - measured) if scale is None else scale
    dims = (1, 2) if loss.endswith("_scan") else ()
    reach = math.sqrt(measured.numel()) if dims else 1.0
    distance = cauchy if loss.startswith("cauchy") else pseudo_huber
    found = distance(predicted, wanted, c * reach, dims, reduction="none")
    return found.flatten(1).mean(1) if not dims else found

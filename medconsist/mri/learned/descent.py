"""One step down a gradient, for what trains in minutes and needs no run folder."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from medconsist.errors import ConvergenceError

__all__ = ["clip_before_steps", "descend"]


def descend(
    loss: Float[Tensor, ""],
    network: nn.Module,
    optimizer: Optimizer,
    *,
    clip: float | int | None = 1.0,
) -> None:
    """Move the weights of the optimiser by one step.

    Parameters
    ----------
    loss
        What falls.
    network
        Whose gradients are clipped; those of before are forgotten.
    optimizer
        Of its parameters, or of some of them.
    clip
        Largest norm of the whole gradient; None leaves it as it is.

    Raises
    ------
    ConvergenceError
        The loss or its gradient is not finite; the weights are as before.
    """
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    _clip(network.parameters(), clip, is_finite=bool(torch.isfinite(loss)))
    optimizer.step()


def clip_before_steps(optimizer: Optimizer, clip: float | int | None) -> None:
    """Let every step of an optimiser clip the gradient of its parameters, and refuse a broken one.

    For loops that are written elsewhere; the steps are those of `descend`.

    Raises
    ------
    ConvergenceError
        Later, in ``optimizer.step()``: the gradient is not finite; the weights are as before.
    """

    def before(taken: Optimizer, *_: Any) -> None:  # noqa: ANN401 - what torch hands to a hook
        _clip((p for group in taken.param_groups for p in group["params"]), clip, is_finite=True)

    optimizer.register_step_pre_hook(before)


def _clip(parameters: Iterable[Tensor], clip: float | None, *, is_finite: bool) -> None:
    norm = nn.utils.clip_grad_norm_(parameters, math.inf if clip is None else clip)
    if not (is_finite and bool(torch.isfinite(norm))):
        msg = "the loss or its gradient is not finite. Take a lower learning rate."
        raise ConvergenceError(msg)

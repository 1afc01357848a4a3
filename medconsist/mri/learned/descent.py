"""One step down a gradient, for what trains in minutes and needs no run folder."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from medconsist.errors import ConvergenceError

__all__ = ["descend"]


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
    norm = nn.utils.clip_grad_norm_(network.parameters(), math.inf if clip is None else clip)
    if not bool(torch.isfinite(loss) & torch.isfinite(norm)):
        msg = "the loss or its gradient is not finite. Take a lower learning rate."
        raise ConvergenceError(msg)
    optimizer.step()

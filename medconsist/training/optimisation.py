"""Optimiser and learning rate in plain torch; training and adaptation use the same ones."""

import math
from collections.abc import Iterable

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from medconsist.consistency.schedules import Schedule, as_lr_lambda, constant, cosine, linear
from medconsist.errors import RefusedInputError
from medconsist.training.settings import OptimiserConfig

__all__ = ["learning_rate", "make_optimizer", "trainable"]


def trainable(network: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that carry a gradient.

    Raises
    ------
    RefusedInputError
        If there is none.

    Examples
    --------
    >>> len(trainable(nn.Linear(2, 1)))
    2
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    if not parameters:
        msg = (
            f"The network {type(network).__name__} has no parameter that requires a gradient, so "
            "nothing can be trained. Call requires_grad_() on what shall learn."
        )
        raise RefusedInputError(msg)
    return parameters


def learning_rate(config: OptimiserConfig) -> Schedule:
    """Return the learning rate as a function of the steps done so far.

    Examples
    --------
    >>> rate = learning_rate(OptimiserConfig(steps=6, lr=1, warmup=2))
    >>> [round(rate(t), 3) for t in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    rise = linear(0, config.lr, max(config.warmup, 1))
    after = _after_warmup(config)

    def rate(step: int) -> float:
        return rise(step + 1) if step < config.warmup else after(step)

    return rate


def make_optimizer(
    parameters: Iterable[nn.Parameter], config: OptimiserConfig
) -> tuple[Optimizer, LambdaLR]:
    """Return the optimiser and the scheduler to step after it, once for each step.

    Parameters
    ----------
    parameters
        What shall learn.
    config
        Rule, learning rate and its course.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> optimizer, scheduler = make_optimizer(trainable(network), OptimiserConfig(steps=5, lr=0.1))
    >>> optimizer.step(); scheduler.step()
    >>> round(scheduler.get_last_lr()[0], 4)
    0.0905
    """
    kind = {"adam": Adam, "adamw": AdamW}[config.optimiser]
    optimizer = kind(list(parameters), lr=config.lr, weight_decay=config.weight_decay)
    return optimizer, LambdaLR(optimizer, as_lr_lambda(learning_rate(config), config.lr))


def _after_warmup(config: OptimiserConfig) -> Schedule:
    match config.schedule:
        case "constant":
            return constant(config.lr)
        case "cosine":
            fall = cosine(config.lr, 0, config.steps - config.warmup)
            return lambda step: fall(step - config.warmup)
        case "inverse_sqrt":
            least = max(config.warmup, 1)
            return lambda step: config.lr * math.sqrt(least / max(step, least))

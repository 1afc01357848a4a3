"""Adaptation for one episode: a few steps for one example, an acceptance test, and all put back."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.consistency._snapshot import Snapshot
from medconsist.errors import ConvergenceError, RefusedInputError, ShapeError

__all__ = ["Accept", "Report", "adapt_episode", "improves_by"]

_LOG = logging.getLogger(__name__)

Accept = Callable[[Tensor, Tensor], bool]
Output = TypeVar("Output")


def improves_by(se: float | int = 2) -> Accept:
    r"""Return the test "the mean error fell by more than ``se`` standard errors".

    Of errors e before and e' after at the same n withheld samples, with :math:`d_i = e_i - e'_i`:
    :math:`\bar d > \text{se} \cdot \mathrm{std}(d) / \sqrt n`. Samples count as independent; where
    they are not, raise ``se``. The after of the best of several looks is a little too good.

    Parameters
    ----------
    se
        0 or more; 0 accepts any fall.

    Raises
    ------
    RefusedInputError
        ``se`` negative or not finite; later, fewer than two samples.

    Examples
    --------
    >>> accept = improves_by(se=2)
    >>> accept(torch.tensor([1.0, 1.1, 0.9]), torch.tensor([0.5, 0.7, 0.4]))
    True
    """
    if not 0 <= se < math.inf:
        msg = f"se must be 0 or more and finite; got {se}. 2 is usual."
        raise RefusedInputError(msg)

    def accept(before: Tensor, after: Tensor) -> bool:
        fall = before - after
        if len(fall) < 2:
            msg = f"{len(fall)} withheld sample has no standard error; withhold 2 or more."
            raise RefusedInputError(msg)
        return bool(fall.mean() > se * fall.std() / math.sqrt(len(fall)))

    return accept


@dataclass(frozen=True, eq=False)
class Report(Generic[Output]):
    """What an episode gave; both outputs, so that a reader can be shown before and after.

    Parameters
    ----------
    output
        With the adapted parameters if accepted, else ``unadapted``, the same object.
    unadapted
        Of the model as it was.
    accepted
        Whether the acceptance test passed.
    errors
        Mean error on the withheld samples before the first step and after each look.
    steps, kept_step
        Steps done, and the step that the least error was found at; 0 is the start.

    Examples
    --------
    >>> Report("a", "a", accepted=False, errors=(0.5, 0.6), steps=1, kept_step=0).output
    'a'
    """

    output: Output
    unadapted: Output
    accepted: bool
    errors: tuple[float, ...]
    steps: int
    kept_step: int


def adapt_episode(
    model: nn.Module,
    params: Iterable[nn.Parameter],
    loss_fn: Callable[[int], Tensor],
    val_fn: Callable[[], Float[Tensor, " samples"]],
    predict: Callable[[], Output],
    *,
    steps: int,
    patience: int,
    optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] = torch.optim.Adam,
    accept: Accept | None = None,
    generators: Sequence[torch.Generator] = (),
) -> Report[Output]:
    """Adapt a model to one example, predict, and put the model back bit by bit.

    Each of ``steps`` steps descends ``loss_fn``, then looks at ``val_fn``; ``patience`` looks
    without a new least error end it. If ``accept(errors before, errors at the least)`` the output
    is predicted with the parameters and buffers of the least error, otherwise it is that of the
    model as it was. Parameters, gradients, buffers, modes and random states are the same before
    and after, also after an exception. Both predictions start from the random state of the call.

    Adaptation at test time is not free: on phantoms, 12 to 75 % of the examples of a shifted family
    became worse by more than 1 % in spite of early stopping. So it is off unless asked for, and
    rejected unless the gain exceeds its sampling noise. No mode is changed: dropout of a model in
    training mode is on in ``predict`` too.

    Parameters
    ----------
    model
        What the callables use.
    params
        What is trained; all others stay.
    loss_fn
        Loss of one step, counted from 0: with evidence that ``val_fn`` does not see.
    val_fn
        Error of each withheld sample, always the same ones; without a graph.
    predict
        The output, from all evidence; called once or twice, without a graph. It must not keep
        references to parameters: clone.
    steps, patience
        0 steps predict, and look at nothing.
    optimizer
        Makes the optimiser.
    accept
        None takes ``improves_by(se=2)``.
    generators
        Random generators that the callables draw from.

    Raises
    ------
    RefusedInputError
        Negative ``steps``, ``patience`` below 1, or no parameter to train.
    ShapeError
        Errors that are no vector, or change their number.
    ConvergenceError
        A loss or an error is not finite.

    References
    ----------
    Chen et al. 2023, "Improved Test-Time Adaptation for Domain Generalization", arXiv:2304.04494,
    whose code never puts the model back.

    Examples
    --------
    >>> model, x = nn.Linear(1, 1, bias=False), torch.ones(4, 1)
    >>> error = lambda: (model(x) - 3 * x).square().sum(1)
    >>> start = model.weight.item()
    >>> report = adapt_episode(model, model.parameters(), lambda step: error().mean(), error,
    ...                        lambda: model(x), steps=9, patience=3)
    >>> report.accepted, model.weight.item() == start
    (True, True)
    """
    trained = list(params)
    if steps < 0 or patience < 1 or not trained:
        msg = (
            f"got {steps} steps, patience {patience} and {len(trained)} parameters; allowed: 0 or "
            "more, 1 or more, 1 or more."
        )
        raise RefusedInputError(msg)
    opt = optimizer(trained)
    before = Snapshot(model, opt, generators)
    frozen = [one for one in trained if not one.requires_grad]
    try:
        with torch.no_grad():
            plain = predict()
        before.restore()
        if not steps:
            return Report(plain, plain, accepted=False, errors=(), steps=0, kept_step=0)
        for one in frozen:
            one.requires_grad = True
        looks = _Looks(val_fn, lambda: Snapshot(model, opt, generators))
        run = looks.descend(loss_fn, opt, steps=steps, patience=patience)
        accepted = run.kept_step > 0 and (accept or improves_by())(run.first, run.best)
        output = plain
        if accepted:
            run.kept.restore()
            before.restore_random()
            with torch.no_grad():
                output = predict()
    finally:
        for one in frozen:
            one.requires_grad = False
        before.restore()
    _LOG.info("adaptation %s after %d steps", "accepted" if accepted else "rejected", run.steps)
    return Report(output, plain, accepted, run.errors, run.steps, run.kept_step)


@dataclass(frozen=True, eq=False)
class _Run:
    first: Tensor
    best: Tensor
    kept: Snapshot
    errors: tuple[float, ...]
    steps: int
    kept_step: int


@dataclass(frozen=True, eq=False)
class _Looks:
    """How the withheld samples are looked at, and how a good moment is kept."""

    val_fn: Callable[[], Tensor]
    snapshot: Callable[[], Snapshot]

    def descend(
        self,
        loss_fn: Callable[[int], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        steps: int,
        patience: int,
    ) -> _Run:
        first = best = self._look()
        errors, kept, kept_step, step = [float(first.mean())], self.snapshot(), 0, 0
        for step in range(1, steps + 1):
            optimizer.zero_grad(set_to_none=True)
            with torch.enable_grad():
                loss = loss_fn(step - 1)
                _require_finite("loss", loss)
                torch.autograd.backward(loss)
            optimizer.step()
            found = self._look(samples=len(first))
            errors.append(float(found.mean()))
            if errors[-1] < errors[kept_step]:
                best, kept, kept_step = found, self.snapshot(), step
            elif step - kept_step >= patience:
                break
        return _Run(first, best, kept, tuple(errors), step, kept_step)

    @torch.no_grad()
    def _look(self, samples: int | None = None) -> Tensor:
        found = self.val_fn().detach().clone()
        if found.ndim != 1 or not len(found) or len(found) != (samples or len(found)):
            msg = (
                f"val_fn gave errors of the shape {tuple(found.shape)}; allowed: one error for "
                f"each of {samples or 'one or more'} withheld samples."
            )
            raise ShapeError(msg)
        _require_finite("withheld error", found)
        return found


def _require_finite(what: str, values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        msg = f"the {what} is not finite; the model has been put back. Lower the learning rate."
        raise ConvergenceError(msg)

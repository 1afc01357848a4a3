"""Adaptation for one episode: a few steps for one example, an acceptance test, and all put back."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from medconsist.consistency._snapshot import Snapshot
from medconsist.errors import ConvergenceError, RefusedInputError, ShapeError

__all__ = ["Accept", "Fall", "Report", "adapt_episode", "improves_by"]

_LOG = logging.getLogger(__name__)

Accept = Callable[[Tensor, Tensor], bool]
Output = TypeVar("Output")


@dataclass(frozen=True, kw_only=True)
class Fall:
    r"""By how much the mean error of withheld samples fell, and how sure that is.

    Of errors e before and e' after at the same n samples in G groups, :math:`d_i = e_i - e'_i`:

    .. math:: \bar d = \frac1n \sum_i d_i, \quad \mathrm{se}^2 = \frac{G}{(G - 1) n^2}
        \sum_g \Bigl(\sum_{i \in g} (d_i - \bar d)\Bigr)^2,

    the standard error for samples that depend on each other within a group and not between (Liang
    & Zeger 1986, doi:10.1093/biomet/73.1.13, for a mean). A group for each sample gives
    :math:`\mathrm{std}(d) / \sqrt n`.

    Parameters
    ----------
    mean, se
        See above, in units of the errors; above 0 is better.
    groups
        G.

    Examples
    --------
    >>> Fall.of(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 2.0]))
    Fall(mean=0.5, se=0.5, groups=2)
    """

    mean: float
    se: float
    groups: int

    @classmethod
    def of(
        cls,
        before: Float[Tensor, " samples"],
        after: Float[Tensor, " samples"],
        *,
        groups: Int[Tensor, " samples"] | None = None,
    ) -> "Fall":
        """Return the fall; samples with one id in ``groups`` depend on each other.

        Raises
        ------
        RefusedInputError
            Fewer than two groups, which have no standard error.
        """
        fall = (before - after).double()
        ids = torch.arange(len(fall), device=fall.device) if groups is None else groups
        names, place = torch.unique(ids, return_inverse=True)
        if len(names) < 2:
            what = "withheld sample" if groups is None else "group of withheld samples"
            msg = f"{len(names)} {what} has no standard error; withhold 2 or more."
            raise RefusedInputError(msg)
        mean = fall.mean()
        sums = torch.zeros(len(names), dtype=fall.dtype, device=fall.device)
        sums.index_add_(0, place, fall - mean)
        grown = len(names) / (len(names) - 1)
        se = math.sqrt(grown * float(sums.square().sum())) / len(fall)
        return cls(mean=float(mean), se=se, groups=len(names))


def improves_by(se: float | int = 2, *, groups: Int[Tensor, " samples"] | None = None) -> Accept:
    r"""Return the test "the mean error fell by more than ``se`` standard errors"; see `Fall`.

    Samples count as independent unless they are grouped. Where the errors are those of the samples
    that chose the step, the after of the best of several looks is a little too good: let others
    judge (``judge_fn`` of `adapt_episode`).

    Parameters
    ----------
    se
        0 or more; 0 accepts any fall. Of few groups take the quantile of Student's t.
    groups
        Id of each withheld sample; None makes every sample a group.

    Raises
    ------
    RefusedInputError
        ``se`` negative or not finite; later, fewer than two samples or groups.

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
        fall = Fall.of(before, after, groups=groups)
        return fall.mean > se * fall.se

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
        Mean error on the withheld samples before the first step and at each look.
    steps, kept_step
        Steps done, and the step that the least error was found at; 0 is the start.
    judged
        Errors before and at the kept step that the acceptance test was shown; None where no look
        was better than the start, and nothing was to be judged.

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
    judged: tuple[Tensor, Tensor] | None = None


def adapt_episode(
    model: nn.Module,
    params: Iterable[nn.Parameter],
    loss_fn: Callable[[int], Tensor],
    val_fn: Callable[[], Float[Tensor, " samples"]],
    predict: Callable[[], Output],
    *,
    steps: int,
    patience: int,
    every: int = 1,
    optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer] = torch.optim.Adam,
    judge_fn: Callable[[], Float[Tensor, " judges"]] | None = None,
    accept: Accept | None = None,
    generators: Sequence[torch.Generator] = (),
) -> Report[Output]:
    """Adapt a model to one example, predict, and put the model back bit by bit.

    Each of ``steps`` steps descends ``loss_fn``; after every few it looks at ``val_fn``, and
    ``patience`` looks without a new least error end it. If ``accept(errors before, errors at the
    least)`` the output is predicted with the parameters and buffers of the least error, otherwise
    it is that of the model as it was. Parameters, gradients, buffers, modes and random states are
    the same before and after, also after an exception. Both predictions start from the random state
    of the call.

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
    every
        Steps between two looks; the last step is looked at too.
    optimizer
        Makes the optimiser; what belongs to a step (clipping, a course of the rate) hooks into it.
    judge_fn
        Error of each sample that ``accept`` is shown, asked before the first step and at the least
        error alone; neither ``loss_fn`` nor ``val_fn`` sees them, so that no choice among looks
        makes them too good. None shows those of ``val_fn``.
    accept
        None takes ``improves_by(se=2)``.
    generators
        Random generators that the callables draw from.

    Raises
    ------
    RefusedInputError
        Negative ``steps``, ``patience`` or ``every`` below 1, or no parameter to train.
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
    _refuse_budget(steps, patience, every, len(trained))
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
        judge = None if judge_fn is None else _look(judge_fn)
        looks = _Looks(val_fn, lambda: Snapshot(model, opt, generators), every)
        run = looks.descend(loss_fn, opt, steps=steps, patience=patience)
        judged = None
        if run.kept_step:
            run.kept.restore()
            judged = run.first, run.best
            if judge_fn is not None and judge is not None:
                judged = judge, _look(judge_fn, samples=len(judge))
        accepted = judged is not None and (accept or improves_by())(*judged)
        output = plain
        if accepted:
            before.restore_random()
            with torch.no_grad():
                output = predict()
    finally:
        for one in frozen:
            one.requires_grad = False
        before.restore()
    _LOG.info("adaptation %s after %d steps", "accepted" if accepted else "rejected", run.steps)
    return Report(output, plain, accepted, run.errors, run.steps, run.kept_step, judged)


def _refuse_budget(steps: int, patience: int, every: int, parameters: int) -> None:
    if steps < 0 or min(patience, every, parameters) < 1:
        msg = (
            f"got {steps} steps, patience {patience} and {parameters} parameters, a look every "
            f"{every}; allowed: 0 or more, then 1 or more."
        )
        raise RefusedInputError(msg)


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
    every: int

    def descend(
        self,
        loss_fn: Callable[[int], Tensor],
        optimizer: torch.optim.Optimizer,
        *,
        steps: int,
        patience: int,
    ) -> _Run:
        first = best = _look(self.val_fn)
        errors, kept, kept_step, step = [float(first.mean())], self.snapshot(), 0, 0
        least = 0  # place of the least error among the looks
        for step in range(1, steps + 1):
            optimizer.zero_grad(set_to_none=True)
            with torch.enable_grad():
                loss = loss_fn(step - 1)
                _require_finite("loss", loss)
                torch.autograd.backward(loss)
            optimizer.step()
            if step % self.every and step != steps:
                continue
            found = _look(self.val_fn, samples=len(first))
            errors.append(float(found.mean()))
            if errors[-1] < errors[least]:
                best, kept, kept_step, least = found, self.snapshot(), step, len(errors) - 1
            elif len(errors) - 1 - least >= patience:
                break
        return _Run(first, best, kept, tuple(errors), step, kept_step)


@torch.no_grad()
def _look(errors_of: Callable[[], Tensor], samples: int | None = None) -> Tensor:
    found = errors_of().detach().clone()
    if found.ndim != 1 or not len(found) or len(found) != (samples or len(found)):
        msg = (
            f"val_fn or judge_fn gave errors of the shape {tuple(found.shape)}; allowed: one error "
            f"for each of {samples or 'one or more'} withheld samples."
        )
        raise ShapeError(msg)
    _require_finite("withheld error", found)
    return found


def _require_finite(what: str, values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        msg = f"the {what} is not finite; the model has been put back. Take a lower learning rate."
        raise ConvergenceError(msg)

r"""A channelised Hotelling observer: how well a linear reader tells patches with a signal apart.

Each patch is reduced to a few channel outputs :math:`v = U^T g`. The template
:math:`w = K^{-1} (\bar v_1 - \bar v_0)` is fitted to one half of the groups, K being the mean of
the covariances of both classes, and :math:`t = w^T v` is judged on the other half; then the halves
change places. A group is what shares anything by chance: none is on both sides.

What it is not: a person. Without internal noise it finds more than people do, and it knows what the
signal looks like and where it may be.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc

__all__ = ["Observed", "Trials", "crossed_observer", "half_of", "hotelling_template"]
__all__ += ["with_internal_noise"]

# Of K scaled to unit diagonal: below it the template is rounding; 1e-10 leaves 6 digits of a double
_LEAST_EIGENVALUE = 1e-10


@dataclass(frozen=True, kw_only=True, eq=False)
class Trials:
    """Channel outputs of patches with and without the signal.

    Parameters
    ----------
    present, absent
        One row per patch; the two need not be equally many, nor pairs.
    of_present, of_absent
        Number of the group of each row; every group has rows of both.

    Raises
    ------
    RefusedInputError
        Outputs that are not finite, or a group of one class.

    Examples
    --------
    >>> group = torch.arange(40) // 5
    >>> absent = torch.randn(40, 3)
    >>> trials = Trials(present=absent + 1, absent=absent, of_present=group, of_absent=group)
    >>> trials.groups
    (0, 1, 2, 3, 4, 5, 6, 7)
    """

    present: Float[Tensor, "n_present channels"]
    absent: Float[Tensor, "n_absent channels"]
    of_present: Int64[Tensor, " n_present"]
    of_absent: Int64[Tensor, " n_absent"]

    def __post_init__(self) -> None:
        one_class = set(self.of_present.tolist()) ^ set(self.of_absent.tolist())
        bad = sum(int((~one.isfinite()).sum()) for one in (self.present, self.absent))
        if one_class or bad:
            msg = (
                f"groups {sorted(one_class)} have patches of one class alone, and {bad} outputs "
                "are not finite; allowed: finite, both classes in every group."
            )
            raise RefusedInputError(msg)

    @property
    def groups(self) -> tuple[int, ...]:
        """Numbers of the groups, ascending."""
        return tuple(sorted(set(self.of_present.tolist())))

    def of(self, groups: Collection[int]) -> "Trials":
        """Return the rows of some groups."""
        ours = torch.tensor(sorted(groups), device=self.of_present.device)
        present, absent = (torch.isin(one, ours) for one in (self.of_present, self.of_absent))
        return Trials(
            present=self.present[present],
            absent=self.absent[absent],
            of_present=self.of_present[present],
            of_absent=self.of_absent[absent],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Observed:
    """What the observer reached on groups that its template had not seen.

    One value per group: the figure of its half plus what the group adds to it, by the jackknife;
    the mean over groups is the figure itself. They take `metrics.report.t_interval`, and of two
    observers on the same groups the differences do.

    Parameters
    ----------
    groups
        Their numbers.
    area
        Share of pairs of one half, with and without the signal, in the right order.
    detectability
        d', the difference of the means of t in standard deviations of t.

    Examples
    --------
    >>> values = torch.tensor([0.5, 1.0])
    >>> float(Observed(groups=(3, 4), area=values, detectability=2 * values).area.mean())
    0.75
    """

    groups: tuple[int, ...]
    area: Float[Tensor, " groups"]
    detectability: Float[Tensor, " groups"]


def half_of(groups: Collection[int], *, generator: Generator) -> tuple[int, ...]:
    """Return half of the groups by chance, the smaller half where they are odd."""
    numbers = sorted(set(groups))
    order = torch.randperm(len(numbers), generator=generator, device=generator.device).tolist()
    return tuple(sorted(numbers[place] for place in order[: len(numbers) // 2]))


def hotelling_template(trials: Trials) -> Float[Tensor, " channels"]:
    r"""Return :math:`w = K^{-1} (\bar v_1 - \bar v_0)`, K the mean of the two covariances.

    Raises
    ------
    RefusedInputError
        Fewer patches than channels, so that K has no inverse, or channels that cannot be told apart
        on these patches.

    References
    ----------
    H. H. Barrett, J. Yao, J. P. Rolland, K. J. Myers, PNAS 90 (1993) 9758,
    doi:10.1073/pnas.90.21.9758.
    """
    n_present, channels = trials.present.shape
    fewest = min(n_present, len(trials.absent))
    if fewest <= channels:
        msg = (
            f"got {n_present} patches with the signal and {len(trials.absent)} without to fit a "
            f"template of {channels} channels; allowed: more of each than channels. Take fewer "
            "channels or more patches."
        )
        raise RefusedInputError(msg)
    present, absent = trials.present.double(), trials.absent.double()
    covariance = (torch.cov(present.T) + torch.cov(absent.T)).reshape(channels, channels) / 2
    level = covariance.diagonal().sqrt()
    # of unit diagonal, so that the test below does not depend on units
    alike = covariance / torch.outer(level, level)
    if not bool(alike.isfinite().all()) or _smallest(alike) < _LEAST_EIGENVALUE:
        msg = (
            f"the {channels} channels cannot be told apart on these patches; take fewer of them, "
            "a higher first frequency, or larger patches."
        )
        raise RefusedInputError(msg)
    difference = (present.mean(0) - absent.mean(0)) / level
    template: Tensor = torch.linalg.solve(alike, difference) / level
    return template


def crossed_observer(trials: Trials, *, first_half: Collection[int]) -> Observed:
    r"""Return what a template of each half of the groups reaches on the other half.

    The area compares scores of one template only, across the groups of its half, and
    :math:`d' = (\bar t_1 - \bar t_0) / \sqrt{(s_1^2 + s_0^2) / 2}`. The values per group are
    pseudo-values, :math:`n \theta - (n - 1) \theta_{-g}` for the n groups of a half, moved so that
    their mean is :math:`\theta`. Student's interval over them covered 92 to 94 % of nominal 95 % at
    d' 1 and 2.5, but 79 to 84 % at d' 0 and 0.3, where the halves judge each other by one inner
    product (250 simulations, 20 groups of 16 + 16 Gaussian patches, 7 channels). A template of few
    patches is worse than the best one: both figures are of the observer with these many.

    Parameters
    ----------
    trials
        All patches.
    first_half
        Groups of one half, two or more, see `half_of`; the same for observers that are compared.

    Raises
    ------
    RefusedInputError
        A half with fewer than two groups, a group that does not exist, scores that do not vary, or
        what `hotelling_template` refuses.

    References
    ----------
    D. D. Dorfman, K. S. Berbaum, C. E. Metz, Invest. Radiol. 27 (1992) 723 (pseudo-values).
    """
    halves = tuple(first_half), tuple(set(trials.groups) - set(first_half))
    if min(map(len, halves)) < 2 or not set(first_half) <= set(trials.groups):
        msg = (
            f"got halves of {len(halves[0])} and {len(halves[1])} groups; allowed: two or more "
            "groups in each, all of the trials."
        )
        raise RefusedInputError(msg)
    area, detectability = dict[int, float](), dict[int, float]()
    for trained, tested in (halves, halves[::-1]):
        template = hotelling_template(trials.of(trained))
        scores = _scored(trials.of(tested), template)
        area |= _pseudo_values(_area, scores)
        detectability |= _pseudo_values(_detectability, scores)
    return Observed(
        groups=trials.groups,
        area=torch.tensor([area[g] for g in trials.groups], dtype=torch.float64),
        detectability=torch.tensor([detectability[g] for g in trials.groups], dtype=torch.float64),
    )


def with_internal_noise(trials: Trials, *, share: float | int, generator: Generator) -> Trials:
    """Return the trials with noise of the observer's own in each channel, which makes it worse.

    Independent and Gaussian, of ``share`` times the variance of the channel (mean of both classes);
    the usual way to bring the observer to what people reach. None is added unless this is called.

    Parameters
    ----------
    trials
        Without such noise.
    share
        At least 0.
    generator
        Source of the noise.
    """
    if not 0 <= share < math.inf:
        msg = f"share got {share}; allowed: 0 or more times the variance of a channel."
        raise RefusedInputError(msg)
    level = (share * (trials.present.var(0) + trials.absent.var(0)) / 2).sqrt()

    def noisy(outputs: Tensor) -> Tensor:
        drawn = torch.randn(
            outputs.shape, dtype=outputs.dtype, generator=generator, device=generator.device
        )
        return outputs + level * drawn.to(outputs.device)

    return replace(trials, present=noisy(trials.present), absent=noisy(trials.absent))


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores of one template, with class and group."""

    score: Tensor
    positive: Tensor
    group: Tensor


Figure = Callable[[Tensor, Bool[Tensor, " trials"]], float]


def _scored(trials: Trials, template: Tensor) -> _Scores:
    score = torch.cat([trials.present.double() @ template, trials.absent.double() @ template])
    positive = torch.arange(len(score), device=score.device) < len(trials.present)
    return _Scores(score, positive, torch.cat([trials.of_present, trials.of_absent]))


def _pseudo_values(figure: Figure, scores: _Scores) -> dict[int, float]:
    whole, numbers = figure(scores.score, scores.positive), torch.unique(scores.group).tolist()
    without = {g: scores.group != g for g in numbers}
    left = {g: figure(scores.score[at], scores.positive[at]) for g, at in without.items()}
    middle = math.fsum(left.values()) / len(left)
    return {g: whole + (len(left) - 1) * (middle - value) for g, value in left.items()}


def _area(score: Tensor, positive: Tensor) -> float:
    return area_under_roc(score, positive)


def _detectability(score: Tensor, positive: Tensor) -> float:
    high, low = score[positive], score[~positive]
    spread = float(((high.var() + low.var()) / 2).sqrt())
    if not spread > 0:
        msg = "the scores of a tested half do not vary, so d' does not exist. Look at its patches."
        raise RefusedInputError(msg)
    return float(high.mean() - low.mean()) / spread


def _smallest(matrix: Tensor) -> float:
    return float(torch.linalg.eigvalsh(matrix)[0])

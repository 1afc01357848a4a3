"""Rows of a bench on simulated data: means over dataset draws, paired contrasts, their power."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Literal

from medconsist.errors import RefusedInputError
from medconsist.metrics.power import smallest_mean_difference
from medconsist.metrics.report import Estimate, t_interval
from medconsist.results.bench import BenchRow, BenchTable, Target

__all__ = ["Contrast", "Figures", "table"]

UNIT = "dataset draw"


@dataclass(frozen=True)
class Figures:
    """Figures of one dataset draw by cell, name and metric; one value a seed.

    Parameters
    ----------
    values
        Filled by :meth:`add`.

    Examples
    --------
    >>> found = Figures()
    >>> found.add("easy 0", "abmil", "bag AUC", 0.7); found.add("easy 0", "abmil", "bag AUC", 0.9)
    >>> round(found.mean("easy 0", "abmil", "bag AUC"), 3)
    0.8
    """

    values: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def add(self, cell: str, name: str, metric: str, value: float) -> None:
        """Keep the figure of one seed."""
        self.values.setdefault((cell, name, metric), []).append(value)

    def mean(self, cell: str, name: str, metric: str) -> float:
        """Return the mean over seeds."""
        return fmean(self.values[cell, name, metric])


@dataclass(frozen=True)
class Contrast:
    """A paired difference: first less second.

    Parameters
    ----------
    cell, metric, first, second
        As in `Figures`.
    is_fixed
        Whether it was named before the first training.
    expected
        Where its interval was expected to lie; ``"not above 0"`` is missed by an interval that lies
        above 0 as a whole.
    better
        Which figure is the better one: its row then says who is ahead, or that no difference is
        shown. Empty says nothing.

    Examples
    --------
    >>> Contrast("easy 0", "bag AUC", "mhim-abmil", "abmil", is_fixed=True).words
    'mhim-abmil less abmil (paired, fixed beforehand)'
    """

    cell: str
    metric: str
    first: str
    second: str
    is_fixed: bool = False
    expected: Literal["above 0", "not above 0"] = "above 0"
    better: Literal["", "higher", "lower"] = ""

    @property
    def words(self) -> str:
        """What is compared."""
        fixed = ", fixed beforehand" if self.is_fixed else ""
        return f"{self.first} less {self.second} (paired{fixed})"

    def verdict(self, found: Estimate) -> str:
        """Return who is ahead by this difference, after a colon; empty where `better` is."""
        if not self.better or found.ci_low is None or found.ci_high is None:
            return ""
        if found.ci_low <= 0 <= found.ci_high:
            return ": no difference shown"
        is_first = (found.mean > 0) == (self.better == "higher")
        return f": {self.first if is_first else self.second} ahead"


def table(
    title: str,
    draws: Sequence[Figures],
    contrasts: Sequence[Contrast],
    *,
    seed: int,
    unit: str = UNIT,
) -> BenchTable:
    """Return the mean of every figure over draws, then the contrasts.

    Parameters
    ----------
    title
        First words of each case.
    draws
        One for each dataset, with the same keys.
    contrasts
        Which differences are reported; the fixed ones become targets.
    seed
        Number of the first draw, for the rows.
    unit
        What a draw is.

    Raises
    ------
    RefusedInputError
        Draws with different figures.
    """
    keys = list(draws[0].values)
    if any(list(one.values) != keys for one in draws):
        msg = "the draws have different figures; give those of one bench."
        raise RefusedInputError(msg)
    rows = []
    for cell, name, metric in keys:
        estimate = t_interval(_over(draws, (cell, name, metric)), unit=unit)
        rows.append(_row(f"{title}, {cell}, {name}", metric, estimate, seed))
    done = BenchTable(tuple(rows))
    for contrast in contrasts:
        done = done.joined(_compared(title, draws, contrast, seed, unit))
    return done


def _compared(
    title: str, draws: Sequence[Figures], contrast: Contrast, seed: int, unit: str
) -> BenchTable:
    first, second = (
        _over(draws, (contrast.cell, name, contrast.metric))
        for name in (contrast.first, contrast.second)
    )
    differences = [a - b for a, b in zip(first, second, strict=True)]
    found = t_interval(differences, unit=unit)
    case = f"{title}, {contrast.cell}, {contrast.words}"
    rows = [_row(case + contrast.verdict(found), contrast.metric, found, seed)]
    if not contrast.is_fixed:
        return BenchTable(tuple(rows))
    if len(set(differences)) > 1:
        rows.append(_detectable(case, contrast.metric, differences, seed, unit))
    bounds = "" if found.ci_low is None else f" ({found.ci_low:.3f} to {found.ci_high:.3f})"
    note = f"; {found.note}" if found.note else ""
    above = found.ci_low is not None and found.ci_low > 0
    target = Target(
        name=case,
        wanted=f"95 % interval of the paired difference {contrast.expected}",
        seen=f"{found.mean:.3f}{bounds}{note}",
        met=above == (contrast.expected == "above 0"),
    )
    return BenchTable(tuple(rows), (target,))


def _over(draws: Sequence[Figures], key: tuple[str, str, str]) -> list[float]:
    return [one.mean(*key) for one in draws]


def _row(case: str, metric: str, estimate: Estimate, seed: int) -> BenchRow:
    return BenchRow(
        case=case,
        metric=metric,
        value=estimate.mean,
        unit="s" if "seconds" in metric else "1",
        n=estimate.n,
        unit_of_analysis=estimate.unit_of_analysis,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        seed=seed,
    )


def _detectable(
    case: str, metric: str, differences: Sequence[float], seed: int, unit: str
) -> BenchRow:
    least = smallest_mean_difference(n=len(differences), sd=stdev(differences), unit=unit)
    return BenchRow(
        case=case,
        metric=f"{metric}, smallest difference that n would show with {least.power:.0%} power",
        value=least.difference,
        unit="1",
        n=least.n,
        unit_of_analysis=unit,
        seed=seed,
    )

"""Rows of ``medconsist bench ts-smni``: leaked beside honest, each method, the one contrast."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medconsist.metrics.report import Estimate, written
from medconsist.results.bench import BenchRow, BenchTable, Target
from medconsist.timeseries.audit.leakage import Leakage
from medconsist.timeseries.evaluation.report import Report, Row

__all__ = [
    "Spent",
    "contrast_rows",
    "failed_target",
    "leakage_rows",
    "method_rows",
    "time_target",
]

UNIT = "patient"
LEAKED, HONEST = "patients on both sides", "patients kept apart"
# the specification measured .965, and .656 with a deviation of .031 over the draws of four folds
WANTED = {LEAKED: (0.93, 1.0), HONEST: (0.55, 0.76)}
_MINUTES, _CORES = 90, 2


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a method took.

    Parameters
    ----------
    seconds
        Of one core, all in all, over all runs of the table.
    epochs, steps
        Of a training of an encoder; steps are the mean over trainings.
    fits
        How many trainings there were.

    Examples
    --------
    >>> Spent(seconds=12.5, epochs=6, steps=84, fits=6).fits
    6
    """

    seconds: float
    epochs: int
    steps: float | int
    fits: int


def leakage_rows(found: Leakage, *, seed: int) -> BenchTable:
    """Return accuracy and area with patients on both sides and apart, true and random labels.

    Parameters
    ----------
    found
        Of band power and a logistic probe.
    seed
        Of the folds.
    """
    rows = [
        BenchRow(
            case=f"band power, logistic, {words}{labels}",
            metric=f"{metric} of windows",
            value=value,
            unit="1",
            n=found.patients,
            unit_of_analysis=UNIT,
            seed=seed,
        )
        for words, score, labels in (
            (LEAKED, found.dependent, ""),
            (HONEST, found.independent, ""),
            (LEAKED, found.random_dependent, ", random labels"),
            (HONEST, found.random_independent, ", random labels"),
        )
        for metric, value in (("accuracy", score.accuracy), ("AUC", score.area))
        if value is not None
    ]
    seen = {LEAKED: found.dependent.accuracy, HONEST: found.independent.accuracy}
    targets = [
        Target(
            name=f"accuracy, {words}",
            wanted=f"{low:g} to {high:g}",
            seen=seen[words],
            met=low <= seen[words] <= high,
        )
        for words, (low, high) in WANTED.items()
    ]
    return BenchTable(tuple(rows), tuple(targets))


def method_rows(method: str, row: Row, spent: Spent, *, seed: int) -> BenchTable:
    """Return the figures of one method, luck under permuted labels, and what it took.

    Parameters
    ----------
    method
        As the table calls it.
    row
        Of `judge`.
    spent
        See its class.
    seed
        Of the run.
    """
    rows = [
        _row(method, name, row.figures[name], seed) for name in ("AUC", "accuracy", "Brier score")
    ]
    rows += _lucky(method, row, seed)
    figures = [("core-seconds", spent.seconds, "s")]
    if spent.fits:
        made = (("epochs", spent.epochs, "1"), ("steps a training", spent.steps, "1"))
        figures = [*made, *figures]
    rows += [
        BenchRow(
            case=method,
            metric=metric,
            value=value,
            unit=unit,
            n=max(spent.fits, 1),
            unit_of_analysis="training",
            seed=seed,
        )
        for metric, value, unit in figures
    ]
    return BenchTable(tuple(rows))


def failed_target(method: str, error: Exception) -> BenchTable:
    """Return the missed target of a method that has no figures.

    Parameters
    ----------
    method
        As the table calls it.
    error
        What its training died of.
    """
    target = Target(name=f"{method} is judged", wanted="figures", seen=str(error), met=False)
    return BenchTable((), (target,))


def contrast_rows(report: Report, *, seed: int) -> BenchTable:
    """Return the one contrast and what it could have shown; a tie is what was expected.

    Parameters
    ----------
    report
        Of the two contrasted methods.
    seed
        Of the run.
    """
    named = report.contrast
    assert named is not None  # noqa: S101  the bench names one
    case = f"{named.first} less {named.second} (paired, fixed beforehand)"
    found = named.difference
    rows = [_row(case, named.figure, found, seed)]
    if named.detectable is not None:
        metric = (
            f"{named.figure}, smallest difference that n would show with "
            f"{named.detectable.power:.0%} power"
        )
        value = named.detectable.difference
        rows.append(_bare(case, metric, value, found.n, seed))
    low, high = found.ci_low, found.ci_high
    tie = low is None or high is None or low <= 0 <= high
    target = Target(name=case, wanted="a tie: 95 % interval holds 0", seen=written(found), met=tie)
    return BenchTable(tuple(rows), (target,))


def time_target(seconds: Sequence[float], own: float) -> BenchTable:
    """Return whether the table fits its time.

    Parameters
    ----------
    seconds
        Of one core, of each method, in the order in which they are dealt to free cores.
    own
        Before and after them.
    """
    loads = [0.0] * _CORES
    for one in seconds:
        loads[loads.index(min(loads))] += one
    minutes = (max(loads) + own) / 60
    target = Target(
        name="time of the table",
        wanted=f"<= {_MINUTES} minutes of {_CORES} cores",
        seen=minutes,
        met=minutes <= _MINUTES,
    )
    return BenchTable((), (target,))


def _lucky(method: str, row: Row, seed: int) -> Iterator[BenchRow]:
    luck = row.permuted
    if luck is None:
        return
    case, n = f"{method}, permuted labels", luck.permutations
    for metric, value in (("AUC", luck.mean), ("p of the true labels", luck.p)):
        if value is not None:
            yield BenchRow(
                case=case,
                metric=metric,
                value=value,
                unit="1",
                n=n,
                unit_of_analysis="labelling",
                seed=seed,
            )


def _row(case: str, metric: str, one: Estimate, seed: int) -> BenchRow:
    bare = _bare(case, metric, one.mean, one.n, seed)
    return bare.model_copy(update={"ci_low": one.ci_low, "ci_high": one.ci_high})


def _bare(case: str, metric: str, value: float, n: int, seed: int) -> BenchRow:
    return BenchRow(
        case=case, metric=metric, value=value, unit="1", n=n, unit_of_analysis=UNIT, seed=seed
    )

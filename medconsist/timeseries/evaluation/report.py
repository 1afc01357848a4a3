"""A table of judged candidates: figures by patient, what luck gives, and what must be read."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from medconsist import RESEARCH_USE_ONLY
from medconsist.metrics.delong import AreaDifference
from medconsist.metrics.power import Detectable
from medconsist.metrics.repeated_folds import FoldDifference
from medconsist.metrics.report import Estimate, written
from medconsist.timeseries.evaluation.permuted import PermutationTest

__all__ = ["Contrasted", "Report", "Row"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One candidate.

    Parameters
    ----------
    name
        Of the candidate.
    figures
        By patient, with intervals.
    windows, trials
        Secondary figures, without intervals.
    permuted
        The area under permuted patient labels; None if none were permuted.

    Examples
    --------
    >>> Row(name="majority class").figures
    {}
    """

    name: str
    figures: Mapping[str, Estimate] = field(default_factory=dict)
    windows: Mapping[str, float] = field(default_factory=dict)
    trials: Mapping[str, float] = field(default_factory=dict)
    permuted: PermutationTest | None = None

    @property
    def lines(self) -> tuple[str, ...]:
        """For people."""
        told = [self.name]
        told += [f"  {name:<20}{_said(one)}" for name, one in self.figures.items()]
        for level, figures in (("windows", self.windows), ("trials", self.trials)):
            said = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            told.append(f"  secondary, {level}: {said}")
        told.append(f"  permuted labels     {_luck(self.permuted)}")
        return tuple(told)


@dataclass(frozen=True, kw_only=True)
class Contrasted:
    """The one comparison that was named before the run.

    Parameters
    ----------
    first, second
        Names of the candidates.
    figure
        Which figure is compared.
    difference
        First less second, paired by patient or by fold.
    detectable
        The smallest true difference that this test finds; None where it has no standard error.

    Examples
    --------
    >>> Contrasted.__dataclass_params__.frozen
    True
    """

    first: str
    second: str
    figure: str
    difference: AreaDifference | FoldDifference
    detectable: Detectable | None

    @property
    def sentence(self) -> str:
        """What was found, and what could have been."""
        one = self.difference
        said = f"{self.figure} of {self.first} less that of {self.second}: {written(one)}"
        if one.p is None:
            return f"{said}."
        said += f", p = {one.p:.3g}"
        said += "" if one.p <= 1 - one.confidence else ": a tie"
        if self.detectable is None:
            return f"{said}."
        return (
            f"{said}. True differences from {self.detectable.difference:.3f} on would be found in "
            f"{self.detectable.power:.0%} of such comparisons ({self.detectable.test})."
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    """All candidates on the same rounds.

    Parameters
    ----------
    rows
        In the order given.
    contrast
        The one that was pre-registered, or None.
    rounds_sha256, fingerprint
        Of the rounds, and of the windows.
    patients, classes
        How many of each class.
    aggregate
        How windows became patients.
    sentences
        What must be read with the table: coverage of its intervals, notes of the rounds.

    Examples
    --------
    >>> Report(rows=(), contrast=None, rounds_sha256="", fingerprint="", classes={}).patients
    0
    """

    rows: tuple[Row, ...]
    contrast: Contrasted | None
    rounds_sha256: str
    fingerprint: str
    classes: Mapping[str, int]
    aggregate: str = "probability"
    sentences: tuple[str, ...] = ()

    @property
    def patients(self) -> int:
        """How many were judged."""
        return sum(self.classes.values())

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"said": RESEARCH_USE_ONLY, "patients": self.patients, **asdict(self)}

    @property
    def text(self) -> str:
        """The table for people."""
        counted = ", ".join(f"{count} {name}" for name, count in self.classes.items())
        head = (
            f"{self.patients} patients ({counted}); unit of analysis: patient; windows to trials "
            f"to patients by mean {self.aggregate}; rounds {self.rounds_sha256[:8]}."
        )
        told = [RESEARCH_USE_ONLY, head]
        told += [line for row in self.rows for line in row.lines]
        named = "none was named before the run: no row may be called better than another."
        told.append(f"Contrast: {named if self.contrast is None else self.contrast.sentence}")
        return "\n".join([*told, *self.sentences])


def _said(one: Estimate) -> str:
    limits = ""
    if one.ci_low is not None and one.ci_high is not None:
        limits = f"  [{one.ci_low:.3f}, {one.ci_high:.3f}]"
    note = f"  ({one.note})" if one.note else ""
    return f"{one.mean:.3f}{limits}  n = {one.n} {one.unit_of_analysis}s{note}"


def _luck(test: PermutationTest | None) -> str:
    if test is None:
        return "not run"
    how = "all labellings" if test.exact else f"{test.permutations} labellings"
    p = "too few for a p-value" if test.p is None else f"p = {test.p:.3g}"
    return f"AUC {test.mean:.3f}  [{test.low:.3f}, {test.high:.3f}] ({how}), {p}"

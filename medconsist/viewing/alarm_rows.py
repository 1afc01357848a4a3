"""Which rows of which bench measured the rates of which alarm; the numbers are not here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["RowOfBench", "artefact_rows", "audit_rows", "outside_rows", "stain_rows", "stream_rows"]

_MRI_SCORES = (
    "withheld_error",
    "withheld_nrmse",
    "withheld_noise_corrected",
    "residual",
    "not_determined_share",
    "refutable_contrast",
    "matched_filter_peak",
)
_SLIDE_SCORES = ("hidden_spread", "novelty", "teacher_probability_gap", "teacher_attention_gap")
_SIGNAL_SCORES = ("withheld_leads", "withheld_lead_worst")
_SCORES = {"MRI": _MRI_SCORES, "slides": _SLIDE_SCORES, "signals": _SIGNAL_SCORES}
_CHANGES = {
    "MRI": ("noise x 2", "coil maps 2 pixels off"),
    "slides": ("stain of a new site", "scanner noise"),
    "signals": ("electrodes RA and LA swapped", "noise of another device"),
}
_KINDS = {"MRI": "mri.", "slides": "wsi.prediction", "signals": "timeseries.prediction"}
_FAULTS = ("pen", "fold", "blur", "blank")
_OUTSIDE = "share outside the history (p <= 0.05)"
_FALSE = "false alarms per 1,000 clean cases, random orders"
_MISSED = "streams without an alarm in 100 cases"


@dataclass(frozen=True, kw_only=True)
class RowOfBench:
    """The row that measured one rate of one alarm.

    Parameters
    ----------
    rate
        ``false``: it was raised where nothing was wrong; ``true``: where a fault was planted.
    bench, case, metric
        The row: ``medconsist bench NAME``, and its first two columns.
    condition
        On what, in words.
    score
        Which trust score, empty where the alarm is about none.
    kind
        How the kinds of result begin that it was measured for.
    is_complement
        Whether the rate is 1 less the value of the row.
    per
        How many cases one false alarm counts on.

    Examples
    --------
    >>> RowOfBench(rate="true", bench="tissue", case="he, pen", metric="sensitivity",
    ...            condition="drawn pen strokes").per
    1
    """

    rate: Literal["false", "true"]
    bench: str
    case: str
    metric: str
    condition: str
    score: str = ""
    kind: str = ""
    is_complement: bool = False
    per: Literal[1, 1000] = 1


def outside_rows() -> tuple[RowOfBench, ...]:
    """Return the rows of the alarm of one case, score by score."""
    return tuple(_of_every_score(_OUTSIDE, _OUTSIDE))


def stream_rows() -> tuple[RowOfBench, ...]:
    """Return the rows of the alarm of a stream, score by score."""
    return tuple(_of_every_score(_FALSE, _MISSED))


def artefact_rows() -> tuple[RowOfBench, ...]:
    """Return the rows of ink, folds, blur and blank on drawn slides."""
    return tuple(row for fault in _FAULTS for row in _of_fault(fault))


def stain_rows() -> tuple[RowOfBench, ...]:
    """Return the rows of the stain that is told on the overview, for a model made for H&E."""
    kinds = ("he", "ihc", "fluorescence")
    cases = {f"stain kind, {kind}": f"drawn {kind} slides, a model made for H&E" for kind in kinds}
    return _of_cases("tissue", "taken for itself", cases, counts_right=True)


def audit_rows() -> tuple[RowOfBench, ...]:
    """Return the rows of the audit of a split, on simulated signals."""
    splits = ("clean split", "trials of a test patient in training", "copied test windows")
    cases = {f"audit, {split}": f"{split} of simulated signals" for split in splits}
    return _of_cases("ts-worlds", "flagged by the audit", cases, counts_right=False)


def _of_cases(
    bench: str, metric: str, cases: Mapping[str, str], *, counts_right: bool
) -> tuple[RowOfBench, ...]:
    """Return a row a case: the first one is clean and gives the false rate, the others the true.

    Parameters
    ----------
    bench, metric
        As `RowOfBench`.
    cases
        Case to condition.
    counts_right
        The metric counts what was taken for what it is, of the clean case too; else alarms.
    """
    return tuple(
        RowOfBench(
            rate="true" if at else "false",
            bench=bench,
            case=case,
            metric=metric,
            condition=condition,
            is_complement=counts_right and at == 0,
        )
        for at, (case, condition) in enumerate(cases.items())
    )


def _of_every_score(clean: str, changed: str) -> Iterator[RowOfBench]:
    is_missed = changed == _MISSED
    for domain, score in ((domain, score) for domain, some in _SCORES.items() for score in some):
        false = RowOfBench(
            rate="false",
            bench="alarm",
            case=f"{domain}, nothing changed",
            metric=f"{clean}, {score}",
            condition="nothing changed",
            score=score,
            kind=_KINDS[domain],
            per=1000 if clean == _FALSE else 1,
        )
        yield false
        for change in _CHANGES[domain]:
            yield replace(
                false,
                rate="true",
                case=f"{domain}, {change}",
                metric=f"{changed}, {score}",
                condition=f"{change}, within 100 cases" if is_missed else change,
                is_complement=is_missed,
                per=1,
            )


def _of_fault(fault: str) -> tuple[RowOfBench, RowOfBench]:
    true = RowOfBench(
        rate="true",
        bench="tissue",
        case=f"he, {fault}",
        metric="sensitivity",
        condition=f"drawn H&E slides with {fault} planted",
        score=f"{fault}_share",
        kind="wsi.features",
    )
    without = f"drawn H&E slides without {fault}"
    false = replace(true, rate="false", metric="specificity", condition=without, is_complement=True)
    return false, true

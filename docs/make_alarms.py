"""Write the measured rates of the alarms and their page: ``python docs/make_alarms.py``.

Takes every number from the tables of docs/benchmarks.md, which the benches printed, and writes
medconsist/viewing/alarm_rates.json (what the trust panel shows) and docs/safety/alarms.md. Run it
after ``python docs/make_benchmarks.py alarm``; a test fails where the three do not agree.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medconsist.viewing.alarm_list import ALARMS, Alarm
from medconsist.viewing.alarm_rates import NOT_MEASURED, RATES_NOTE, AlarmRate, AlarmRates
from medconsist.viewing.alarm_rows import RowOfBench

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "docs" / "benchmarks.md"
RATES = ROOT / "medconsist" / "viewing" / "alarm_rates.json"
PAGE = ROOT / "docs" / "safety" / "alarms.md"

HEAD = """# Alarms

Research use only, not for diagnosis. What the program says by itself, where, and how often it is
right. Written by `python docs/make_alarms.py` from [the measured figures](../benchmarks.md) and the
list of alarms that the trust panel shows; no rate is written by hand, and one that nobody has
measured is called so. {note}

*block*: nothing is shown or done; *advise*: said above the numbers; *inform*: said beside them.

"""
RATE_HEAD = """
## Measured rates

A rate is a share of cases unless it is counted *in 1,000 cases*. *false*: raised where nothing was
wrong; *true*: where the fault was planted. The intervals are those of the table that is named: of
cases, for one calibration; streams share their cases and have none.
"""
_HEADING = re.compile(r"^## `medconsist bench ([\w-]+)`", re.MULTILINE)
_TABLE = re.compile(r"^```text\n(case .*?)^```", re.MULTILINE | re.DOTALL)
_COUNTED = re.compile(r"(\d+) x (.+)")


@dataclass(frozen=True)
class MeasuredRow:
    """One row of a table of docs/benchmarks.md."""

    value: float
    ci_low: float | None
    ci_high: float | None
    n: int
    unit_of_analysis: str


def measured_rows(page: str) -> dict[tuple[str, str, str], MeasuredRow]:
    """Return the rows of every bench by its name, case and metric."""
    starts = [(match[1], match.end()) for match in _HEADING.finditer(page)]
    ends = [start for _, start in starts[1:]] + [len(page)]
    return {
        (bench, case, metric): row
        for (bench, start), end in zip(starts, ends, strict=True)
        for found in _TABLE.findall(page[start:end])
        for case, metric, row in _rows(found)
    }


def _rows(table: str) -> Iterator[tuple[str, str, MeasuredRow]]:
    head, *lines = table.splitlines()
    at = [head.index(name) for name in ("case", "metric", "value", "baseline", "95 %")]
    at.append(head.rindex("n"))
    for line in lines:
        cells = [line[a:b].strip() for a, b in zip(at, [*at[1:], None], strict=True)]
        case, metric, value, _, interval, counted = cells
        number = _COUNTED.fullmatch(counted)
        if number is None:
            continue
        low, _, high = interval.partition(" to ")
        yield (
            case,
            metric,
            MeasuredRow(
                value=float(value.split()[0]),
                ci_low=float(low) if high else None,
                ci_high=float(high) if high else None,
                n=int(number[1]),
                unit_of_analysis=number[2],
            ),
        )


def rates(page: str) -> AlarmRates:
    """Return the rate of each row that an alarm names and a bench has printed.

    An alarm of which a bench has printed nothing is not measured by it; of the others no row may
    be missing, so that a name that was mistyped is noticed.

    Raises
    ------
    SystemExit
        Some rows of an alarm are in the page and others are not.
    """
    rows = measured_rows(page)
    found: list[AlarmRate] = []
    for alarm in ALARMS:
        for bench in dict.fromkeys(row.bench for row in alarm.rows):
            wanted = [row for row in alarm.rows if row.bench == bench]
            missing = [row for row in wanted if (bench, row.case, row.metric) not in rows]
            if missing and len(missing) < len(wanted):
                first = f"bench {bench}: {missing[0].case}: {missing[0].metric}"
                msg = f"{len(missing)} rows of {alarm.name} are not there, e.g. {first}."
                raise SystemExit(msg)
            if not missing:
                found += [_rate(alarm, row, rows[bench, row.case, row.metric]) for row in wanted]
    return AlarmRates(rates=tuple(found))


def _rate(alarm: Alarm, row: RowOfBench, found: MeasuredRow) -> AlarmRate:
    value, low, high = found.value, found.ci_low, found.ci_high
    if row.is_complement:
        turned = [None if end is None else round(1 - end, 6) for end in (value, high, low)]
        value, low, high = turned[0] or 0.0, turned[1], turned[2]
    return AlarmRate(
        alarm=alarm.name,
        rate=row.rate,
        condition=row.condition,
        score=row.score,
        kind=row.kind,
        value=value,
        ci_low=low,
        ci_high=high,
        per=row.per,
        n=found.n,
        unit_of_analysis=found.unit_of_analysis,
        command=f"medconsist bench {row.bench}",
        case=row.case,
        metric=row.metric,
    )


def page_text(measured: AlarmRates) -> str:
    """Return docs/safety/alarms.md."""
    text = HEAD.format(note=RATES_NOTE)
    heads = ("id", "alarm", "level", "cause", "threshold", "text", "where", "promise", "rates")
    text += _table(heads, [_alarm_row(alarm, measured) for alarm in ALARMS])
    text += RATE_HEAD
    for alarm in ALARMS:
        mine = [rate for rate in measured.rates if rate.alarm == alarm.name]
        if mine:
            rows = [(r.rate, r.score, r.condition, r.words, f"`{r.command}`") for r in mine]
            columns = ("rate", "score", "on", "value (95 % interval, n)", "measured by")
            text += f"\n### {alarm.title}\n\n{_table(columns, rows)}"
    return text


def _alarm_row(alarm: Alarm, measured: AlarmRates) -> tuple[str, ...]:
    mine = [rate for rate in measured.rates if rate.alarm == alarm.name]
    commands = ", ".join(dict.fromkeys(f"`{rate.command}`" for rate in mine))
    said = f"measured: {commands}" if mine else NOT_MEASURED
    facts = (alarm.cause, alarm.threshold, f"*{alarm.text}*", alarm.where, alarm.promise)
    return (f"`{alarm.name}`", alarm.title, alarm.level, *facts, said)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(cell or '-' for cell in line)} |\n" for line in lines)


def main() -> None:
    """Write both files."""
    measured = rates(MEASURED.read_text())
    RATES.write_text(measured.model_dump_json(indent=2) + "\n")
    PAGE.write_text(page_text(measured))
    sys.stdout.write(f"{RATES}\n{PAGE}\n")


if __name__ == "__main__":
    main()

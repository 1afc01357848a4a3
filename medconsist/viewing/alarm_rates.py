"""The measured rates of the alarms, as the benches of this repository printed them."""

from functools import cache
from importlib import resources
from typing import Literal

from pydantic import Field

from medconsist._records import Record, read_record

__all__ = ["NOT_MEASURED", "RATES_NOTE", "AlarmRate", "AlarmRates", "measured_rates", "rates_of"]

NOT_MEASURED = "not measured"
RATES_NOTE = (
    "Rates were measured by the named command on simulated or drawn cases with planted faults, "
    "at its settings. How often an alarm is right at this site is not known."
)
_FILE = "alarm_rates.json"


class AlarmRate(Record):
    """One measured rate of one alarm.

    Parameters
    ----------
    alarm
        Its name.
    rate
        ``false``: raised where nothing was wrong; ``true``: where a fault was planted.
    condition, score, kind
        On what, for which trust score, and for which kinds of result; see `RowOfBench`.
    value, ci_low, ci_high
        Share of the cases, or false alarms in ``per`` cases, with the interval of the bench; None
        where it gives none.
    per
        1 or 1,000 cases.
    n, unit_of_analysis
        How many of what.
    command, case, metric
        What measured it, and the row of its table.

    Examples
    --------
    >>> rates_of("artefact", score="pen_share")[0].unit_of_analysis
    'slide'
    """

    alarm: str
    rate: Literal["false", "true"]
    condition: str
    score: str = ""
    kind: str = ""
    value: float = Field(ge=0)
    ci_low: float | None = None
    ci_high: float | None = None
    per: Literal[1, 1000] = 1
    n: int = Field(ge=1)
    unit_of_analysis: str
    command: str
    case: str
    metric: str

    @property
    def words(self) -> str:
        """The rate as a person reads it.

        Examples
        --------
        >>> rates_of("artefact", score="pen_share")[1].words.startswith("100 % (90 to 100 %")
        True
        """
        scale = 100 if self.per == 1 else 1
        sign, of = (" %", "") if self.per == 1 else ("", " in 1,000 cases")
        limits = "no interval"
        if self.ci_low is not None and self.ci_high is not None:
            limits = f"{_short(scale * self.ci_low)} to {_short(scale * self.ci_high)}{sign}"
        return (
            f"{_short(scale * self.value)}{sign}{of} "
            f"({limits}, n = {self.n} x {self.unit_of_analysis})"
        )


class AlarmRates(Record):
    """The file of all measured rates; `docs/make_alarms.py` writes it.

    Parameters
    ----------
    schema_version
        Of this layout.
    rates
        In the order of the alarms.

    Examples
    --------
    >>> len(measured_rates().rates) > 0
    True
    """

    schema_version: Literal[1] = 1
    rates: tuple[AlarmRate, ...]


@cache
def measured_rates() -> AlarmRates:
    """Return the rates that came with this version.

    Raises
    ------
    RefusedInputError
        The file is not as `docs/make_alarms.py` writes it.
    """
    data = (resources.files("medconsist.viewing") / _FILE).read_bytes()
    return read_record(AlarmRates, data, source=_FILE)


def rates_of(alarm: str, *, kind: str = "", score: str | None = None) -> tuple[AlarmRate, ...]:
    """Return the measured rates of an alarm; none means that nobody measured it.

    Parameters
    ----------
    alarm
        Name.
    kind
        Kind of a result: rates that were measured for another one are left out. Empty takes all.
    score
        Rates of this trust score alone; None takes all.
    """
    return tuple(
        one
        for one in measured_rates().rates
        if one.alarm == alarm
        and (not kind or kind.startswith(one.kind))
        and score in (None, one.score)
    )


def _short(value: float) -> str:
    return f"{round(value, 2):g}"

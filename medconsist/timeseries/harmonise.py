"""What the recordings of one set must agree on: leads by name, units, a rate that is enough."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.files import as_float32
from medconsist.timeseries.readers.units import volts
from medconsist.timeseries.recording import InMemoryRecording, Recording, RecordingInfo

__all__ = ["CommonLeads", "common_leads", "in_common"]


@dataclass(frozen=True, kw_only=True)
class CommonLeads:
    """Leads and units that every recording of a set is brought to.

    Parameters
    ----------
    channels
        Names, in their order.
    units
        One each; None where no recording knows it.
    exact
        Whether a recording may have no other lead than these.

    Examples
    --------
    >>> CommonLeads(channels=("I",), units=("mV",)).exact
    True
    """

    channels: tuple[str, ...]
    units: tuple[str | None, ...]
    exact: bool = True


def common_leads(
    infos: Sequence[RecordingInfo], *, rate: float, channels: tuple[str, ...] | None = None
) -> CommonLeads:
    """Return the leads and units of a set of recordings, or say which one does not belong.

    Parameters
    ----------
    infos
        One or more.
    rate
        That all will be brought to [Hz].
    channels
        Leads that are wanted, in this order; a recording may have others then. None takes those of
        the first recording, and every other one must have the same, in any order.

    Raises
    ------
    RefusedInputError
        No recording; or one, named by its file: below the rate, without a lead, with a lead that
        the first has not, or with a unit that cannot become that of the first.

    Examples
    --------
    >>> one = RecordingInfo(rate=500.0, channels=("I", "II"), units=("uV", "uV"), samples=9)
    >>> common_leads([one], rate=250.0, channels=("II",)).units
    ('uV',)
    """
    if not infos:
        msg = "there is no recording to prepare; name one or more."
        raise RefusedInputError(msg)
    first = infos[0]
    names = first.channels if channels is None else channels
    _refuse_missing(first, names)
    common = CommonLeads(
        channels=names,
        units=tuple(first.units[first.channels.index(name)] for name in names),
        exact=channels is None,
    )
    for info in infos:
        _factors(info, common)
        if info.rate < rate:
            msg = (
                f"{info.source}: {info.rate:g} Hz are below the {rate:g} Hz asked for, and missing "
                f"samples are not invented. Ask for at most {info.rate:g} Hz, or leave it out."
            )
            raise RefusedInputError(msg)
    return common


def in_common(recording: Recording, common: CommonLeads) -> InMemoryRecording:
    """Return a recording, read whole, with the common leads in their order and units.

    Raises
    ------
    RefusedInputError
        As `common_leads`.
    CorruptInputError
        A sample is larger than float32 holds, in the common unit.
    """
    info = recording.info
    factors = _factors(info, common)
    columns = [info.channels.index(name) for name in common.channels]
    signal = recording.read()[:, columns]
    if any(factor != 1 for factor in factors):
        signal = as_float32(signal * np.array(factors), info.source)
    new = replace(info, channels=common.channels, units=common.units)
    return InMemoryRecording(new, signal)


def _factors(info: RecordingInfo, common: CommonLeads) -> list[float]:
    if (info.channels, info.units) == (common.channels, common.units):
        return [1.0] * len(common.channels)
    _refuse_missing(info, common.channels)
    more = [name for name in info.channels if name not in common.channels]
    if more and common.exact:
        msg = (
            f"{info.source}: has the leads {more}, which the first recording has not. Name the "
            "leads that are wanted (channels), so that others are left out on purpose."
        )
        raise RefusedInputError(msg)
    units = [info.units[info.channels.index(name)] for name in common.channels]
    return [
        _factor(unit, wanted, name, info.source)
        for unit, wanted, name in zip(units, common.units, common.channels, strict=True)
    ]


def _refuse_missing(info: RecordingInfo, wanted: tuple[str, ...]) -> None:
    missing = [name for name in wanted if name not in info.channels]
    if missing:
        msg = (
            f"{info.source}: has no lead {missing}, its leads are {list(info.channels)}. Leave the "
            "recording out, or name leads that all have (channels)."
        )
        raise RefusedInputError(msg)


def _factor(unit: str | None, wanted: str | None, channel: str, source: str) -> float:
    if unit == wanted:
        return 1.0
    if unit is None or wanted is None:
        known, unknown = ("others", source) if unit is None else (source, "others")
        msg = (
            f"{source}: the unit of {channel} is {unit}, of the first recording {wanted} (None: "
            f"not known). Known and unknown cannot be mixed: prepare {unknown} apart from {known}."
        )
        raise RefusedInputError(msg)
    try:
        return volts(unit) / volts(wanted)
    except RefusedInputError as error:
        msg = (
            f"{source}: the unit of {channel} is {unit!r}, of the first recording {wanted!r}. "
            f"{error} Prepare them apart."
        )
        raise RefusedInputError(msg) from error

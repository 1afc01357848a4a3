"""From what a file says to a `RecordingInfo`: names, units, rate and ids by one set of rules."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.channel_names import normalise_names
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.units import normalise_unit
from medconsist.timeseries.recording import Annotation, RecordingInfo

__all__ = ["RawHeader", "info_of"]

_RATES_AGREE = 1e-6  # relative; a header has six digits or more


@dataclass(frozen=True, kw_only=True)
class RawHeader:
    """What a file says of itself, as it says it.

    Parameters
    ----------
    kind
        Name of the format, for messages.
    rate
        None where the format has none.
    channels, units
        As spelled in the file; a unit is None where there is none.
    samples
        Per channel.
    patient, trial
        Ids that are opaque already; never what a header calls the patient's name or number.
    start, annotations, diagnoses, notes
        As in `RecordingInfo`.

    Examples
    --------
    >>> RawHeader(kind="EDF", rate=1.0, channels=("I",), units=("mv",), samples=9).kind
    'EDF'
    """

    kind: str
    rate: float | None
    channels: tuple[str, ...]
    units: tuple[str | None, ...]
    samples: int
    patient: str | None = None
    trial: str | None = None
    start: datetime | None = None
    annotations: tuple[Annotation, ...] = ()
    diagnoses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def info_of(header: RawHeader, path: Path, options: ReadOptions) -> RecordingInfo:
    """Return what is known of a recording.

    Raises
    ------
    RefusedInputError
        No rate is known, the given one differs from the file's, or names are there twice.
    """
    channels, renamed = normalise_names(header.channels)
    units, said = _units(header, options)
    return RecordingInfo(
        rate=_rate(header, path, options),
        channels=channels,
        units=units,
        samples=header.samples,
        patient=options.patient or header.patient or path.stem,
        trial=options.trial or header.trial or path.stem,
        start=header.start,
        annotations=tuple(sorted(header.annotations, key=lambda one: one.start)),
        diagnoses=header.diagnoses,
        source=f"{header.kind} {path.name}",
        notes=(*header.notes, *renamed, *said),
    )


def _rate(header: RawHeader, path: Path, options: ReadOptions) -> float:
    given, found = options.rate, header.rate
    if given is None and found is None:
        msg = (
            f"{path.name} does not say its sampling rate, and {header.kind} as it stands gives "
            "none. Give it: ReadOptions(rate=...) in samples per second."
        )
        raise RefusedInputError(msg)
    if given is None or found is None:
        return float(given if found is None else found)  # type: ignore[arg-type]  # one is there
    if abs(given - found) > _RATES_AGREE * found:
        msg = (
            f"{path.name} says {found:g} Hz, {given:g} Hz was given; a recording is never "
            "resampled by reading it. Leave the rate out, or mend the file."
        )
        raise RefusedInputError(msg)
    return float(found)


def _units(
    header: RawHeader, options: ReadOptions
) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    units = tuple(map(normalise_unit, header.units))
    notes = []
    strange = sorted(
        {raw for raw, unit in zip(header.units, units, strict=True) if raw and unit is None}
    )
    if strange:
        notes.append(f"Units that are not known are left out: {', '.join(strange)}.")
    if options.unit is not None and None in units:
        names = [n for n, unit in zip(header.channels, units, strict=True) if unit is None]
        notes.append(f"Unit {options.unit} is the caller's, not the file's: {', '.join(names)}.")
        units = tuple(unit or options.unit for unit in units)
    elif None in units:
        notes.append("Some channels have no physical unit: they have no voltage scale.")
    return units, tuple(notes)

"""EDF, EDF+ and BDF files: https://www.edfplus.info/specs/edf.html, biosemi.com for BDF.

The library fills in what a header leaves open and overlooks gaps, so lengths and the times of
records are looked at first.
"""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from medconsist._extras import require
from medconsist._library_errors import library_errors
from medconsist.errors import CorruptInputError, RefusedInputError, UnsupportedInputError
from medconsist.timeseries.readers.files import (
    as_float32,
    require_budget,
    require_bytes,
    require_file,
)
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.pick_rate import pick_rate
from medconsist.timeseries.readers.raw_header import RawHeader, info_of
from medconsist.timeseries.recording import Annotation, Recording, RecordingInfo

__all__ = ["BDF_MAGIC", "EDF_MAGIC", "EdfRecording", "open_edf", "read_edf_annotations"]

EDF_MAGIC = b"0       "
BDF_MAGIC = b"\xffBIOSEMI"
_HEAD = 256  # bytes of the fixed part, and of the part of each signal
_SHORTEST = 1e-7  # seconds; the eight characters of the header hold no smaller number
_ANONYMOUS_DATE = b"01.01.85"  # by the specification of EDF+


class EdfRecording(Recording):
    """Channels of one rate of an EDF file, mapped; those of BDF are held as the library reads them.

    Parameters
    ----------
    info
        Of the recording.
    signals
        Of edfio, one a channel.

    Examples
    --------
    >>> issubclass(EdfRecording, Recording)
    True
    """

    def __init__(self, info: RecordingInfo, signals: list[Any]) -> None:
        super().__init__(info)
        self._signals = signals

    def read(
        self, start: int = 0, stop: int | None = None
    ) -> Float32[npt.NDArray[np.float32], "time channels"]:
        """Return samples in physical units."""
        span = self._span(start, stop)
        with library_errors(self.info.source, "edfio"):
            columns = [
                signal.get_data_slice(span.start / rate, span.stop / rate)
                for signal in self._signals
                for rate in (signal.sampling_frequency,)
            ]
        return as_float32(np.stack(columns, axis=1), self.info.source)


def open_edf(path: Path, options: ReadOptions) -> Recording:
    """Open an EDF, EDF+ or BDF file.

    Raises
    ------
    RefusedInputError
        It has annotations alone, or channels of several rates of which none was chosen.
    UnsupportedInputError
        It is discontinuous (EDF+D with gaps between records).
    TruncatedFileError, CorruptInputError
        As their names say.
    """
    file = _open(path, options)
    signals = list(file.signals)
    if not signals:
        msg = (
            f"{path.name} holds {len(file.annotations)} annotations and no signal; read them with "
            "read_edf_annotations."
        )
        raise RefusedInputError(msg)
    name = path.name
    rates = {n: float(signal.sampling_frequency) for n, signal in enumerate(signals)}
    picked, left = pick_rate(rates, [s.label for s in signals], options=options, name=name)
    chosen = [signals[n] for n in picked]
    uncalibrated = [signal.label for signal in chosen if not _calibrated(signal)]
    raw = RawHeader(
        kind=_kind(path),
        rate=rates[picked[0]],
        channels=tuple(signal.label for signal in chosen),
        units=tuple(s.physical_dimension if _calibrated(s) else None for s in chosen),
        samples=chosen[0].samples_per_data_record * file.num_data_records,
        start=_start(file),
        annotations=_annotations(file, name),
        notes=(*_notes(file, uncalibrated), *left),
    )
    return EdfRecording(info_of(raw, path, options), chosen)


def read_edf_annotations(path: Path) -> tuple[Annotation, ...]:
    """Return the annotations of an EDF+ or BDF+ file, also of one without signals.

    Raises
    ------
    MedconsistError
        As `open_edf`, but for the want of a signal.
    """
    return _annotations(_open(path, ReadOptions()), path.name)


def _kind(path: Path) -> str:
    with path.open("rb") as file:
        return "BDF" if file.read(len(BDF_MAGIC)) == BDF_MAGIC else "EDF"


def _open(path: Path, options: ReadOptions) -> Any:  # noqa: ANN401  a class of edfio
    size = require_file(path)
    bdf = _kind(path) == "BDF"
    _check_length(path, size, bytes_each=3 if bdf else 2)
    edfio = require("edfio", extra="timeseries")
    if bdf:
        # The library holds 4 bytes of each 3, beside the file itself.
        require_budget(path.name, 3 * size, options.budget_bytes)
    with library_errors(path.name, "edfio"):
        read = edfio.read_bdf if bdf else edfio.read_edf
        file = read(path, header_encoding="latin-1")
        gaps = "+D" in file.reserved and not file.is_continuous
    if gaps:
        msg = (
            f"{path.name} is discontinuous (EDF+D): time passes between its records. Allowed: one "
            "stretch. Cut it at the gaps and open the parts."
        )
        raise UnsupportedInputError(msg)
    return file


def _check_length(path: Path, size: int, *, bytes_each: int) -> None:
    """Compare the length of the file with what its header claims, before the library mends it."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        signals = _whole(head[252:256], "number of signals", path)
        rest = file.read(_HEAD * max(signals, 0))
    length, records = _whole(head[184:192], "length", path), _whole(head[236:244], "records", path)
    if length != _HEAD * (signals + 1) or signals < 1 or len(rest) < _HEAD * signals:
        msg = (
            f"{path.name} claims a header of {length} bytes for {signals} signals and has "
            f"{len(head) + len(rest)}; allowed: 256 bytes, and 256 for each of one signal or more."
        )
        raise CorruptInputError(msg)
    counts = rest[216 * signals : 224 * signals]
    samples = [_whole(counts[8 * n : 8 * n + 8], "samples", path) for n in range(signals)]
    if min(samples) < 1 or not (records > 0 or records == -1):
        msg = f"{path.name} claims {records} records of {samples[:9]} samples; allowed: 1 or more."
        raise CorruptInputError(msg)
    limits = [rest[104 * signals + 8 * n :][:8].strip() for n in range(2 * signals)]
    if any(limit.lower().lstrip(b"+-").startswith(b"nan") for limit in limits):
        msg = f"{path.name} has physical limits that are no numbers (nan). Copy the file again."
        raise CorruptInputError(msg)
    _refuse_duration(head[244:252], rest[: 16 * signals], path)
    record_bytes = sum(samples) * bytes_each
    present = size - length
    if records == -1:  # a recorder that was switched off; whole records count
        records = max(1, present // record_bytes)
    require_bytes(path.name, found=present, claimed=records * record_bytes)


def _refuse_duration(text: bytes, labels: bytes, path: Path) -> None:
    """Refuse records without duration, unless they hold annotations alone."""
    names = {labels[n : n + 16].strip() for n in range(0, len(labels), 16)}
    least = 0.0 if names <= {b"EDF Annotations", b"BDF Annotations"} else _SHORTEST
    with suppress(ValueError):
        if least <= float(text) < np.inf:
            return
    msg = f"{path.name} claims records of {text.strip()!r} seconds; allowed: a positive number."
    raise CorruptInputError(msg)


def _whole(text: bytes, what: str, path: Path) -> int:
    try:
        return int(text.decode("ascii"))
    except ValueError as error:
        msg = f"{path.name} is damaged or no EDF: its {what} reads {text[:16]!r}; copy it again."
        raise CorruptInputError(msg) from error


def _calibrated(signal: Any) -> bool:  # noqa: ANN401  a class of edfio
    with suppress(ValueError):
        same = signal.physical_min == signal.physical_max
        return not same and signal.digital_min != signal.digital_max
    return False


def _start(file: Any) -> datetime | None:  # noqa: ANN401  a class of edfio
    """Return when the recording began; None where the date is withheld, or no date."""
    if file._startdate == _ANONYMOUS_DATE:
        return None
    with suppress(ValueError), library_errors("start", "edfio"):
        return file.startdatetime
    return None


def _annotations(file: Any, name: str) -> tuple[Annotation, ...]:  # noqa: ANN401  of edfio
    with library_errors(name, "edfio"):
        return tuple(
            Annotation(start=float(a.onset), label=a.text, duration=float(a.duration or 0))
            for a in file.annotations
        )


def _notes(file: Any, uncalibrated: list[str]) -> tuple[str, ...]:  # noqa: ANN401  of edfio
    notes = []
    words = (
        *file.local_patient_identification.split(),
        *file.local_recording_identification.split(),
    )
    if set(words) - {"X", "Startdate"}:
        notes.append("Patient and recording identification of the header are left out.")
    if "+D" in file.reserved:
        notes.append("Marked discontinuous (EDF+D), but no time passes between its records.")
    if uncalibrated:
        names = ", ".join(uncalibrated)
        notes.append(f"Header without calibration, so numbers as stored: {names}.")
    return tuple(notes)

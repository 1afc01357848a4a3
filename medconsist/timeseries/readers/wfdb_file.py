"""WFDB records: a text header with one or more files of samples, and annotations beside.

The header's own file names are looked at before the library sees them: it would follow a path out
of the folder, or an address into the network.
"""

import re
import warnings
from datetime import datetime
from math import ceil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32

from medconsist._extras import require
from medconsist._library_errors import library_errors
from medconsist.errors import (
    CorruptInputError,
    UnsafeFileError,
    UnsupportedInputError,
)
from medconsist.timeseries.readers.files import (
    as_float32,
    require_bytes,
    require_file,
)
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.pick_rate import pick_rate
from medconsist.timeseries.readers.raw_header import RawHeader, info_of
from medconsist.timeseries.recording import Annotation, Recording, RecordingInfo

__all__ = ["WfdbRecording", "open_wfdb", "wfdb_library"]

_BYTES = {"8": 1, "80": 1, "16": 2, "61": 2, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
          "24": 3, "32": 4}  # fmt: skip
_PADDING = 3  # bytes; formats 310 and 311 are stored in words of four
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_DIAGNOSES = ("Reason for admission", "Acute infarction (localization)",
              "Former infarction (localization)", "Additional diagnoses", "Diagnosis")  # fmt: skip
_NO_DIAGNOSIS = ("", "no", "n/a", "none", "unknown")


class WfdbRecording(Recording):
    """Channels of one rate of a WFDB record; a span is read from its place in the file.

    Parameters
    ----------
    info
        Of the recording.
    stem
        Path of the header without suffix.
    picked
        Numbers of the channels in the header.
    per_frame
        Samples of each of these channels in one frame.
    whole
        Read all whatever the span: format 8 needs it, and a header that gives no length.

    Examples
    --------
    >>> issubclass(WfdbRecording, Recording)
    True
    """

    def __init__(
        self, info: RecordingInfo, stem: Path, *, picked: list[int], per_frame: int, whole: bool
    ) -> None:
        super().__init__(info)
        self._stem, self._picked, self._per_frame, self._whole = stem, picked, per_frame, whole

    def read(
        self, start: int = 0, stop: int | None = None
    ) -> Float32[npt.NDArray[np.float32], "time channels"]:
        """Return samples in physical units."""
        span = self._span(start, stop)
        first = 0 if self._whole else span.start // self._per_frame
        wfdb = wfdb_library()
        with library_errors(self.info.source, "wfdb"):
            record = wfdb.rdrecord(
                str(self._stem),
                sampfrom=first,
                sampto=None if self._whole else ceil(span.stop / self._per_frame),
                channels=self._picked,
                smooth_frames=False,
            )
            signal = np.stack(record.e_p_signal, axis=1)
        before = first * self._per_frame
        return as_float32(signal[span.start - before : span.stop - before], self.info.source)


def open_wfdb(path: Path, options: ReadOptions) -> Recording:
    """Open a record by its header, or by any file of the same name.

    Raises
    ------
    UnsafeFileError
        The header names files outside its folder.
    UnsupportedInputError
        It has several segments.
    RefusedInputError
        It has channels of several rates of which none was chosen.
    TruncatedFileError, CorruptInputError
        As their names say.
    """
    header_path = path.with_suffix(".hea").absolute()
    require_file(header_path)
    lines = _lines(header_path)
    files = _file_names(lines, header_path.name)
    wfdb = wfdb_library()
    stem = header_path.with_suffix("")
    with library_errors(header_path.name, "wfdb"):
        header = wfdb.rdheader(str(stem))
    if not header.n_sig or len(files) != header.n_sig:
        msg = (
            f"{header_path.name} describes {len(files)} signals and announces {header.n_sig}; "
            "allowed: as many as announced, one or more."
        )
        raise CorruptInputError(msg)
    frames = _frames(header, header_path)
    names = [name or f"channel {n + 1}" for n, name in enumerate(header.sig_name)]
    stated = _stated_rate(lines[0], header_path.name)
    # Without any rate the last step here refuses; until then frames count as seconds.
    rate = stated or options.rate or 1
    rates = {n: float(rate * (one or 1)) for n, one in enumerate(header.samps_per_frame)}
    picked, left = pick_rate(rates, names, options=options, name=header_path.name)
    per_frame = header.samps_per_frame[picked[0]] or 1
    raw = RawHeader(
        kind="WFDB",
        rate=None if stated is None else rates[picked[0]],
        channels=tuple(names[n] for n in picked),
        units=tuple(header.units[n] if _calibrated(lines[n + 1]) else None for n in picked),
        samples=frames * per_frame,
        start=_start(header),
        annotations=_annotations(stem, options.annotator, float(rate)),
        diagnoses=_diagnoses(header.comments),
        notes=(*_said_of_comments(header.comments), *left),
    )
    whole = header.sig_len is None or any(header.fmt[n] == "8" for n in picked)
    info = info_of(raw, header_path, options)
    return WfdbRecording(info, stem, picked=picked, per_frame=per_frame, whole=whole)


def wfdb_library() -> ModuleType:
    """Return the package wfdb.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    # Importing wfdb 4.3.1 beside pandas 3 warns, which is not for our caller to mend.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return require("wfdb", extra="timeseries")


def _lines(path: Path) -> list[str]:
    """Return the record line and the signal lines."""
    try:
        text = path.read_text("utf-8", errors="strict")
    except UnicodeDecodeError:
        text = path.read_text("latin-1")
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found or "\0" in text:
        msg = f"{path.name} is no WFDB header: no line of text says what the record holds."
        raise CorruptInputError(msg)
    if "/" in found[0].split()[0]:
        msg = (
            f"{path.name} is a record of several segments; allowed: records of one segment. Open "
            "the headers of its segments one by one."
        )
        raise UnsupportedInputError(msg)
    return found


def _file_names(lines: list[str], name: str) -> list[str]:
    files = [line.split()[0] for line in lines[1:]]
    strange = next((file for file in files if not _PLAIN_NAME.fullmatch(file)), None)
    if strange is not None:
        msg = (
            f"{name} keeps samples in {strange[:60]!r}; allowed: plain names of files beside the "
            "header. Copy the files into one folder and name them so."
        )
        raise UnsafeFileError(msg)
    return files


def _stated_rate(line: str, name: str) -> float | None:
    """Return frames per second; the library takes 250 where none is given or readable."""
    fields = line.split()
    if len(fields) < 3:
        return None
    number = _NUMBER.match(fields[2])
    if number is None or not float(number.group()) > 0:
        msg = f"{name} gives the rate {fields[2][:20]!r}; allowed: a positive number."
        raise CorruptInputError(msg)
    return float(number.group())


def _calibrated(line: str) -> bool:
    """Say whether a signal line has a gain: the format's 200 per mV is a guess, as it says."""
    fields = line.split()
    gain = _NUMBER.match(fields[2]) if len(fields) > 2 else None
    return gain is not None and float(gain.group()) != 0


def _frames(header: Any, path: Path) -> int:  # noqa: ANN401  a class of wfdb
    """Return the length of the record, after comparing it with that of each file."""
    length = header.sig_len
    for file in dict.fromkeys(header.file_name):
        size = require_file(path.parent / file)
        members = [n for n, one in enumerate(header.file_name) if one == file]
        bytes_each = _BYTES.get(header.fmt[members[0]])
        if bytes_each is None:  # compressed: its own decoder counts
            continue
        present = size - (header.byte_offset[members[0]] or 0)
        per_frame = sum(header.samps_per_frame[n] or 1 for n in members) * bytes_each
        if length is None:
            length = int(present // per_frame)
        claimed = ceil(length * per_frame)
        require_bytes(file, found=present, claimed=claimed, slack=_PADDING)
    if not length:
        msg = f"{path.name} announces {length} samples; allowed: 1 or more."
        raise CorruptInputError(msg)
    return int(length)


def _start(header: Any) -> datetime | None:  # noqa: ANN401  a class of wfdb
    if header.base_date is None or header.base_time is None:
        return None
    return datetime.combine(header.base_date, header.base_time)


def _diagnoses(comments: list[str]) -> tuple[str, ...]:
    found: list[str] = []
    for comment in comments:
        key, _, value = (part.strip() for part in comment.partition(":"))
        if value.casefold() in _NO_DIAGNOSIS:
            continue
        if key == "Dx":
            found += [code.strip() for code in value.split(",") if code.strip()]
        elif key in _DIAGNOSES:
            found.append(f"{key}: {value}")
    return tuple(found)


def _said_of_comments(comments: list[str]) -> tuple[str, ...]:
    if not comments:
        return ()
    return (f"Header comments ({len(comments)} lines) are left out but for diagnoses: they can say "
            "age, sex, dates and names.",)  # fmt: skip


def _annotations(stem: Path, annotator: str, rate: float) -> tuple[Annotation, ...]:
    path = stem.with_name(f"{stem.name}.{annotator}")
    if not path.is_file():
        return ()
    require_file(path)
    wfdb = wfdb_library()
    with library_errors(path.name, "wfdb"):
        found = wfdb.rdann(str(stem), annotator)
        texts = found.aux_note or [""] * len(found.sample)
        return tuple(
            Annotation(start=float(sample) / float(found.fs or rate), label=_label(symbol, text))
            for sample, symbol, text in zip(found.sample, found.symbol, texts, strict=True)
        )


def _label(symbol: str, text: str) -> str:
    """Return the symbol, with the rhythm or remark behind it where there is one."""
    return f"{symbol} {text.rstrip(chr(0))}".strip()

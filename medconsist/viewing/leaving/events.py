"""Events that readers marked on recordings, as a table, as WFDB annotations and as EDF+."""

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medconsist._extras import require
from medconsist._ids import safe_id
from medconsist._library_errors import library_errors
from medconsist.errors import RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.entries import Entry
from medconsist.timeseries.readers.wfdb_file import wfdb_library
from medconsist.viewing.event_labels import EventLabel, event_label
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.verdicts_csv import cell
from medconsist.viewing.markup import NOTICE, readable
from medconsist.viewing.signal_events import SignalEvent, events_on
from medconsist.viewing.signal_traces import Trace, trace_numbered

__all__ = ["COLUMNS", "events_atr", "events_csv", "events_edf", "recordings_with_events"]

COLUMNS = (
    *("study", "case", "patient", "item", "key", "content_sha256", "recording"),
    *("first_s", "last_s", "first_sample", "last_sample", "lead", "code", "words"),
    *("author", "created_utc", "entry", "notice"),
)
"""In this order; a new one goes to the end. Recordings are counted from 1, samples from 0."""

_REMARK = '"'
_LONGEST_NOTE = 250  # bytes; WFDB counts them in one
_LONGEST_TEXT = 200

Marked = tuple[Entry, SignalEvent]


def recordings_with_events(result: Result, entries: Sequence[Entry]) -> list[int]:
    """Return the numbers of the recordings, from 0, on which an event is marked."""
    return sorted({event.recording for _, event in events_on(entries, result)})


def events_csv(result: Result, entries: Sequence[Entry]) -> Export:
    """Return one row for each event, in the order of recording and time.

    Cells are those of `verdicts_csv`.

    Parameters
    ----------
    result
        On which they were marked.
    entries
        Annotations of the case that count; those of other results are left out.

    Raises
    ------
    RefusedInputError
        There is none.
    MissingInputError
        One lies on a recording that is not there.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry, event in _some(events_on(entries, result)):
        trace = trace_numbered(result, event.recording)
        row = _row(result, trace, entry, event)
        writer.writerow([cell(row[column]) for column in COLUMNS])
    return Export(
        name=f"{safe_id(result.case, what='case id')}-events.csv",
        media_type="text/csv; charset=utf-8",
        what="events",
        data=text.getvalue().encode(),
    )


def events_atr(result: Result, entries: Sequence[Entry], number: int) -> Export:
    """Return the events of one recording as a WFDB annotation file, whose rate it holds.

    A beat has its symbol; a span has one annotation at each end, ``(code`` and ``)code``. The
    author is in the note, the lead is the channel, 0 where it is all of them. The first annotation
    is a remark with the notice. It and remarks at sample 0 stand at sample 1, since readers take
    those at 0 for definitions.

    Parameters
    ----------
    result, entries
        As for `events_csv`.
    number
        Of the recording, from 0.

    Raises
    ------
    RefusedInputError, MissingInputError
        As for `events_csv`.
    MissingExtraError
        The package wfdb is not installed.
    """
    trace = trace_numbered(result, number)
    rows = [(1, _REMARK, 0, NOTICE)]
    for entry, event in _some(_of(result, entries, number)):
        rows += _annotations(trace, entry, event)
    rows.sort(key=lambda one: one[0])
    sample, symbol, channel, note = (list(column) for column in zip(*rows, strict=True))
    wfdb = wfdb_library()
    with tempfile.TemporaryDirectory() as folder, library_errors("events.atr", "wfdb"):
        wfdb.wrann(
            "events",
            "atr",
            np.array(sample, np.int64),
            symbol=symbol,
            chan=np.array(channel, np.int64),
            aux_note=note,
            fs=trace.rate,
            write_dir=folder,
        )
        data = (Path(folder) / "events.atr").read_bytes()
    return Export(
        name=f"{_name(result, number)}.atr",
        media_type="application/octet-stream",
        what="events",
        data=data,
    )


def events_edf(result: Result, entries: Sequence[Entry], number: int) -> Export:
    """Return the events of one recording as an EDF+ file of annotations alone.

    Times are seconds from the first sample; who it was and when it began is left out. The notice
    is the first annotation.

    Parameters
    ----------
    result, entries, number
        As for `events_atr`.

    Raises
    ------
    RefusedInputError, MissingInputError
        As for `events_csv`.
    MissingExtraError
        The package edfio is not installed.
    """
    edfio: Any = require("edfio", extra="timeseries")
    trace_numbered(result, number)
    made = [edfio.EdfAnnotation(0.0, None, NOTICE)]
    for entry, event in _some(_of(result, entries, number)):
        lead = "" if event.lead is None else f", {event.lead}"
        text = readable(f"{_label(entry).words}{lead}, by {entry.author}", limit=_LONGEST_TEXT)
        length = None if event.is_moment else event.at[1] - event.at[0]
        made.append(edfio.EdfAnnotation(event.at[0], length, text))
    with library_errors("events.edf", "edfio"):
        data = edfio.Edf([], annotations=made).to_bytes()
    return Export(
        name=f"{_name(result, number)}.edf",
        media_type="application/octet-stream",
        what="events",
        data=data,
    )


def _annotations(trace: Trace, entry: Entry, event: SignalEvent) -> list[tuple[int, str, int, str]]:
    """Return sample, symbol, channel and note of what an event becomes."""
    label = _label(entry)
    channel = trace.channels.index(event.lead) if event.lead in trace.channels else 0
    least = 1 if label.wfdb == _REMARK else 0
    ends = [("", event.at[0])] if event.is_moment else [("(", event.at[0]), (")", event.at[1])]
    lead = "" if event.lead is None else f", {event.lead}"
    made = []
    for bracket, at in ends:
        said = readable(f"{bracket}{label.code}{lead}, by {entry.author}", limit=_LONGEST_TEXT)
        note = said.encode()[:_LONGEST_NOTE].decode(errors="ignore")
        made.append((max(_sample(trace, at), least), label.wfdb, channel, note))
    return made


def _row(result: Result, trace: Trace, entry: Entry, event: SignalEvent) -> dict[str, str | None]:
    label = _label(entry)
    first, last = event.at
    return {
        "study": result.study,
        "case": result.case,
        "patient": result.patient,
        "item": result.item,
        "key": result.key,
        "content_sha256": entry.body.subject.content_sha256,
        "recording": str(event.recording + 1),
        "first_s": f"{first:.6f}",
        "last_s": f"{last:.6f}",
        "first_sample": str(_sample(trace, first)),
        "last_sample": str(_sample(trace, last)),
        "lead": event.lead,
        "code": label.code,
        "words": label.words,
        "author": entry.author,
        "created_utc": entry.created,
        "entry": entry.id,
        "notice": NOTICE,
    }


def _of(result: Result, entries: Sequence[Entry], number: int) -> list[Marked]:
    return [one for one in events_on(entries, result) if one[1].recording == number]


def _some(marked: list[Marked]) -> list[Marked]:
    if not marked:
        msg = "nobody has marked an event here, so there is nothing to export."
        raise RefusedInputError(msg)
    return marked


def _label(entry: Entry) -> EventLabel:
    return event_label(getattr(entry.body, "label", ""))


def _sample(trace: Trace, seconds: float) -> int:
    return min(round(seconds * trace.rate), trace.samples - 1)


def _name(result: Result, number: int) -> str:
    return f"{safe_id(result.case, what='case id')}-recording-{number + 1}-events"

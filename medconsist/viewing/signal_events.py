"""Events of readers on a recording: marked at a moment or over a span, moved, deleted.

An event is an `Annotation` with a geometry of our own, ``{"type": "Event", "recording": 0, "at":
[first, last], "lead": "II"}``: what is moved is a new version in the place of the old one, what is
deleted is withdrawn, and the record keeps both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from medconsist._digests import canonical_json
from medconsist._records import Record, make_record, read_record
from medconsist.errors import AccessError, RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.access import Person
from medconsist.review.entries import Entry, newest
from medconsist.review.records import Annotation, Pin, Subject
from medconsist.review.store import Filing
from medconsist.viewing.event_labels import EVENT_LABELS, event_label
from medconsist.viewing.markup import readable
from medconsist.viewing.review_form import moved_of, shape_of, withdrawal_of
from medconsist.viewing.signal_traces import is_span, traces_of

__all__ = ["EVENT", "SignalEvent", "event_filing", "event_of", "events_data", "events_on"]

EVENT = "Event"
"""Type of the geometry of an event."""

_LONGEST_LEAD = 32
_GONE = "there is no such event on this recording; it may be moved or deleted already."


class SignalEvent(Record):
    """Where an event lies.

    Parameters
    ----------
    recording
        Number of the recording in its result, from 0.
    at
        First and last second, equal for a moment.
    lead
        In which it was seen; None for all.

    Examples
    --------
    >>> SignalEvent(recording=1, at=(3.2, 3.6), lead="II").words
    '3.200 s to 3.600 s, recording 2, lead II'
    """

    recording: int = Field(ge=0)
    at: tuple[float, float]
    lead: str | None = Field(default=None, max_length=_LONGEST_LEAD)

    @model_validator(mode="after")
    def _runs_on(self) -> "SignalEvent":
        if not 0 <= self.at[0] <= self.at[1]:
            msg = f"an event begins at 0 s or later and ends no earlier, got {self.at}"
            raise ValueError(msg)
        return self

    @property
    def is_moment(self) -> bool:
        """Whether it has no length."""
        return self.at[0] == self.at[1]

    @property
    def words(self) -> str:
        """Where it lies, as the list of events says it."""
        first, last = (f"{one:.3f} s" for one in self.at)
        time = first if self.is_moment else f"{first} to {last}"
        return f"{time}, recording {self.recording + 1}, {self._of}"

    @property
    def pin(self) -> Pin:
        """The place that *Go there* leads to, named as places of comments are."""
        number = f"recording {self.recording + 1}"
        lead = number if self.lead is None else f"{number}, {self.lead}"
        return Pin(space="time", at=self.at, lead=lead)

    @property
    def geometry(self) -> dict[str, Any]:
        """What is filed of it."""
        return {"type": EVENT, **self.model_dump(mode="json")}

    @property
    def _of(self) -> str:
        return "all leads" if self.lead is None else f"lead {self.lead}"


def event_of(body: object) -> SignalEvent | None:
    """Return where an event lies; None for a shape, a comment, what is withdrawn or damaged."""
    if not isinstance(body, Annotation) or (body.geometry or {}).get("type") != EVENT:
        return None
    said = {name: value for name, value in (body.geometry or {}).items() if name != "type"}
    try:
        return read_record(SignalEvent, canonical_json(said), source="an event")
    except RefusedInputError:
        return None


def events_on(entries: Sequence[Entry], result: Result) -> list[tuple[Entry, SignalEvent]]:
    """Return the events that were marked on this very result, in the order of recording and time.

    Parameters
    ----------
    entries
        Annotations of the case that count.
    result
        What is on the screen; its recordings are numbered as it numbers them.
    """
    found = [(one, event_of(one.body)) for one in entries if one.body.subject.key == result.key]
    events = [(one, event) for one, event in found if event is not None]
    return sorted(events, key=lambda one: (one[1].recording, one[1].at, one[0].id))


def events_data(
    entries: Sequence[Entry], *, person: Person, result: Result, may_mark: bool
) -> dict[str, Any]:
    """Return what the widget needs to draw events and to mark new ones, as JSON takes it.

    Parameters
    ----------
    entries
        Annotations of the case that count, as far as the person may read them.
    person
        Who looks: ``mine`` says which may be moved and deleted.
    result
        What is on the screen.
    may_mark
        Whether the person may file any.
    """
    kinds = {trace.kind for trace in traces_of(result)}
    return {
        "labels": {
            kind: [label.model_dump(mode="json") for label in EVENT_LABELS[kind]] for kind in kinds
        },
        "marked": [_row(one, event, person) for one, event in events_on(entries, result)],
        "may": may_mark,
    }


def event_filing(
    sent: Mapping[str, Any],
    *,
    thread: Sequence[Entry],
    result: Result,
    subject: Subject,
    person: Person,
) -> tuple[Filing, str]:
    """Return what marks, moves or deletes an event, and the sentence that says so.

    Parameters
    ----------
    sent
        What came from the browser, judged like anything of a stranger: ``act`` (``"add"``,
        ``"move"`` or ``"delete"``), ``id`` of an event that there is, ``at recording lead label``
        of a new one, ``at`` of one that is moved.
    thread
        Annotations of the case, replaced ones too.
    result, subject
        What is on the screen.
    person
        Who marks.

    Raises
    ------
    RefusedInputError
        It lies outside of its recording, has no name of the list, or there is no such event.
    AccessError
        It is another's.
    """
    if sent.get("act") == "add":
        body = _annotation(sent, result, subject)
        return shape_of(body, person, thread=thread), _said(body, "is filed")
    old, event = _own(newest(thread), sent.get("id"), result, person)
    if sent.get("act") == "delete":
        said = _said(old.body, "is deleted; the record keeps it")
        return withdrawal_of(old, subject, person), said
    if sent.get("act") != "move":
        msg = "an event is added, moved or deleted, and nothing else."
        raise RefusedInputError(msg)
    label = getattr(old.body, "label", "")
    place = {"recording": event.recording, "lead": event.lead, "label": label}
    body = _annotation({**place, "at": sent.get("at")}, result, subject)
    return moved_of(old, body, person), _said(body, "is moved")


def _annotation(sent: Mapping[str, Any], result: Result, subject: Subject) -> Annotation:
    """Return the event that a browser tells of, if there can be one like it."""
    number, lead, code = (sent.get(name) for name in ("recording", "lead", "label"))
    at: Any = sent.get("at")
    trace = next((one for one in traces_of(result) if one.number == number), None)
    if trace is None or isinstance(number, bool):
        msg = "an event lies on one of the recordings of this result, and this one is not there."
        raise RefusedInputError(msg)
    if not is_span(at, trace):
        msg = f"an event lies between 0 and {trace.samples / trace.rate:g} s of its recording."
        raise RefusedInputError(msg)
    labels = {label.code: label for label in EVENT_LABELS[trace.kind]}
    if not isinstance(code, str) or code not in labels:
        msg = f"an event of this recording is called one of {', '.join(labels)}."
        raise RefusedInputError(msg)
    first, last = sorted(map(float, at))
    if labels[code].is_moment and first != last:
        msg = f"{labels[code].words!r} is a moment and has no length; mark where it is."
        raise RefusedInputError(msg)
    event = make_record(SignalEvent, recording=number, at=(first, last), lead=lead)
    return make_record(Annotation, subject=subject, geometry=event.geometry, label=code)


def _own(
    counting: Sequence[Entry], asked: object, result: Result, person: Person
) -> tuple[Entry, SignalEvent]:
    for entry, event in events_on(counting, result):
        if entry.id == asked and entry.author == person.subject:
            return entry, event
        if entry.id == asked:
            msg = f"this event is {readable(entry.author)}'s; mark one of your own."
            raise AccessError(msg)
    raise RefusedInputError(_GONE)


def _said(body: object, what: str) -> str:
    event, label = event_of(body), event_label(getattr(body, "label", ""))
    where = "" if event is None else f" ({event.words})"
    return f"{label.words}{where} {what}."


def _row(entry: Entry, event: SignalEvent, person: Person) -> dict[str, Any]:
    label = event_label(getattr(entry.body, "label", ""))
    return {
        "id": entry.id,
        "replaces": entry.supersedes,
        "recording": event.recording,
        "at": list(event.at),
        "lead": event.lead,
        "words": readable(label.words, limit=80),
        "tag": readable(label.tag, limit=12),
        "author": readable(entry.author, limit=40),
        "mine": entry.author == person.subject,
    }

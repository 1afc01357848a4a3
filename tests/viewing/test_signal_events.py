"""Events of readers on a recording: what may be marked, moved and deleted, by whom."""

import math
from pathlib import Path
from typing import Any

import pytest

from medconsist.errors import AccessError, RefusedInputError
from medconsist.results.store import StoredResult
from medconsist.review.access import EVERY_STUDY, Person
from medconsist.review.database import Database, sqlite_url
from medconsist.review.entries import Entry, newest
from medconsist.review.records import Annotation, Subject
from medconsist.review.store import ReviewStore
from medconsist.review.verify import verify
from medconsist.viewing.event_labels import EVENT_LABELS
from medconsist.viewing.review_form import file_seen
from medconsist.viewing.signal_events import event_filing, event_of, events_data, events_on
from medconsist.viewing.web.server import subject_of
from tests.viewing.signal_results import planted_ecg, write_signals

ONE = Person(subject="u1", name="A. Reader", session="s1")
TWO = Person(subject="u2", name="B. Reader", session="s2")
BEAT: dict[str, Any] = {
    "act": "add",
    "recording": 0,
    "at": [1.2, 1.2],
    "lead": "II",
    "label": "beat-ventricular",
}


class Desk:
    """A result with its review store, and readers who mark events on it."""

    def __init__(self, folder: Path) -> None:
        self.stored: StoredResult = write_signals(
            folder / "results", signals=[planted_ecg(), planted_ecg(3)]
        )
        self.root = folder / "results"
        self.store = ReviewStore(Database(sqlite_url(folder / "review.db")))
        for person in (ONE, TWO):
            self.store.grant(None, person.subject, EVERY_STUDY, "reader")

    @property
    def subject(self) -> Subject:
        return subject_of(self.stored.result)

    def thread(self, person: Person = ONE) -> list[Entry]:
        result = self.stored.result
        return self.store.thread(person, result.study, result.case, "annotation")

    def do(self, sent: dict[str, Any], person: Person = ONE) -> Entry:
        filing, _ = event_filing(
            sent,
            thread=self.thread(person),
            result=self.stored.result,
            subject=self.subject,
            person=person,
        )
        return file_seen(self.store, self.root, person, filing, as_current=True)

    def places(self) -> list[tuple[float, float]]:
        return [event.at for _, event in events_on(newest(self.thread()), self.stored.result)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_event_is_marked_moved_and_deleted_and_the_record_keeps_every_version(
    desk: Desk,
) -> None:
    first = desk.do(BEAT)
    assert desk.places() == [(1.2, 1.2)]
    moved = desk.do({"act": "move", "id": first.id, "at": [1.3, 1.3]})
    assert (moved.supersedes, desk.places()) == (first.id, [(1.3, 1.3)])
    event = event_of(moved.body)
    assert event is not None
    assert (event.lead, getattr(moved.body, "label", "")) == ("II", "beat-ventricular")
    gone = desk.do({"act": "delete", "id": moved.id})
    assert (gone.supersedes, desk.places()) == (moved.id, [])
    assert [one.id for one in desk.thread()] == [first.id, moved.id, gone.id]
    assert verify(desk.store.database).faults == ()


def test_the_same_mark_asked_for_twice_is_one_and_after_its_deletion_another(desk: Desk) -> None:
    first = desk.do(BEAT)
    assert desk.do(BEAT).id == first.id
    away = desk.do({"act": "move", "id": first.id, "at": [2.0, 2.0]})
    back = desk.do({"act": "move", "id": away.id, "at": [1.2, 1.2]})
    assert back.id not in (first.id, away.id)
    desk.do({"act": "delete", "id": back.id})
    assert desk.do(BEAT).id not in (first.id, back.id)
    assert desk.places() == [(1.2, 1.2)]


def test_nobody_moves_or_deletes_what_another_marked_and_both_see_it(desk: Desk) -> None:
    first = desk.do(BEAT)
    for sent in ({"act": "delete"}, {"act": "move", "at": [2.0, 2.0]}):
        with pytest.raises(AccessError, match="this event is u1's"):
            desk.do({**sent, "id": first.id}, TWO)
    result = desk.stored.result
    for person in (ONE, TWO):
        data = events_data(newest(desk.thread(person)), person=person, result=result, may_mark=True)
        (row,) = data["marked"]
        assert (row["mine"], row["author"], row["tag"]) == (person is ONE, "u1", "V")


def test_a_moved_event_is_moved_no_second_time_in_its_old_place(desk: Desk) -> None:
    first = desk.do(BEAT)
    desk.do({"act": "move", "id": first.id, "at": [1.3, 1.3]})
    with pytest.raises(RefusedInputError, match="moved or deleted already"):
        desk.do({"act": "move", "id": first.id, "at": [1.4, 1.4]})


def test_an_event_lies_on_the_recording_of_the_very_result(desk: Desk) -> None:
    desk.do({**BEAT, "recording": 1, "at": [2.5, 2.5]})
    ((entry, event),) = events_on(desk.thread(), desk.stored.result)
    assert (event.recording, event.words) == (1, "2.500 s, recording 2, lead II")
    assert event.pin.lead == "recording 2, II"
    other = desk.stored.result.model_copy(update={"config": {}})
    assert events_on([entry], other) == []


def test_a_span_has_its_two_ends_in_order(desk: Desk) -> None:
    desk.do({**BEAT, "label": "noise", "at": [3.5, 1.5], "lead": None})
    ((_, event),) = events_on(desk.thread(), desk.stored.result)
    assert (event.at, event.words) == ((1.5, 3.5), "1.500 s to 3.500 s, recording 1, all leads")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"at": [1.2, 1.4]}, "is a moment and has no length"),
        ({"at": [-0.1, -0.1]}, "between 0 and 12 s"),
        ({"at": [12.1, 12.1]}, "between 0 and 12 s"),
        ({"at": [math.nan, math.nan]}, "between 0 and 12 s"),
        ({"at": "1.2"}, "between 0 and 12 s"),
        ({"recording": 2}, "is not there"),
        ({"recording": True}, "is not there"),
        ({"recording": [0]}, "is not there"),
        ({"label": "spike"}, "beat-normal, beat-ventricular"),
        ({"label": ["noise"]}, "beat-normal, beat-ventricular"),
        ({"lead": "x" * 33}, "at most 32"),
        ({"lead": 5}, "SignalEvent"),
        ({"act": "paint"}, "no such event"),
    ],
)
def test_what_a_browser_makes_up_is_no_event(
    desk: Desk, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(RefusedInputError, match=words):
        desk.do({**BEAT, **changed})
    assert desk.thread() == []


def test_a_damaged_geometry_is_no_event(desk: Desk) -> None:
    backwards: dict[str, Any] = {"type": "Event", "recording": 0, "at": [2, 1]}
    point: dict[str, Any] = {"type": "Point"}
    for geometry in (backwards, backwards | {"at": None}, point, None):
        body = Annotation(subject=desk.subject, geometry=geometry, label="noise")
        assert event_of(body) is None


def test_names_of_a_kind_of_recording_are_told_apart_by_code_and_tag() -> None:
    for labels in EVENT_LABELS.values():
        for name in ("code", "words", "tag"):
            assert len({getattr(label, name) for label in labels}) == len(labels)

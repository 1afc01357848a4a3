"""Events that leave: what is read again by WFDB and EDF+ programs is what was marked."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from medconsist._library_errors import library_errors
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.chain import links
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation
from medconsist.timeseries.readers.edf_file import read_edf_annotations
from medconsist.timeseries.readers.wfdb_file import wfdb_library
from medconsist.viewing.event_labels import EVENT_LABELS
from medconsist.viewing.leaving.events import (
    COLUMNS,
    events_atr,
    events_csv,
    events_edf,
    recordings_with_events,
)
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.review_export import Leaving, export_now, offers
from medconsist.viewing.signal_events import SignalEvent
from tests.viewing.leaving.filed import entry, subject_of
from tests.viewing.signal_results import RATE, planted_ecg, write_signals
from tests.viewing.test_signal_events import BEAT, ONE, Desk


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Two recordings of twelve leads."""
    folder = tmp_path_factory.mktemp("results")
    return write_signals(folder, signals=[planted_ecg(), planted_ecg(3)]).result


def marked(result: Result, label: str, *at: float, lead: str | None = None, **more: Any) -> Entry:
    number = more.pop("recording", 0)
    event = SignalEvent(recording=number, at=(at[0], at[-1]), lead=lead)
    body = Annotation(subject=subject_of(result), geometry=event.geometry, label=label)
    return entry(body, f"{label}{at[0]}{number}".replace(".", "").replace("-", ""), **more)


def read_atr(data: bytes, folder: Path) -> list[tuple[int, str, int, str]]:
    """What the library reads: sample, symbol, channel, note."""
    (folder / "read.atr").write_bytes(data)
    wfdb = wfdb_library()
    with library_errors("read.atr", "wfdb"):
        found = wfdb.rdann(str(folder / "read"), "atr")
    assert found.fs == RATE
    notes = [note.rstrip("\0") for note in found.aux_note]
    return list(zip(found.sample.tolist(), found.symbol, found.chan.tolist(), notes, strict=True))


def test_beats_and_spans_are_read_again_by_wfdb_at_their_samples(
    result: Result, tmp_path: Path
) -> None:
    entries = [
        marked(result, "noise", 3.0, 4.5),
        marked(result, "beat-ventricular", 1.2, lead="V1"),
        marked(result, "beat-normal", 0.0),
        marked(result, "other", 0.0),
        marked(result, "beat-normal", 2.0, recording=1),
    ]
    assert recordings_with_events(result, entries) == [0, 1]
    made = events_atr(result, entries, 0)
    assert made.name == "ecg-1-recording-1-events.atr"
    found = read_atr(made.data, tmp_path)
    by = "by anna"
    assert [one for one in found if one[0] > 1] == [
        (600, "V", 6, f"beat-ventricular, V1, {by}"),
        (1500, "~", 0, f"(noise, {by}"),
        (2250, "~", 0, f")noise, {by}"),
    ]
    # readers take remarks at sample 0 for definitions
    assert found[0] == (0, "N", 0, f"beat-normal, {by}")
    assert {one[1:] for one in found if one[0] == 1} == {
        ('"', 0, NOTICE),
        ('"', 0, f"other, {by}"),
    }


def test_every_name_of_the_list_has_a_symbol_that_wfdb_reads(
    result: Result, tmp_path: Path
) -> None:
    for kind, labels in EVENT_LABELS.items():
        entries = [
            marked(result, label.code, 1.0 + number / 10) for number, label in enumerate(labels)
        ]
        found = read_atr(events_atr(result, entries, 0).data, tmp_path)
        assert [one[1] for one in found[1:]] == [label.wfdb for label in labels], kind


def test_times_and_words_are_read_again_from_edf(result: Result, tmp_path: Path) -> None:
    entries = [
        marked(result, "seizure", 2.5, 7.125, lead="F7"),
        marked(result, "spike", 1 / 3),
        marked(result, "Größe\x14\n", 9.0),
    ]
    made = events_edf(result, entries, 0)
    path = tmp_path / "read.edf"
    path.write_bytes(made.data)
    first, *found = read_edf_annotations(path)
    assert (first.start, first.label) == (0, NOTICE)
    assert [(one.start, one.duration) for one in found] == [
        (pytest.approx(1 / 3, abs=1e-6), 0.0),
        (2.5, 4.625),
        (9.0, 0.0),
    ]
    assert [one.label for one in found[:2]] == [
        "Spike or sharp wave, by anna",
        "Seizure, F7, by anna",
    ]
    assert found[2].label.startswith("Größe")
    assert b"p-3" not in made.data  # the patient of the result


def test_the_table_has_a_row_for_each_event_and_none_is_a_formula(result: Result) -> None:
    entries = [marked(result, "=1+1", 3.0, 4.5), marked(result, "beat-paced", 2.0, recording=1)]
    rows = list(csv.DictReader(io.StringIO(events_csv(result, entries).data.decode())))
    assert [tuple(row) for row in rows] == [COLUMNS, COLUMNS]
    assert [row["code"] for row in rows] == ["'=1+1", "beat-paced"]
    assert (rows[0]["first_s"], rows[0]["last_sample"]) == ("3.000000", "2250")
    assert (rows[1]["recording"], rows[1]["first_sample"]) == ("2", "1000")
    assert {row["notice"] for row in rows} == {NOTICE}


def test_where_nothing_is_marked_nothing_leaves(result: Result) -> None:
    other = marked(result.model_copy(update={"config": {}}), "noise", 1.0)
    for entries in ([], [other]):
        assert recordings_with_events(result, entries) == []
        with pytest.raises(RefusedInputError, match="nobody has marked an event"):
            events_csv(result, entries)
    for make in (events_atr, events_edf):
        with pytest.raises(RefusedInputError, match="nobody has marked an event"):
            make(result, [other], 1)
        with pytest.raises(MissingInputError, match="no recording 2"):
            make(result, [], 2)


def test_events_leave_by_buttons_once_there_are_any_and_each_file_is_in_the_chain(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    leaving = Leaving(store=desk.store, person=ONE, stored=desk.stored)
    assert not [one for one in offers(leaving, []) if "vents" in one.title]
    first = desk.do(BEAT)
    found = [one for one in offers(leaving, []) if "vents" in one.title]
    assert [one.title for one in found] == [
        "Events (CSV)",
        "Events of recording 1 (WFDB .atr)",
        "Events of recording 1 (EDF+)",
    ]
    made = [export_now(leaving, one, desk.subject) for one in found]
    with desk.store.database.reading() as connection:
        chain = str(list(links(connection)))
    assert all(one.sha256 in chain for one in made)
    desk.do({"act": "delete", "id": first.id})
    assert not [one for one in offers(leaving, []) if "vents" in one.title]

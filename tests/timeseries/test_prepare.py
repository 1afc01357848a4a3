"""A prepared folder holds every window once, says what was left out, and is whole or unread."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import (
    CorruptResultError,
    MissingInputError,
    RefusedInputError,
    ResultExistsError,
)
from medconsist.timeseries.labelled import (
    LabelledRecording,
    fingerprint_of,
    labelled_recordings,
)
from medconsist.timeseries.prepare import prepare
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.prepared import read_prepared, read_prepared_record
from medconsist.timeseries.prepared_record import RECORD, SIGNALS, TABLE
from medconsist.timeseries.readers.recording_set import RecordingSet
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo

CONFIG = PrepareConfig(rate=50.0, samples=50, overlap=25, classes=("control", "case"))


def _item(
    number: int, *, patient: str, label: str | None, site: str | None = None, samples: int = 400
) -> LabelledRecording:
    signal = np.random.default_rng(number).normal(size=(samples, 2)).astype(np.float32)
    info = RecordingInfo(
        rate=100.0, channels=("I", "II"), units=("mV", "mV"), samples=samples, source=f"r{number}"
    )
    return LabelledRecording(
        patient=patient,
        trial=f"t{number}",
        label=label,
        site=site,
        recording=InMemoryRecording(info, signal),
    )


def _items() -> list[LabelledRecording]:
    """Four recordings of three patients: one with a gap and a flat lead, one too short."""
    items = [
        _item(0, patient="p1", label="control", site="A"),
        _item(1, patient="p16777217", label="case"),
        _item(2, patient="p1", label="control", site="A"),
        _item(3, patient="p3", label=None, samples=60),
    ]
    signal = items[2].recording.read()
    signal[100:104] = np.nan
    signal[:, 1] = np.where(np.isfinite(signal[:, 1]), 2.5, np.nan)
    return items


def test_every_window_is_there_once_with_whose_it_is(tmp_path: Path) -> None:
    record = prepare(_items(), tmp_path / "out", config=CONFIG)
    windows = read_prepared(tmp_path / "out", verify="bytes")
    assert isinstance(windows.signals, np.memmap)
    assert windows.signals.shape == (7 + 7 + 5, 50, 2)
    assert windows.table.patients == ("p1", "p16777217")
    assert windows.table.patient.tolist() == [0] * 7 + [1] * 7 + [0] * 5
    assert windows.table.trial.tolist() == [0] * 7 + [1] * 7 + [2] * 5
    assert windows.table.start.tolist() == [0, 25, 50, 75, 100, 125, 150] * 2 + [
        0, 75, 100, 125, 150,
    ]  # fmt: skip
    assert windows.table.label.tolist() == [0] * 7 + [1] * 7 + [0] * 5
    assert windows.table.classes == ("control", "case")
    assert windows.table.sites == ("A", None)
    assert (windows.rate, windows.channels, windows.units) == (50.0, ("I", "II"), (None, None))
    assert windows.fingerprint == record.fingerprint


def test_the_record_counts_patients_and_says_what_was_left_out(tmp_path: Path) -> None:
    prepare(_items(), tmp_path, config=CONFIG)
    facts = read_prepared_record(tmp_path).facts
    counts = [(row.patient, row.recordings, row.windows) for row in facts.patients]
    assert counts == [("p1", 2, 12), ("p16777217", 1, 7), ("p3", 1, 0)]
    dropped = [(row.trial, row.reason, row.pieces) for row in facts.dropped]
    assert dropped == [("t2", "gap", 2), ("t3", "shorter than a window", 1)]
    assert [(row.trial, row.channels) for row in facts.flat] == [("t2", ("II",))]
    assert facts.trials == ("t0", "t1", "t2")
    assert facts.settings == CONFIG


def test_two_runs_write_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        prepare(_items(), tmp_path / name, config=CONFIG)
    for name in (SIGNALS, TABLE, RECORD):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_folder_that_is_complete_is_left_as_it_is(tmp_path: Path) -> None:
    first = prepare(_items(), tmp_path, config=CONFIG)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert prepare(_items(), tmp_path, config=CONFIG) == first
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_other_recordings_or_settings_are_refused_in_a_complete_folder(tmp_path: Path) -> None:
    prepare(_items(), tmp_path, config=CONFIG)
    with pytest.raises(ResultExistsError, match="other settings"):
        prepare(_items(), tmp_path, config=replace(CONFIG, overlap=0))
    changed = _items()
    changed[0].recording.read()[5, 0] += 1e-3
    with pytest.raises(ResultExistsError, match="other recordings"):
        prepare(changed, tmp_path, config=CONFIG)


def test_a_changed_dataset_does_not_pass_for_the_published_one(tmp_path: Path) -> None:
    published = fingerprint_of(_items())
    record = prepare(_items(), tmp_path / "good", config=CONFIG, expected=published)
    assert record.facts.inputs == published
    changed = _items()
    changed[1].recording.read()[0, 0] += 1e-3
    with pytest.raises(RefusedInputError, match=f"expected is {published}"):
        prepare(changed, tmp_path / "bad", config=CONFIG, expected=published)
    assert not list((tmp_path / "bad").iterdir())
    with pytest.raises(RefusedInputError, match=r"expected is 0000"):
        read_prepared(tmp_path / "good", expected="0000")


@pytest.mark.parametrize("change", ["label", "site", "patient", "trial"])
def test_the_fingerprint_stands_for_ids_labels_and_sites(change: str) -> None:
    items = _items()
    new = replace(items[1], **{change: "other"})  # type: ignore[arg-type]  # all are text
    assert fingerprint_of([items[0], new]) != fingerprint_of(items[:2])


def test_a_process_that_is_killed_half_way_leaves_nothing_that_reads(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            os._exit(9)

    child = os.fork()
    if not child:
        prepare(_items(), tmp_path, config=CONFIG, progress=stop)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert [path.name[:13] for path in tmp_path.iterdir()] == [".signals.npy."]
    with pytest.raises(MissingInputError, match="did not finish"):
        read_prepared(tmp_path)
    prepare(_items(), tmp_path, config=CONFIG)
    assert len(read_prepared(tmp_path, verify="bytes")) == 19
    assert sorted(path.name for path in tmp_path.iterdir()) == [RECORD, SIGNALS, TABLE]


def test_a_folder_without_its_record_is_not_read_and_is_finished_by_the_next_run(
    tmp_path: Path,
) -> None:
    prepare(_items(), tmp_path, config=CONFIG)
    (tmp_path / RECORD).unlink()
    with pytest.raises(MissingInputError, match=RECORD):
        read_prepared(tmp_path)
    prepare(_items(), tmp_path, config=CONFIG)
    assert len(read_prepared(tmp_path)) == 19


def test_changed_files_are_found(tmp_path: Path) -> None:
    prepare(_items(), tmp_path, config=CONFIG)
    samples, table, record = (tmp_path / name for name in (SIGNALS, TABLE, RECORD))
    whole = samples.read_bytes()
    samples.write_bytes(whole[:-1] + b"?")
    assert len(read_prepared(tmp_path)) == 19  # the cheap look sees sizes alone
    with pytest.raises(CorruptResultError, match="differs from its recorded sha256"):
        read_prepared(tmp_path, verify="bytes")
    samples.write_bytes(whole[:-4])
    with pytest.raises(CorruptResultError, match="bytes, recorded are"):
        read_prepared(tmp_path)
    samples.write_bytes(whole)
    columns = table.read_bytes()
    table.write_bytes(columns[:-1] + b"\x01")
    with pytest.raises(CorruptResultError, match="differs from its recorded sha256"):
        read_prepared(tmp_path)
    table.unlink()
    with pytest.raises(CorruptResultError, match="is missing"):
        read_prepared(tmp_path)
    said = json.loads(record.read_text())
    said["facts"]["settings"]["classes"] = ["case", "control"]
    record.write_text(json.dumps(said))
    with pytest.raises(CorruptResultError, match="was changed"):
        read_prepared(tmp_path)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RefusedInputError, match=r"holds \['thesis.tex'\]"):
        prepare(_items(), tmp_path, config=CONFIG)


def test_contradictions_of_one_patient_are_refused() -> None:
    one = _item(0, patient="p1", label="control", site="A")
    for other, sentence in (
        (_item(1, patient="p1", label="case", site="A"), "labels 'control' and 'case'"),
        (_item(1, patient="p1", label="control", site="B"), "sites 'A' and 'B'"),
        (_item(0, patient="p1", label="control", site="A"), "'t0' is there twice"),
    ):
        with pytest.raises(RefusedInputError, match=sentence):
            prepare([one, other], Path("never"), config=CONFIG)
    with pytest.raises(RefusedInputError, match="Did you mean 'case'"):
        prepare([_item(0, patient="p1", label="cas")], Path("never"), config=CONFIG)


def test_no_window_at_all_is_refused_with_the_reasons(tmp_path: Path) -> None:
    short = [_item(0, patient="p1", label="case", samples=60)]
    with pytest.raises(RefusedInputError, match=r"no window is left of 1 .*shorter than a window"):
        prepare(short, tmp_path, config=CONFIG)
    assert not list(tmp_path.iterdir())


def test_no_window_for_a_lead_that_is_missing_throughout_names_the_lead(tmp_path: Path) -> None:
    item = _item(0, patient="p1", label="case")
    signal = item.recording.read().copy()
    signal[:, 1] = np.nan
    item = replace(item, recording=InMemoryRecording(item.recording.info, signal))
    lead = item.recording.info.channels[1]
    with pytest.raises(RefusedInputError, match=rf"'gap'.*missing throughout: \['{lead}'\]"):
        prepare([item], tmp_path, config=CONFIG)


def test_one_recording_at_a_time_is_read_and_progress_is_told(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    prepare(_items(), tmp_path, config=CONFIG, progress=lambda *told: seen.append(told))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_set_of_a_reader_becomes_labelled_recordings() -> None:
    recordings = [item.recording for item in _items()[:2]]
    recordings[0].info = replace(recordings[0].info, patient="p1", trial="a")
    source = RecordingSet.of(recordings[:1], source="memory", labels={"p1": "case"})
    (item,) = labelled_recordings(source, sites={"p1": "A"})
    assert (item.patient, item.trial, item.label, item.site) == ("p1", "a", "case", "A")
    with pytest.raises(RefusedInputError, match="r1: whose recording it is"):
        labelled_recordings(RecordingSet.of(recordings, source="memory"))


def _smni(folder: Path) -> list[LabelledRecording]:
    meta = json.loads((folder / "meta.json").read_text())
    channels = tuple(meta["channels"])
    classes = ("control", "alcoholic")
    items = []
    for label, number in np.load(folder / "Label" / "label.npy", allow_pickle=False).tolist():
        path = folder / "Feature" / f"feature_{number:02d}.npy"
        for trial, signal in enumerate(np.load(path, allow_pickle=False).astype(np.float32)):
            info = RecordingInfo(
                rate=float(meta["fs"]),
                channels=channels,
                units=(meta["units"],) * len(channels),
                samples=len(signal),
                source=path.name,
            )
            item = LabelledRecording(
                patient=str(number),
                trial=str(trial),
                label=classes[label],
                recording=InMemoryRecording(info, signal),
            )
            items.append(item)
    return items


@pytest.mark.data
def test_smni_becomes_920_windows_of_one_second(data_dir: Path, tmp_path: Path) -> None:
    items = _smni(data_dir / "timeseries" / "smni_eeg")
    config = PrepareConfig(rate=256.0, samples=256, classes=("control", "alcoholic"))
    record = prepare(items, tmp_path, config=config)
    windows = read_prepared(tmp_path)
    assert windows.signals.shape == (920, 256, 64)
    assert len(windows.table.patients) == 16
    assert np.bincount(windows.table.patient_labels).tolist() == [8, 8]
    assert not record.facts.dropped
    some = windows.batch([0, 500, 919]).numpy()
    raw = np.stack([items[k].recording.read() for k in (0, 500, 919)]).astype(np.float64)
    spread = raw.std(axis=1, keepdims=True)
    naive = (raw - raw.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    np.testing.assert_allclose(some, naive, atol=1e-5)  # float32

"""From many recordings to one folder of windows: same leads, unit, rate, length, and a record."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from medconsist._atomic import make_folder
from medconsist.errors import RefusedInputError, ResultExistsError
from medconsist.timeseries.gathered import Gathered
from medconsist.timeseries.harmonise import common_leads
from medconsist.timeseries.labelled import LabelledRecording, digest_of, fingerprint_of
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.prepared import read_prepared, read_prepared_record, seal
from medconsist.timeseries.prepared_record import RECORD, SIGNALS, PreparedRecord, refuse_foreign
from medconsist.timeseries.processing import leads_after, pieces_of
from medconsist.timeseries.recording import InMemoryRecording
from medconsist.timeseries.signals_file import write_signals

__all__ = ["prepare"]

_log = logging.getLogger(__name__)


def prepare(
    recordings: Sequence[LabelledRecording],
    folder: Path,
    *,
    config: PrepareConfig,
    expected: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedRecord:
    """Write the windows of many recordings into a folder that `read_prepared` maps.

    Each recording, one at a time: common leads and units, montage, filter, rate, z-score, cut. A
    gap (NaN) cuts a recording into runs that are filtered and resampled each by itself; windows lie
    on the grid of the whole recording, and one that touches a gap is left out and counted. Of the
    output only one recording is in memory. ``prepared.json`` is written last: a folder without
    it is not read, and the next call begins again. A folder that is complete is checked against the
    recordings, which reads all samples once, and left as it is.

    Parameters
    ----------
    recordings
        Each patient with one label and one site, each trial of a patient once.
    folder
        Made if it is missing; may hold what an earlier call left.
    config
        See `PrepareConfig`.
    expected
        `fingerprint_of` these recordings as published; another one is refused.
    progress
        Called with the number of recordings done and of all.

    Returns
    -------
    record
        What ``prepared.json`` says.

    Raises
    ------
    RefusedInputError
        Recordings that do not belong together (see `common_leads`), ids or labels that
        contradict each other, another fingerprint than expected, no window at all, or a folder
        with other files.
    ResultExistsError
        The folder holds windows of other recordings or other settings.
    StorageError
        The disk is full or not writable.
    """
    patients = _patients(recordings, config)
    infos = [item.recording.info for item in recordings]
    common = common_leads(infos, rate=config.rate, channels=config.channels)
    after = leads_after(common, config)
    refuse_foreign(folder)
    if (folder / RECORD).exists():
        return _same_again(recordings, folder, config, expected)
    make_folder(folder)
    gathered = Gathered(patients, config)
    samples = folder / SIGNALS
    with write_signals(samples, samples=config.samples, channels=len(after.channels)) as writer:
        for done, item in enumerate(recordings, 1):
            raw = InMemoryRecording(item.recording.info, item.recording.read())
            pieces = pieces_of(raw, common, config)
            writer.add(pieces.cut.signals)
            gathered.add(item, pieces, digest_of(item, raw))
            if progress is not None:
                progress(done, len(recordings))
        _refuse_unexpected(gathered.inputs, expected)
        gathered.refuse_empty()
    table, facts = gathered.table(), gathered.facts(after)
    _log.info("%d windows of %d patients in %s", len(table), len(table.patients), folder)
    return seal(folder, facts, table)


def _patients(
    recordings: Sequence[LabelledRecording], config: PrepareConfig
) -> dict[str, LabelledRecording]:
    """Return the first recording of each patient, after comparing the others with it."""
    first: dict[str, LabelledRecording] = {}
    trials: set[tuple[str, str]] = set()
    for item in recordings:
        config.number_of(item.label)
        other = first.setdefault(item.patient, item)
        fault = ""
        if (item.patient, item.trial) in trials:
            fault = f"the trial {item.trial!r} is there twice; name each recording once"
        elif item.label != other.label:
            fault = f"labels {other.label!r} and {item.label!r}; allowed is one a patient"
        elif item.site != other.site:
            fault = f"sites {other.site!r} and {item.site!r}; allowed is one a patient"
        if fault:
            msg = f"patient {item.patient!r} ({item.recording.info.source}): {fault}."
            raise RefusedInputError(msg)
        trials.add((item.patient, item.trial))
    return first


def _same_again(
    recordings: Sequence[LabelledRecording],
    folder: Path,
    config: PrepareConfig,
    expected: str | None,
) -> PreparedRecord:
    record = read_prepared_record(folder)
    if record.facts.settings != config:
        msg = (
            f"{folder} was prepared with other settings: {record.facts.settings}, now {config}. "
            "Choose another folder, or remove this one."
        )
        raise ResultExistsError(msg)
    read_prepared(folder)
    inputs = fingerprint_of(recordings)
    _refuse_unexpected(inputs, expected)
    if record.facts.inputs != inputs:
        msg = (
            f"{folder} holds windows of other recordings (fingerprint {record.facts.inputs[:12]}, "
            f"now {inputs[:12]}). Choose another folder, or remove this one."
        )
        raise ResultExistsError(msg)
    return record


def _refuse_unexpected(inputs: str, expected: str | None) -> None:
    if expected is not None and inputs != expected:
        msg = (
            f"the recordings have the fingerprint {inputs}, expected is {expected}: samples, ids "
            "or labels have changed. Take the recordings that were published, or name the new ones."
        )
        raise RefusedInputError(msg)

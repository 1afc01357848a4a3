"""A recording with whose it is and what it shows, and the fingerprint of many of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.recording_set import RecordingSet
from medconsist.timeseries.recording import Recording

__all__ = ["LabelledRecording", "combined", "digest_of", "fingerprint_of", "labelled_recordings"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledRecording:
    """A recording with whose it is and what it shows.

    Parameters
    ----------
    patient
        Opaque id.
    trial
        Opaque id of the recording within its patient.
    label
        Class of the patient, None where it is not known.
    site
        Where the patient comes from, None where that is not known.
    recording
        Read when it is its turn, one at a time.

    Examples
    --------
    >>> from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
    >>> info = RecordingInfo(rate=100.0, channels=("II",), units=("mV",), samples=300)
    >>> recording = InMemoryRecording(info, np.zeros((300, 1), np.float32))
    >>> LabelledRecording(patient="p1", trial="t1", label="case", recording=recording).site is None
    True
    """

    patient: str
    trial: str
    label: str | None
    recording: Recording
    site: str | None = None


def labelled_recordings(
    recordings: RecordingSet, *, sites: Mapping[str, str] | None = None
) -> list[LabelledRecording]:
    """Return the recordings of a set with its labels, opened but not read.

    A recording without a trial id has the name of its file as one; a patient without a label or a
    site has none.

    Parameters
    ----------
    recordings
        As `medconsist.timeseries.readers.choice.open_dataset` returns them.
    sites
        Where patients come from, by id.

    Raises
    ------
    RefusedInputError
        A recording without a patient id.
    """
    found = []
    for recording in recordings:
        info = recording.info
        if info.patient is None:
            msg = (
                f"{info.source}: whose recording it is, is not known; windows are kept by patient. "
                "Give the patient's id."
            )
            raise RefusedInputError(msg)
        item = LabelledRecording(
            patient=info.patient,
            trial=info.trial or info.source,
            label=recordings.labels.get(info.patient),
            site=(sites or {}).get(info.patient),
            recording=recording,
        )
        found.append(item)
    return found


def fingerprint_of(recordings: Sequence[LabelledRecording]) -> str:
    """Return the sha256 of what was recorded: samples, rates, leads, units, ids, labels, sites.

    Independent of how they are prepared and of file names; reads every sample.
    """
    return combined([digest_of(item, item.recording) for item in recordings])


def digest_of(item: LabelledRecording, recording: Recording) -> str:
    """Return the sha256 of one recording, whose samples ``recording`` holds."""
    info = recording.info
    signal = np.ascontiguousarray(recording.read(), "<f4")
    said = {
        "patient": item.patient,
        "trial": item.trial,
        "label": item.label,
        "site": item.site,
        "rate": info.rate,
        "leads": _leads(info.channels, info.units),
        "shape": signal.shape,
        "samples": hashlib.sha256(signal.data).hexdigest(),
    }
    return sha256_of_bytes(canonical_json(said))


def combined(digests: Sequence[str]) -> str:
    """Return the fingerprint of recordings from their digests, in order."""
    return sha256_of_bytes(canonical_json(list(digests)))


@lru_cache(maxsize=64)
def _leads(channels: tuple[str, ...], units: tuple[str | None, ...]) -> str:
    # Most recordings of a set share theirs, and 64 names cost more than their samples' digest.
    return sha256_of_bytes(canonical_json([channels, units]))

"""The recordings of one patient, refused or brought to the windows that a model takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Float64, Int64

from medconsist._ids import is_id
from medconsist.errors import RefusedInputError
from medconsist.tiling.grid import Grid
from medconsist.timeseries.gaps import finite_runs
from medconsist.timeseries.harmonise import CommonLeads, in_common
from medconsist.timeseries.preparation import Preparation
from medconsist.timeseries.processing import leads_after, pieces_of
from medconsist.timeseries.quality import ECG_LIMITS, EEG_LIMITS, QualityState, signal_quality
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.readers.options import DEFAULT_OPTIONS, ReadOptions
from medconsist.timeseries.readers.units import volts
from medconsist.timeseries.recording import InMemoryRecording, Recording, RecordingInfo
from medconsist.timeseries.window_set import UNKNOWN, WindowSet, WindowTable
from medconsist.timeseries.windows import Cut, window_grid

__all__ = ["CaseWindows", "case_windows", "open_recordings"]

_LEAST_POWER = 4  # samples that a spectrum of quality needs at the least


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseWindows:
    """What a model is asked about.

    Parameters
    ----------
    windows
        Of one patient; a recording is a trial, or several where beats make pseudo-trials.
    recording
        Number of the recording of each window.
    start_s
        Seconds from the beginning of the recording to the window.
    recordings
        As read, with the leads of the model, before filter and normalisation.
    unusable
        Share of channels and stretches of a window's length that are unusable, of each recording;
        NaN where the rate is too low to tell.
    notes
        What was seen while reading and preparing.

    Examples
    --------
    ::

        case_windows(open_recordings([Path("a.edf")]), model.card.preparation).windows
    """

    windows: WindowSet
    recording: Int64[npt.NDArray[np.int64], " windows"]
    start_s: Float64[npt.NDArray[np.float64], " windows"]
    recordings: tuple[InMemoryRecording, ...]
    unusable: tuple[float, ...]
    notes: tuple[str, ...]


def open_recordings(
    paths: Sequence[Path], *, patient: str | None = None, options: ReadOptions = DEFAULT_OPTIONS
) -> list[Recording]:
    """Open the files of one patient, whose id is that which was given or which all files have.

    Parameters
    ----------
    paths
        One or more.
    patient
        Opaque id; None takes that of the files.
    options
        What the files do not say.

    Raises
    ------
    RefusedInputError
        No file, one twice, files of several patients and none was given, or what the readers
        refuse.
    """
    if not paths or len({path.absolute() for path in paths}) != len(paths):
        msg = f"{len(paths)} recordings, or one of them twice; name one or more, each once."
        raise RefusedInputError(msg)
    found = [open_recording(path, options=options) for path in paths]
    ids = sorted({one.info.patient or "" for one in found})
    if patient is None and len(ids) > 1:
        msg = (
            f"the recordings are of the patients {ids[:3]}, by their files; give the one patient "
            "whose they are, or predict them apart."
        )
        raise RefusedInputError(msg)
    patient = patient or ids[0]
    if not is_id(patient):
        msg = f"{found[0].info.source}: whose recording it is, is not known; give the patient's id."
        raise RefusedInputError(msg)
    for one in found:
        one.info = replace(one.info, patient=patient)
    return found


def case_windows(recordings: Sequence[Recording], preparation: Preparation) -> CaseWindows:
    """Return the windows of one patient, prepared as the model's were.

    Parameters
    ----------
    recordings
        Of one patient.
    preparation
        Of the model's card.

    Raises
    ------
    RefusedInputError
        One sentence that names the file: a rate below the model's, a lead that is missing or
        flat, a unit that is not known where the model has units, missing samples, a recording
        shorter than a window, or one in which no beat was found.
    """
    raw = [_with_leads(recording, preparation) for recording in recordings]
    pieces = [_cut(one, preparation) for one in raw]
    windows = _joined(raw[0].info, pieces, preparation)
    preparation.require(windows)
    notes = [note for one in raw for note in one.info.notes]
    notes += [note for one in pieces for note in one.notes]
    return CaseWindows(
        windows=windows,
        recording=np.repeat(np.arange(len(raw)), [len(one) for one in pieces]),
        start_s=windows.table.start / preparation.settings.rate,
        recordings=tuple(raw),
        unusable=tuple(_unusable(one, preparation) for one in raw),
        notes=tuple(dict.fromkeys(notes)),
    )


def _cut(recording: InMemoryRecording, preparation: Preparation) -> Cut:
    info = recording.info
    common = CommonLeads(channels=info.channels, units=info.units)
    cut = pieces_of(recording, common, preparation.settings).cut
    if not len(cut):
        msg = (
            f"{info.source}: gives no window: {', '.join(cut.dropped)}. Give a longer or a better "
            "recording."
        )
        raise RefusedInputError(msg)
    return cut


def _joined(info: RecordingInfo, pieces: Sequence[Cut], preparation: Preparation) -> WindowSet:
    """Return the windows of all recordings; their trials are numbered on."""
    settings = preparation.settings
    trials, number = list[npt.NDArray[np.int64]](), 0
    for one in pieces:
        place = np.unique(one.part, return_inverse=True)[1].astype(np.int64)
        trials.append(number + place)
        number += int(place.max()) + 1
    starts = np.concatenate([one.start for one in pieces])
    table = WindowTable(
        patient=np.zeros(len(starts), np.int64),
        trial=np.concatenate(trials),
        start=starts,
        label=np.full(len(starts), UNKNOWN, np.int64),
        patients=(info.patient or "",),
        classes=settings.classes,
        sites=(None,),
    )
    after = leads_after(CommonLeads(channels=info.channels, units=info.units), settings)
    return WindowSet(
        np.concatenate([one.signals for one in pieces]),
        table,
        rate=float(settings.rate),
        channels=after.channels,
        units=after.units,
    )


def _with_leads(recording: Recording, preparation: Preparation) -> InMemoryRecording:
    """Return a recording, read whole, with the model's leads and units, or refuse it."""
    info, settings = recording.info, preparation.settings
    if info.rate < settings.rate:
        msg = (
            f"{info.source}: {info.rate:g} Hz are below the {settings.rate:g} Hz of the model, and "
            "missing samples are not invented; give a recording of a higher rate."
        )
        raise RefusedInputError(msg)
    missing = [name for name in preparation.leads if name not in info.channels]
    if missing:
        msg = (
            f"{info.source}: has no lead {missing}, which the model needs; its leads are "
            f"{list(info.channels)}. Give a recording with all of {list(preparation.leads)}."
        )
        raise RefusedInputError(msg)
    if info.seconds < settings.seconds:
        msg = (
            f"{info.source}: {info.seconds:.4g} s are shorter than a window of the model, "
            f"{settings.seconds:.4g} s; give a longer recording."
        )
        raise RefusedInputError(msg)
    wanted = tuple(_unit(info, name, preparation) for name in preparation.leads)
    common = CommonLeads(channels=preparation.leads, units=wanted, exact=False)
    found = in_common(recording, common)
    _refuse_samples(found)
    return found


def _unit(info: RecordingInfo, name: str, preparation: Preparation) -> str | None:
    """Return the unit that the model takes a lead in; that of the recording where it has none."""
    unit = info.units[info.channels.index(name)]
    if not preparation.has_units:
        return unit
    known = dict(zip(preparation.channels, preparation.units, strict=True))
    wanted = known.get(name, preparation.units[0])
    if wanted is None or unit == wanted:
        return unit
    if unit is None:
        msg = (
            f"{info.source}: the unit of {name} is not known, and the model takes {wanted}; give "
            "the unit, if it is known for sure."
        )
        raise RefusedInputError(msg)
    volts(unit)  # refuses what is no voltage, in its own words
    return wanted


def _refuse_samples(recording: InMemoryRecording) -> None:
    info, signal = recording.info, recording.read()
    gone = ~np.isfinite(signal)
    if gone.any():
        lead = int(gone.sum(0).argmax())
        inside = finite_runs(signal)
        msg = (
            f"{info.source}: {gone[:, lead].sum() / info.rate:.3g} s of {info.channels[lead]} are "
            f"missing (NaN), and samples are not invented; {len(inside)} stretches are whole: cut "
            "the recording to one of them."
        )
        raise RefusedInputError(msg)
    flat = [info.channels[k] for k in np.flatnonzero(signal.max(0) <= signal.min(0))]
    if flat:
        msg = (
            f"{info.source}: the leads {flat} are flat throughout, so nothing was recorded there; "
            "give a recording in which all leads of the model were."
        )
        raise RefusedInputError(msg)


def _unusable(recording: InMemoryRecording, preparation: Preparation) -> float:
    """Return the share of channels and stretches that are unusable, by the raw samples."""
    info = recording.info
    limits = ECG_LIMITS if preparation.modality == "ecg" else EEG_LIMITS
    samples = min(info.samples, max(_LEAST_POWER, round(preparation.seconds * info.rate)))
    if limits.band[1] > info.rate / 2:
        return float("nan")
    grid: Grid = window_grid(info.samples, samples=samples)
    signal: Float32[npt.NDArray[np.float32], "time channels"] = recording.read()
    stretches = np.stack([signal[start:stop] for start, stop in grid.spans(0).tolist()])
    quality = signal_quality(stretches, rate=info.rate, limits=limits)
    return float((quality.state == QualityState.UNUSABLE).mean())

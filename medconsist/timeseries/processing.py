"""One recording to windows: common leads, montage, filter, rate, z-score, cut; gaps stay gaps."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32

from medconsist.errors import RefusedInputError
from medconsist.timeseries.beats import cut_beats, interpolated, released_beats
from medconsist.timeseries.filters import filtered
from medconsist.timeseries.gaps import finite_runs, refuse_nan
from medconsist.timeseries.harmonise import CommonLeads, in_common
from medconsist.timeseries.montage import in_montage, montage_named
from medconsist.timeseries.normalise import z_scores
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.recording import InMemoryRecording, Recording
from medconsist.timeseries.resample import exact_ratio, resample, resampled_length
from medconsist.timeseries.windows import Cut, cut_windows

__all__ = ["Pieces", "leads_after", "pieces_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pieces:
    """What was cut from one recording.

    Parameters
    ----------
    cut
        Windows, and what was dropped.
    flat
        Names of the channels in which nothing varied.

    Examples
    --------
    >>> zero = np.zeros(0, np.int64)
    >>> none = Cut(signals=np.zeros((0, 4, 1), np.float32), start=zero, part=zero, dropped={})
    >>> len(Pieces(cut=none, flat=("V2",)).cut)
    0
    """

    cut: Cut
    flat: tuple[str, ...]


def leads_after(common: CommonLeads, config: PrepareConfig) -> CommonLeads:
    """Return the channels and units that windows will have.

    Raises
    ------
    RefusedInputError
        The montage does not fit the leads.
    """
    new = common
    if config.montage is not None:
        montage = montage_named(config.montage, common.channels)
        units = montage.units(common.units)
        new = CommonLeads(channels=montage.outputs, units=units)
    if config.normalise != "none" or config.cut == "released-beats":
        return replace(new, units=(None,) * len(new.channels))
    return new


def pieces_of(recording: Recording, common: CommonLeads, config: PrepareConfig) -> Pieces:
    """Return the windows of one recording.

    A recording that cannot be cut into beats, or is too short for a window, gives none, and says
    why in ``cut.dropped``.

    Parameters
    ----------
    recording
        Read whole.
    common
        Leads and units that it is brought to.
    config
        See `PrepareConfig`.

    Raises
    ------
    RefusedInputError
        Its leads, units or rate do not fit, or it has a gap where gaps are refused.
    """
    whole = in_common(recording, common)
    if config.montage is not None:
        whole = in_montage(whole, montage_named(config.montage, common.channels))
    raw = whole.read()
    if config.gaps == "refuse":
        refuse_nan(raw, doing=f"be used ({whole.info.source}), as gaps are refused")
    still = _still(raw)
    signal = _at_rate(raw, whole.info.rate, config)
    if config.normalise == "trial":
        signal = z_scores(signal, flat=still).signals
    info = replace(whole.info, rate=float(config.rate), samples=len(signal))
    cut = _cut(InMemoryRecording(info, signal), config)
    if config.normalise == "window":
        cut = replace(cut, signals=z_scores(cut.signals, flat=still).signals)
    names = tuple(info.channels[k] for k in np.flatnonzero(still))
    return Pieces(cut=cut, flat=names)


def _still(
    signal: Float32[npt.NDArray[np.float32], "time channels"],
) -> Bool[npt.NDArray[np.bool_], " channels"]:
    known = np.isfinite(signal)
    top = np.where(known, signal, -np.inf).max(axis=0)
    return top <= np.where(known, signal, np.inf).min(axis=0)


def _at_rate(
    signal: Float32[npt.NDArray[np.float32], "time channels"], rate: float, config: PrepareConfig
) -> Float32[npt.NDArray[np.float32], "new_time channels"]:
    """Filter and resample each run between gaps by itself; what is not within a run is NaN."""
    ratio = exact_ratio(rate, config.rate)
    new = np.full((resampled_length(len(signal), ratio), signal.shape[1]), np.nan, np.float32)
    for start, stop in finite_runs(signal).tolist():
        # A run begins where an old sample is a new one too, so that the grid of time stays one.
        place = -(-start // ratio.denominator)
        run = signal[place * ratio.denominator : stop]
        if len(run) < 2:
            continue
        if config.band is not None:
            run = filtered(run, rate=rate, band=config.band)
        if config.resampling == "linear":
            run = interpolated(run, rate=rate, to=config.rate)
        else:
            run = resample(run, rate=rate, to=config.rate)
        # Cut off at a gap, so that even one between two new samples leaves a mark.
        end = len(new) if stop == len(signal) else stop * ratio.numerator // ratio.denominator
        begin = place * ratio.numerator
        new[begin:end] = run[: max(0, end - begin)]
    return new


def _cut(recording: Recording, config: PrepareConfig) -> Cut:
    if config.cut == "windows":
        return cut_windows(recording, samples=config.samples, overlap=config.overlap)
    cutter = cut_beats if config.cut == "beats" else released_beats
    try:
        return cutter(recording, samples=config.samples, beats_a_trial=config.beats_a_trial)
    except RefusedInputError as error:
        # COMET leaves such recordings out too; here each is named, with the reason.
        none = np.zeros(0, np.int64)
        empty = np.zeros((0, config.samples, len(recording.info.channels)), np.float32)
        return Cut(signals=empty, start=none, part=none, dropped={str(error): 1})

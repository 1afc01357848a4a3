"""R peaks of an ECG by a vote of its leads: one lead may miss a beat or see one too many."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int64

from medconsist.errors import RefusedInputError
from medconsist.timeseries.lead_peaks import Detector, lead_peaks

__all__ = ["RPeaks", "r_peaks", "vote"]

Samples = Int64[npt.NDArray[np.int64], " _peaks"]
_NEAR = 0.075  # s
_REFRACTORY = 0.25  # s; 240 beats a minute
_SHORTEST = 3.0  # s; below it neurokit2 has no gradient average to compare with


@dataclass(frozen=True, kw_only=True, eq=False)
class RPeaks:
    """Where the beats are, and how many leads said so.

    Parameters
    ----------
    samples
        Of each beat, ascending.
    votes
        Leads that had a peak there.
    leads
        Names of those that could vote.
    left_out
        The others, with the reason.

    Examples
    --------
    >>> found = vote({"I": np.array([100, 300]), "II": np.array([104, 301])}, rate=250.0)
    >>> found.samples.tolist(), found.votes.tolist(), found.rate_bpm(250.0)
    ([102, 300], [2, 2], 75.75757575757575)
    """

    samples: Samples
    votes: Int64[npt.NDArray[np.int64], " peaks"]
    leads: tuple[str, ...]
    left_out: Mapping[str, str]

    def rr(self) -> float:
        """Return the median distance between beats in samples.

        Raises
        ------
        RefusedInputError
            Fewer than two beats.
        """
        if len(self.samples) < 2:
            msg = f"{len(self.samples)} beats have no distance; 2 or more are needed."
            raise RefusedInputError(msg)
        return float(np.median(np.diff(self.samples)))

    def rate_bpm(self, rate: float) -> float:
        """Return the median heart rate in beats a minute, for a sampling rate in Hz."""
        return 60 * rate / self.rr()


def r_peaks(
    signal: Float[npt.NDArray[np.floating], "time leads"],
    *,
    rate: float,
    leads: Sequence[str],
    detector: Detector = "neurokit",
) -> RPeaks:
    """Return the R peaks of a recording by a vote of its leads.

    Parameters
    ----------
    signal
        ``time leads``, in any unit. A lead that is flat, or has missing samples, has no vote.
    rate
        Samples per second.
    leads
        One name each.
    detector
        ``"neurokit"`` (ecg_clean and ecg_peaks, doi 10.3758/s13428-020-01516-y; 0.1 s CPU for half
        an hour of one lead) or ``"xqrs"`` (wfdb; 20 times that).

    Raises
    ------
    RefusedInputError
        Shorter than 3 s, or no lead at all can vote.

    Examples
    --------
    >>> time = np.arange(2500) / 250
    >>> lead = np.exp(-(((time % 1.0 - 0.5) / 0.02) ** 2))
    >>> r_peaks(lead[:, None], rate=250.0, leads=["II"]).samples[:3].tolist()
    [125, 375, 625]
    """
    if len(signal) < _SHORTEST * rate:
        msg = f"{len(signal) / rate:g} s of ECG are too short for R peaks; allowed: 3 s or more."
        raise RefusedInputError(msg)
    found: dict[str, Samples] = {}
    left_out: dict[str, str] = {}
    for name, lead in zip(leads, signal.T, strict=True):
        reason = _unusable(lead)
        if reason:
            left_out[name] = reason
            continue
        peaks = lead_peaks(lead, rate=rate, detector=detector)
        if len(peaks):
            found[name] = peaks
        else:
            left_out[name] = "no beat found"
    if not found:
        msg = f"no lead has a beat: {left_out}. Look at the recording before it is used."
        raise RefusedInputError(msg)
    return vote(found, rate=rate, left_out=left_out)


def vote(
    peaks: Mapping[str, Samples], *, rate: float, left_out: Mapping[str, str] | None = None
) -> RPeaks:
    """Return the beats that most leads agree on.

    A beat is a time that has peaks of more than half of the leads within 75 ms on either side (in
    one beat the leads peak up to 0.1 s apart: PTB s0010_re); it lies at the median of those peaks,
    no two beats closer than 250 ms. Peaks of exactly half of the leads, as of one of two, count
    only where the majority leaves a gap: farther than 0.6 of the median RR interval from
    every beat. So one lead that misses beats or sees too many changes nothing, with three leads or
    more.

    Parameters
    ----------
    peaks
        Samples of each lead, by its name.
    rate
        Samples per second.
    left_out
        Passed on to the result.

    Examples
    --------
    >>> a, b = np.array([100, 300, 500]), np.array([101, 200, 300])
    >>> vote({"I": a, "II": b, "III": a}, rate=250.0).samples.tolist()
    [100, 300, 500]
    """
    places, votes = _modes(list(peaks.values()), rate)
    most = 2 * votes > len(peaks)
    if most.sum() > 1:
        rhythm = 0.6 * float(np.median(np.diff(places[most])))
        ties = np.flatnonzero(2 * votes == len(peaks))
        far = np.abs(places[ties][:, None] - places[most][None]).min(axis=1) > rhythm
        most[ties[far]] = True
    else:
        most = 2 * votes >= len(peaks)
    return RPeaks(
        samples=places[most],
        votes=votes[most],
        leads=tuple(peaks),
        left_out=dict(left_out or {}),
    )


def _modes(
    peaks: Sequence[Samples], rate: float
) -> tuple[Samples, Int64[npt.NDArray[np.int64], " peaks"]]:
    """Return where leads agree best, no two within the refractory time, and how many of them."""
    candidates = np.concatenate(peaks)
    nearest = np.stack([_nearest(lead, candidates) for lead in peaks])
    apart = np.abs(nearest - candidates)
    near = apart <= _NEAR * rate
    votes = near.sum(axis=0)
    spread = np.where(near, apart, 0).sum(axis=0) / votes
    places = np.rint(np.nanmedian(np.where(near, nearest, np.nan), axis=0)).astype(np.int64)
    accepted: list[int] = []
    chosen: list[int] = []
    for candidate in np.lexsort((places, spread, -votes)).tolist():
        place = int(places[candidate])
        at = bisect_left(accepted, place)
        beside = accepted[max(at - 1, 0) : at + 1]
        if all(abs(place - other) > _REFRACTORY * rate for other in beside):
            accepted.insert(at, place)
            chosen.append(candidate)
    order = np.array(sorted(chosen, key=places.__getitem__), np.int64)
    return places[order], votes[order]


def _nearest(peaks: Samples, times: Samples) -> Samples:
    right = np.searchsorted(peaks, times).clip(0, len(peaks) - 1)
    left = (right - 1).clip(0)
    closer = np.abs(peaks[left] - times) <= np.abs(peaks[right] - times)
    return np.where(closer, peaks[left], peaks[right])


def _unusable(lead: npt.NDArray[np.floating]) -> str:
    if not np.isfinite(lead).all():
        return "missing samples"
    return "flat" if lead.min() == lead.max() else ""

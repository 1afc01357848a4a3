"""What is quickly seen of a recording: flat and absent leads, missing samples, swapped arms.

The limb leads of one recording obey Einthoven's law, I + III = II, at every instant, so the
residual ``std(I + III - II) / std(II)`` is that of rounding: 0.0013 to 0.0081 on the 50 records of
CinC 2021 that the tests read; leads that were scaled one by one gave about 0.5 (the specification's
figure for a set with normalised leads). With the arms swapped the law still holds. What changes is
that lead I is upside down: its steep parts then run against those of V6, which sees the heart from
the same side, so their correlation turns negative. The limit was chosen in sight of the 61
twelve-lead records that the tests read: no false alarm on them, and 57 of their copies with swapped
arms found. On records of elsewhere neither figure is known.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float32

from medconsist.timeseries.readers.channel_names import TWELVE_LEADS
from medconsist.timeseries.recording import Recording, RecordingInfo

__all__ = ["EINTHOVEN_LIMIT", "SWAP_LIMIT", "LeadReport", "check_leads", "with_lead_notes"]

EINTHOVEN_LIMIT = 0.05
SWAP_LIMIT = -0.2  # of the correlation; between 0 and this, leads are too unlike to tell
_BLOCK_SECONDS = 60
_STEEP_HZ = 100.0  # slopes are taken between samples so far apart
_MANY_LEADS = 6  # of the twelve; fewer are no twelve-lead recording with some missing
_LATERAL = ("V6", "V5")  # the second where the first is flat or absent


@dataclass(frozen=True, kw_only=True)
class LeadReport:
    """What was seen.

    Parameters
    ----------
    flat
        Channels with one value throughout, or none.
    gaps
        Longest run of missing samples in seconds, by channel that has one.
    absent
        Which of the twelve ECG leads are not there, if six or more are.
    einthoven
        ``std(I + III - II) / std(II)``; None without these three leads in one unit.
    lateral_correlation
        Of the slopes of lead I and V6 (V5 where V6 is flat), in -1 to 1; None without them.

    Examples
    --------
    >>> LeadReport(flat=("V2",), lateral_correlation=-0.9).suspects_swapped_arms
    True
    """

    flat: tuple[str, ...] = ()
    gaps: dict[str, float] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    einthoven: float | None = None
    lateral_correlation: float | None = None

    @property
    def suspects_swapped_arms(self) -> bool:
        """Say whether lead I looks upside down; dextrocardia and an extreme axis look so too."""
        return self.lateral_correlation is not None and self.lateral_correlation < SWAP_LIMIT

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for `RecordingInfo.notes`; none where nothing was seen."""
        found = []
        if self.flat:
            found.append(f"Flat throughout: {', '.join(self.flat)}.")
        if self.gaps:
            each = ", ".join(f"{name} ({seconds:.3g} s)" for name, seconds in self.gaps.items())
            found.append(f"Missing samples, longest run: {each}.")
        if self.absent:
            found.append(f"Of the twelve leads these are absent: {', '.join(self.absent)}.")
        if self.einthoven is not None and self.einthoven > EINTHOVEN_LIMIT:
            found.append(
                f"I + III differs from II by {self.einthoven:.2g} of II (allowed: "
                f"{EINTHOVEN_LIMIT}): leads were scaled one by one, or are of different times."
            )
        if self.suspects_swapped_arms:
            found.append(
                f"Lead I runs against the lateral lead ({self.lateral_correlation:.2f}): "
                "right and left arm may be swapped."
            )
        return tuple(found)


def check_leads(recording: Recording) -> LeadReport:
    """Look through a recording once, a minute at a time.

    Parameters
    ----------
    recording
        Of any kind; ECG leads are known by name.

    Examples
    --------
    >>> from medconsist.timeseries.recording import InMemoryRecording
    >>> info = RecordingInfo(rate=1.0, channels=("I", "V5"), units=("mV", "mV"), samples=3)
    >>> signal = np.array([[0, 0], [1, 0], [0, 0]], np.float32)
    >>> check_leads(InMemoryRecording(info, signal)).flat
    ('V5',)
    """
    info = recording.info
    step = max(1, round(_BLOCK_SECONDS * info.rate))
    seen = _Seen(info)
    for start in range(0, info.samples, step):
        seen.add(recording.read(start, min(info.samples, start + step)))
    return seen.report()


def with_lead_notes(recording: Recording) -> LeadReport:
    """Look through a recording and add what was seen to its notes; return the report."""
    report = check_leads(recording)
    recording.info = replace(recording.info, notes=(*recording.info.notes, *report.notes))
    return report


class _Seen:
    """Running extremes, runs of NaN and second moments, block by block."""

    def __init__(self, info: RecordingInfo) -> None:
        self._info = info
        n = len(info.channels)
        self._place = {name: number for number, name in enumerate(info.channels)}
        self._low, self._high = np.full(n, np.inf), np.full(n, -np.inf)
        self._run, self._longest = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self._law = _Moments(2)
        self._slopes = {name: _Moments(2) for name in _LATERAL}
        self._stride = max(1, round(info.rate / _STEEP_HZ))

    def add(self, block: Float32[npt.NDArray[np.float32], "time channels"]) -> None:
        missing = np.isnan(block)
        self._low = np.minimum(self._low, np.where(missing, np.inf, block).min(0))
        self._high = np.maximum(self._high, np.where(missing, -np.inf, block).max(0))
        for channel in np.flatnonzero(missing.any(0) | (self._run > 0)):
            self._add_run(int(channel), missing[:, channel])
        if {"I", "II", "III"} <= self._place.keys() and self._one_unit():
            first, second, third = (self._column(block, name) for name in ("I", "II", "III"))
            self._law.add(np.stack([first + third - second, second]))
        for name, moments in self._slopes.items():
            if name in self._place and "I" in self._place:
                pair = np.stack([self._column(block, "I"), self._column(block, name)])
                moments.add(np.diff(pair[:, :: self._stride]))

    def _column(
        self, block: Float32[npt.NDArray[np.float32], "time channels"], name: str
    ) -> Float[npt.NDArray[np.float64], " time"]:
        return block[:, self._place[name]].astype(np.float64)

    def _one_unit(self) -> bool:
        return len({self._info.units[self._place[name]] for name in ("I", "II", "III")}) == 1

    def _add_run(self, channel: int, missing: npt.NDArray[np.bool_]) -> None:
        # Where the samples are present; a run is what lies between two such places.
        ends = np.flatnonzero(~missing)
        edges = np.concatenate([[-1 - self._run[channel]], ends, [len(missing)]])
        self._longest[channel] = max(self._longest[channel], int((np.diff(edges) - 1).max()))
        self._run[channel] = edges[-1] - edges[-2] - 1

    def report(self) -> LeadReport:
        names = self._info.channels
        flat = tuple(n for n, a, b in zip(names, self._low, self._high, strict=True) if not a < b)
        gaps = {
            n: float(r / self._info.rate) for n, r in zip(names, self._longest, strict=True) if r
        }
        there = [name for name in TWELVE_LEADS if name in self._place]
        many = len(there) >= _MANY_LEADS
        lateral = next((n for n in _LATERAL if n in self._place and n not in flat), None)
        usable = lateral is not None and "I" not in flat
        return LeadReport(
            flat=flat,
            gaps=gaps,
            absent=tuple(n for n in TWELVE_LEADS if many and n not in self._place),
            einthoven=self._law.ratio(),
            lateral_correlation=self._slopes[lateral].correlation() if usable and lateral else None,
        )


class _Moments:
    """Sums of two series and of their products, over blocks, of samples where both are there."""

    def __init__(self, series: int) -> None:
        self._n, self._sum, self._products = 0, np.zeros(series), np.zeros((series, series))

    def add(self, values: Float[npt.NDArray[np.float64], "series time"]) -> None:
        there = values[:, np.isfinite(values).all(0)]
        self._n += there.shape[1]
        self._sum += there.sum(1)
        self._products += there @ there.T

    def _covariance(self) -> Float[npt.NDArray[np.float64], "series series"]:
        mean = self._sum / max(self._n, 1)
        return self._products / max(self._n, 1) - np.outer(mean, mean)

    def ratio(self) -> float | None:
        """Return the standard deviation of the first over that of the second."""
        first, second = np.diag(self._covariance()).clip(0)
        return float(np.sqrt(first / second)) if second > 0 else None

    def correlation(self) -> float | None:
        covariance = self._covariance()
        scale = float(np.sqrt(np.prod(np.diag(covariance).clip(0))))
        return float(covariance[0, 1]) / scale if scale > 0 else None

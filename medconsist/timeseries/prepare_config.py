"""How recordings become windows: every setting that a prepared folder records."""

from dataclasses import dataclass
from typing import Literal

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.timeseries.filters import Band
from medconsist.timeseries.montage import MONTAGES
from medconsist.timeseries.window_set import UNKNOWN
from medconsist.timeseries.windows import Gaps, window_grid

__all__ = ["CutKind", "Normalisation", "PrepareConfig", "Resampling"]

CutKind = Literal["windows", "beats", "released-beats"]
Normalisation = Literal["trial", "window", "none"]
Resampling = Literal["filtered", "linear"]


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How recordings become windows.

    Parameters
    ----------
    rate
        Of the windows [Hz]; no recording may have less.
    samples
        Length of a window, at that rate.
    classes
        Names; of negative and positive, the positive one last.
    overlap
        Samples that a window shares with the next one.
    cut
        ``"windows"`` on a grid; ``"beats"`` of an ECG by voted R peaks, amplitude kept; or
        ``"released-beats"`` as COMET's notebook cuts them, flaws included (`released_beats`).
    beats_a_trial
        Consecutive beats that make a pseudo-trial, 10 in COMET's data; None leaves a recording
        one trial.
    gaps
        What becomes of a window with missing samples.
    channels
        Leads wanted, in this order; None takes those of the first recording.
    montage
        One of `medconsist.timeseries.montage.MONTAGES`, after the choice of channels.
    band
        Filter before resampling; None filters nothing.
    resampling
        ``"filtered"`` with anti-aliasing; ``"linear"`` as COMET's notebooks, which folds what lies
        above the new Nyquist frequency back into the signal.
    normalise
        z-scores for each channel of a ``"trial"`` (COMET's way), of a ``"window"``, or ``"none"``,
        which alone keeps amplitude and unit.

    Raises
    ------
    RefusedInputError
        A rate that is not positive, overlapping windows that never advance, an overlap or a
        pseudo-trial where there is none, an unknown montage, or a class named twice.

    Examples
    --------
    >>> PrepareConfig(rate=256.0, samples=256, overlap=128, classes=("control", "case")).seconds
    1.0
    """

    rate: float
    samples: int
    classes: tuple[str, ...]
    overlap: int = 0
    cut: CutKind = "windows"
    beats_a_trial: int | None = None
    gaps: Gaps = "drop"
    channels: tuple[str, ...] | None = None
    montage: str | None = None
    band: Band | None = None
    resampling: Resampling = "filtered"
    normalise: Normalisation = "trial"

    def __post_init__(self) -> None:
        window_grid(1, samples=self.samples, overlap=self.overlap)
        fault = self._fault()
        if fault:
            raise RefusedInputError(fault)

    @property
    def seconds(self) -> float:
        """Length of a window."""
        return self.samples / self.rate

    def number_of(self, label: str | None) -> int:
        """Return the number of a class, -1 for None.

        Raises
        ------
        RefusedInputError
            No such class; says the nearest one.
        """
        if label is None:
            return UNKNOWN
        if label not in self.classes:
            msg = f"the label {label!r} is none of {self.classes}. {nearest(label, self.classes)}"
            raise RefusedInputError(msg)
        return self.classes.index(label)

    def _fault(self) -> str:
        if not 0 < self.rate < float("inf"):
            return f"windows need a positive rate, got {self.rate} Hz."
        if len(set(self.classes)) != len(self.classes):
            return f"classes are named twice in {self.classes}; name each once."
        if self.montage is not None and self.montage not in MONTAGES:
            return f"there is no montage {self.montage!r}. {nearest(self.montage, MONTAGES)}"
        if self.cut == "windows" and self.beats_a_trial is not None:
            return "beats_a_trial is for cut='beats' or 'released-beats'; leave it out here."
        if self.beats_a_trial is not None and self.beats_a_trial < 1:
            return f"a pseudo-trial of {self.beats_a_trial} beats is not possible; allowed: from 1."
        if self.cut != "windows" and self.overlap:
            return f"beats do not overlap, got an overlap of {self.overlap} samples; leave it out."
        return ""

"""A page of EEG as it comes from the printer: 30 mm a second, 7 uV a millimetre, negative up."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medconsist.errors import RefusedInputError
from medconsist.timeseries.recording import Recording
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.traces import (
    WARNING,
    badge,
    document,
    line,
    millivolts_per,
    text,
    trace_path,
)

__all__ = ["EegSheet", "eeg_page"]

_LEFT, _TOP, _RIGHT, _BELOW = 25.0, 28.0, 25.0, 12.0
_WORDS = 180.0  # width that the words above the traces need [mm]
_OWN_SIZE = 0.8  # of the distance of two channels
_SECOND, _FIFTH = "#9fb4c7", "#dfe7ee"


@dataclass(frozen=True, kw_only=True)
class EegSheet:
    """How a page is set.

    Parameters
    ----------
    speed
        Millimetres a second.
    sensitivity
        Microvolts a millimetre.
    start_s, seconds
        First second shown, and how many.
    apart
        Distance of two channels [mm].
    filtered, montage
        What was done to the samples before; they are printed, not done.

    Raises
    ------
    RefusedInputError
        A number that is not positive, or a start before 0.

    Examples
    --------
    >>> EegSheet(sensitivity=10.0).speed
    30.0
    """

    speed: float | int = 30.0
    sensitivity: float | int = 7.0
    start_s: float | int = 0.0
    seconds: float | int = 10.0
    apart: float | int = 10.0
    filtered: str = ""
    montage: str = ""

    def __post_init__(self) -> None:
        sizes = (self.speed, self.sensitivity, self.seconds, self.apart)
        if not all(0 < size < np.inf for size in sizes) or not 0 <= self.start_s < np.inf:
            msg = f"{self}: speed, sensitivity, seconds, apart must be above 0, start_s from 0."
            raise RefusedInputError(msg)


def eeg_page(recording: Recording, *, sheet: EegSheet | None = None, title: str = "") -> str:
    """Return a page of SVG on which a mm is a mm; every channel is drawn, in its order.

    Negative is up, as in every clinic. A trace is drawn about its median and may cross others. If
    the unit of any channel is not known the page has no voltage scale: a sentence and a badge say
    so, and each channel is drawn to its own size. NaN breaks the line.

    Parameters
    ----------
    recording
        Channels of the montage to show.
    sheet
        Scales, span, filter and montage; None is the default page.
    title
        First line; nothing of the recording's patient or notes is ever printed.

    Raises
    ------
    RefusedInputError
        A start after the end.

    Examples
    --------
    >>> from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
    >>> info = RecordingInfo(rate=100.0, channels=("Cz",), units=("uV",), samples=1000)
    >>> page = eeg_page(InMemoryRecording(info, np.zeros((1000, 1), np.float32)))
    >>> "30 mm/s, 7 uV/mm" in page
    True
    """
    page = _page(recording, sheet or EegSheet())
    return document(
        [_times(page), *_traces(page), *_words(page, title or "EEG"), *_voltage(page)],
        width_mm=page.right + _RIGHT,
        height_mm=_TOP + page.height + _BELOW,
        name=f"EEG, {_scale(page)}",
        facts={
            "mm-per-s": f"{page.sheet.speed:g}",
            "uv-per-mm": "unknown" if page.unscaled else f"{page.sheet.sensitivity:g}",
        },
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Page:
    """A recording and how it fits the page; ``unscaled`` are the channels without a known unit."""

    recording: Recording
    sheet: EegSheet
    first: int
    stop: int
    unscaled: tuple[str, ...]

    @property
    def width(self) -> float:
        return float((self.stop - self.first) / self.recording.info.rate * self.sheet.speed)

    @property
    def right(self) -> float:
        """Right end of the traces, or of the words above them."""
        return _LEFT + max(self.width, _WORDS)

    @property
    def height(self) -> float:
        return float(self.sheet.apart * len(self.recording.info.channels))


def _page(recording: Recording, sheet: EegSheet) -> _Page:
    info = recording.info
    first = round(sheet.start_s * info.rate)
    stop = min(info.samples, first + round(sheet.seconds * info.rate))
    if stop - first < 2:
        msg = f"{info.source}: start at {sheet.start_s} s of {info.seconds:g} s; begin earlier."
        raise RefusedInputError(msg)
    pairs = zip(info.channels, info.units, strict=True)
    unknown = tuple(name for name, unit in pairs if millivolts_per(unit) is None)
    return _Page(recording=recording, sheet=sheet, first=first, stop=stop, unscaled=unknown)


def _traces(page: _Page) -> list[str]:
    info, sheet = page.recording.info, page.sheet
    signal = page.recording.read(page.first, page.stop).astype(np.float64)
    x = _LEFT + sheet.speed / info.rate * np.arange(len(signal))
    parts = []
    for row, name in enumerate(info.channels):
        middle = _TOP + sheet.apart * (row + 0.5)
        factor = None if page.unscaled else millivolts_per(info.units[row])
        data = trace_path(x, middle + _depths(signal[:, row], factor, sheet))
        said = text(name if data else f"{name}: no samples", at=(4, middle + 1))
        parts += [said, line(data, kind="trace", width=0.2)]
    return parts


def _scale(page: _Page) -> str:
    volts = "no uV scale" if page.unscaled else f"{page.sheet.sensitivity:g} uV/mm"
    return f"{page.sheet.speed:g} mm/s, {volts}"


def _words(page: _Page, title: str) -> list[str]:
    info, sheet = page.recording.info, page.sheet
    facts = (
        f"{_scale(page)} · negative up · montage: {sheet.montage or 'as recorded'} · filter: "
        f"{sheet.filtered or 'none'} · {info.rate:g} Hz · {page.first / info.rate:.1f} to "
        f"{page.stop / info.rate:.1f} s of {info.seconds:.1f} s"
    )
    notice = f"{NOTICE} Each trace is drawn about its median."
    return [
        text(title, at=(4, 9), size=5, weight="bold"),
        text(facts, at=(4, 16)),
        text(notice, at=(4, _TOP + page.height + 8), size=3),
    ]


def _depths(
    values: Float[np.ndarray, " time"], factor: float | None, sheet: EegSheet
) -> Float[np.ndarray, " time"]:
    """Return mm downwards, which is where positive goes."""
    seen = values[np.isfinite(values)]
    if not seen.size:
        return values
    away = values - np.median(seen)
    if factor is None:
        return away * (_OWN_SIZE * sheet.apart / (np.ptp(seen) or 1.0))
    return away * factor * 1000 / sheet.sensitivity


def _times(page: _Page) -> str:
    def lines(seconds: float) -> str:
        step = page.sheet.speed * seconds
        places = _LEFT + step * np.arange(int(page.width / step + 1e-9) + 1)
        return "".join(f"M{x:.2f},{_TOP:.2f}v{page.height:g}" for x in places.tolist())

    fifths = line(lines(0.2), kind="grid-fifth", colour=_FIFTH, width=0.1)
    return fifths + line(lines(1.0), kind="grid-second", colour=_SECOND, width=0.2)


def _voltage(page: _Page) -> list[str]:
    """Return a bar of ten mm with its microvolts, or why there is none."""
    if not page.unscaled:
        x = _LEFT + page.width + 4
        bar = line(f"M{x:.2f},{_TOP:.2f}v10", kind="scale-bar", width=0.4)
        return [bar, text(f"{10 * page.sheet.sensitivity:g} uV", at=(x + 1.5, _TOP + 6))]
    named = ", ".join(page.unscaled[:6]) + (" and others" if len(page.unscaled) > 6 else "")
    said = (
        f"No uV scale: the voltage unit of {named} is not known, so each channel is drawn to its "
        "own size."
    )
    return [
        text(said, at=(4, 22), colour=WARNING),
        badge("voltage unit unknown", at=(page.right - 20, 9)),
    ]

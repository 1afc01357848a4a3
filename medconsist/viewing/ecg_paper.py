"""A twelve-lead ECG as it comes from the printer: 3 x 4 and a rhythm strip, to true scale."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS, normalise_channel
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

__all__ = ["GAINS", "SPEEDS", "Paper", "ecg_paper"]

SPEEDS = (12.5, 25.0, 50.0)
"""Paper speeds [mm/s]."""
GAINS = (5.0, 10.0, 20.0)
"""Voltage scales [mm/mV]."""

_ROWS = (
    ("I", "aVR", "V1", "V4"),
    ("II", "aVL", "V2", "V5"),
    ("III", "aVF", "V3", "V6"),
)
_RHYTHM = "II"
_PAGE = (297, 210)  # A4 across
_LEFT, _TOP, _WIDTH, _HEIGHT = 10, 25, 275, 165  # of the grid
_TRACES, _COLUMN_MM, _ROW_MM = 30.0, 62.5, 40
_PULSE_S, _PULSE_AT = 0.2, 13.0
_OWN_SIZE_MM = 20.0
_THIN, _THICK = "#f6cfc6", "#e79a8c"


@dataclass(frozen=True, kw_only=True)
class Paper:
    """How a page is set.

    Parameters
    ----------
    speed
        One of `SPEEDS` [mm/s].
    gain
        One of `GAINS` [mm/mV].
    start_s
        First second shown.
    filtered
        What was done to the samples before, such as ``"0.05-150 Hz"``; it is printed, not done.

    Raises
    ------
    RefusedInputError
        Another speed or gain, or a start before 0.

    Examples
    --------
    >>> Paper(speed=50.0).gain
    10.0
    """

    speed: float | int = 25.0
    gain: float | int = 10.0
    start_s: float | int = 0.0
    filtered: str = ""

    def __post_init__(self) -> None:
        for name, value, allowed in (("speed", self.speed, SPEEDS), ("gain", self.gain, GAINS)):
            if value not in allowed:
                msg = f"{name} got {value}; allowed: {', '.join(f'{each:g}' for each in allowed)}."
                raise RefusedInputError(msg)
        if not 0 <= self.start_s < np.inf:
            msg = f"start_s got {self.start_s}; allowed: 0 or later."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lead:
    """What is drawn of a lead; ``mm`` is upwards, about the median of what is shown."""

    name: str
    mm: Float[np.ndarray, " time"] | None
    flat: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class _Page:
    """A recording and how it fits the page; ``unscaled`` are the leads without a known unit."""

    recording: Recording
    paper: Paper
    first: int
    samples: int
    unscaled: tuple[str, ...]

    @property
    def step_mm(self) -> float:
        return float(self.paper.speed / self.recording.info.rate)


def ecg_paper(recording: Recording, *, paper: Paper | None = None, title: str = "") -> str:
    """Return a page of SVG on which a mm is a mm: 25 mm a second, 10 mm a millivolt by default.

    Four columns of 2.5 s (at 25 mm/s; of a quarter of the recording if that is less) follow each
    other in time, lead II runs below all of them. A trace is drawn about its median; one that
    leaves its row goes on over the next. Volts, millivolts, microvolts and nanovolts are converted.
    If the unit of any of the twelve leads is not known the page has no voltage scale: a sentence
    and a badge say so, each lead is drawn to its own size, and there is neither a calibration pulse
    nor a horizontal line. A missing lead leaves its place; NaN breaks the line.

    Parameters
    ----------
    recording
        With some of the twelve leads, by any name that the readers know; others are not drawn.
    paper
        Speed, gain, start and filter; None is the default page.
    title
        First line; nothing of the recording's patient, names or notes is ever printed.

    Raises
    ------
    RefusedInputError
        None of the twelve leads, or a start after the end.

    Examples
    --------
    >>> from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
    >>> info = RecordingInfo(rate=100.0, channels=("II",), units=("mV",), samples=1000)
    >>> page = ecg_paper(InMemoryRecording(info, np.zeros((1000, 1), np.float32)))
    >>> page.count("not recorded"), 'width="297mm"' in page
    (11, True)
    """
    page = _page(recording, paper or Paper())
    leads = _leads(page)
    body = [_grid(page), *_cells(page, leads), *_rhythm(page, leads)]
    if not page.unscaled:
        body += [_pulse(page, row) for row in range(len(_ROWS) + 1)]
    box = (_LEFT - 0.5, _TOP - 0.5, _WIDTH + 1, _HEIGHT + 1)  # the outer lines are whole
    clipped = (
        f'<svg x="{box[0]}" y="{box[1]}" width="{box[2]}" height="{box[3]}" '
        f'viewBox="{" ".join(f"{side:g}" for side in box)}">{"".join(body)}</svg>'
    )
    return document(
        [clipped, *_words(page, title or "12-lead ECG")],
        width_mm=_PAGE[0],
        height_mm=_PAGE[1],
        name=f"12-lead ECG, {_scale(page)}",
        facts={
            "mm-per-s": f"{page.paper.speed:g}",
            "mm-per-mv": "unknown" if page.unscaled else f"{page.paper.gain:g}",
        },
    )


def _page(recording: Recording, paper: Paper) -> _Page:
    info = recording.info
    names = [normalise_channel(name) for name in info.channels]
    drawn = [place for place, name in enumerate(names) if name in TWELVE_LEADS]
    if not drawn:
        msg = (
            f"{info.source}: channels {', '.join(info.channels[:8])}; a page of 12 leads needs at "
            f"least one of {', '.join(TWELVE_LEADS)}."
        )
        raise RefusedInputError(msg)
    first = round(paper.start_s * info.rate)
    samples = min(info.samples - first, int(4 * _COLUMN_MM / paper.speed * info.rate))
    if samples < 4:
        msg = f"{info.source}: start at {paper.start_s} s of {info.seconds:g} s; begin earlier."
        raise RefusedInputError(msg)
    unknown = [info.channels[place] for place in drawn if millivolts_per(info.units[place]) is None]
    return _Page(
        recording=recording, paper=paper, first=first, samples=samples, unscaled=tuple(unknown)
    )


def _leads(page: _Page) -> dict[str, _Lead]:
    info = page.recording.info
    signal = page.recording.read(page.first, page.first + page.samples)
    place = {normalise_channel(name): number for number, name in enumerate(info.channels)}
    leads = {}
    for name in TWELVE_LEADS:
        number = place.get(name)
        if number is None:
            leads[name] = _Lead(name=name, mm=None)
            continue
        values = signal[:, number].astype(np.float64)
        seen = values[np.isfinite(values)]
        flat = seen.size > 0 and bool(np.ptp(seen) == 0)
        leads[name] = _Lead(name=name, mm=_heights(page, values, info.units[number]), flat=flat)
    return leads


def _heights(
    page: _Page, values: Float[np.ndarray, " time"], unit: str | None
) -> Float[np.ndarray, " time"]:
    seen = values[np.isfinite(values)]
    if not seen.size:
        return values
    away = values - np.median(seen)
    factor = millivolts_per(unit)
    if page.unscaled or factor is None:
        return away * (_OWN_SIZE_MM / (np.ptp(seen) or 1.0))
    return away * factor * page.paper.gain


def _cells(page: _Page, leads: dict[str, _Lead]) -> list[str]:
    quarter = page.samples // 4
    return [
        _trace(page, leads[name], row, quarter * column, quarter * (column + 1))
        for row, names in enumerate(_ROWS)
        for column, name in enumerate(names)
    ]


def _rhythm(page: _Page, leads: dict[str, _Lead]) -> list[str]:
    return [_trace(page, leads[_RHYTHM], len(_ROWS), 0, page.samples // 4 * 4)]


def _trace(page: _Page, lead: _Lead, row: int, start: int, stop: int) -> str:
    left, middle = _TRACES + start * page.step_mm, _middle(row)
    label = text(lead.name, at=(left + 1, middle - 13), size=4, weight="bold")
    mark = line(f"M{left:.2f},{middle - 16:.2f}v4", kind="border") if start else ""
    if lead.mm is None:
        return label + mark + text("not recorded", at=(left + 1, middle - 8), colour="#666")
    x = left + page.step_mm * np.arange(stop - start)
    data = trace_path(x, middle - lead.mm[start:stop])
    flat = text("flat", at=(left + 10, middle - 13), colour=WARNING) if lead.flat else ""
    if not data:
        flat = text("no samples", at=(left + 10, middle - 13), colour=WARNING)
    return label + mark + flat + line(data, kind=f"trace lead-{lead.name}")


def _middle(row: int) -> float:
    return _TOP + 25.0 + row * _ROW_MM


def _grid(page: _Page) -> str:
    right, bottom = _LEFT + _WIDTH, _TOP + _HEIGHT

    def lines(step: int) -> str:
        upright = "".join(f"M{x},{_TOP}V{bottom}" for x in range(_LEFT, right + 1, step))
        if page.unscaled:
            return upright
        return upright + "".join(f"M{_LEFT},{y}H{right}" for y in range(_TOP, bottom + 1, step))

    thin = line(lines(1), kind="grid-1mm", colour=_THIN, width=0.1)
    return thin + line(lines(5), kind="grid-5mm", colour=_THICK, width=0.2)


def _pulse(page: _Page, row: int) -> str:
    width, height = _PULSE_S * page.paper.speed, page.paper.gain
    start = f"M{_PULSE_AT:.2f},{_middle(row):.2f}"
    return line(f"{start}h1v{-height:g}h{width:g}v{height:g}h1", kind="pulse")


def _scale(page: _Page) -> str:
    volts = "no mV scale" if page.unscaled else f"{page.paper.gain:g} mm/mV"
    return f"{page.paper.speed:g} mm/s, {volts}"


def _words(page: _Page, title: str) -> list[str]:
    info = page.recording.info
    span = page.first / info.rate, (page.first + page.samples) / info.rate
    facts = (
        f"{_scale(page)} · filter: {page.paper.filtered or 'none'} · {info.rate:g} Hz · "
        f"{span[0]:.1f} to {span[1]:.1f} s of {info.seconds:.1f} s"
    )
    notice = f"{NOTICE} Each trace is drawn about its median."
    words = [
        text(title, at=(_LEFT, 10), size=5, weight="bold"),
        text(facts, at=(_LEFT, 16)),
        text(notice, at=(_LEFT, _TOP + _HEIGHT + 6), size=3),
    ]
    if page.unscaled:
        said = (
            f"No mV scale: the voltage unit of {', '.join(page.unscaled)} is not known, so each "
            "lead is drawn to its own size."
        )
        words += [
            text(said, at=(_LEFT, 22), colour=WARNING),
            badge("voltage unit unknown", at=(_LEFT + _WIDTH - 42, 10)),
        ]
    return words

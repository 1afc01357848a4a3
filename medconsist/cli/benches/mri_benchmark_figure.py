"""Figures of ``medconsist mri benchmark``: methods as points with intervals, or curves of dose."""

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from medconsist.metrics.report import Estimate
from medconsist.mri.benchmark.panels import Curve, Panel
from medconsist.viewing.traces import document, line, text, trace_path

__all__ = ["figure"]

_WIDTH, _HEIGHT = 100.0, 62.0
_LEFT, _TOP = 20.0, 16.0
_GRID = "#bbb"
_COLOURS = ("#0b5cad", "#c05a00", "#2a7d2e", "#8a2be2", "#a40000", "#00808a", "#7a5c00")
_DASHES = ("", ' stroke-dasharray="1.8 1.2"', ' stroke-dasharray="0.4 1"')
_TICKS = 5
_ROOM = 0.06  # of the range, beyond the outermost values
_LEGEND = 4.2  # height of one line [mm]
_DODGE = 0.9  # between the intervals of curves at one dose [mm]
_DIGIT, _LABEL = 1.7, 2.4  # width of a digit, height of a label [mm]

Box = tuple[float, float, float, float]


def figure(panel: Panel) -> str:
    """Return an SVG of one panel; every mark has the mean and the 95 % interval of its method.

    Parameters
    ----------
    panel
        With at least one curve.
    """
    curves = [curve for curve in panel.curves if curve.is_sound]
    scale = _Scale(panel, curves)
    parts = [text(panel.title, at=(_LEFT, 7), size=3.6, weight="bold"), *_axes(panel, scale)]
    styles = [
        (_COLOURS[n % len(_COLOURS)], _DASHES[n // len(_COLOURS) % len(_DASHES)])
        for n in range(len(curves))
    ]
    for number, (curve, (colour, dashes)) in enumerate(zip(curves, styles, strict=True)):
        dodge = _DODGE * (number - (len(curves) - 1) / 2) if _is_line(curve) else 0.0
        parts += _marks(curve, scale, colour, dashes, dodge)
        parts += _key(curve, number, colour, dashes)
    parts += _numbers(curves, scale, [colour for colour, _ in styles])
    height = _TOP + max(_HEIGHT + 16, 6 + _LEGEND * len(curves))
    return document(
        parts, width_mm=_LEFT + _WIDTH + 42, height_mm=height, name=panel.title, facts={}
    )


def _is_line(curve: Curve) -> bool:
    return len(curve.x) > 1


def _key(curve: Curve, number: int, colour: str, dashes: str) -> Iterator[str]:
    """Give the line of a curve, or the number of a point, and its name."""
    x, y = _LEFT + _WIDTH + 6, _TOP + 3 + _LEGEND * number
    if _is_line(curve):
        yield _dashed(line(f"M{x},{y - 1}h5", kind="key", colour=colour, width=0.6), dashes)
    else:
        yield text(f"{number + 1}", at=(x + 1, y), size=3, colour=colour)
    yield text(curve.name, at=(x + 6.5, y), size=3, colour=colour)


def _numbers(curves: Sequence[Curve], scale: "_Scale", colours: Sequence[str]) -> Iterator[str]:
    """Give each point its number, at the first place beside it that nothing else takes."""
    points = [
        (number, scale.x(curve.x[0]), scale.y(curve.y[0].mean))
        for number, curve in enumerate(curves)
        if not _is_line(curve)
    ]
    taken: list[Box] = [(x - 1, y - 1, x + 1, y + 1) for _, x, y in points]
    for number, x, y in points:
        label = f"{number + 1}"
        width = _DIGIT * len(label)
        sides = (x + 1.2, x - 1.2 - width, x + 4.5, x - 4.5 - width)
        levels = (y - 0.6, y + 2.6, y - 3.0, y + 5.0)
        boxes = [(left, base - _LABEL, left + width, base) for base, left in product(levels, sides)]
        free = (box for box in boxes if not any(_meet(box, other) for other in taken))
        box = next(free, boxes[0])
        taken.append(box)
        yield text(label, at=(box[0], box[3]), size=2.6, colour=colours[number])


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


class _Scale:
    """From values to millimetres."""

    def __init__(self, panel: Panel, curves: Sequence[Curve]) -> None:
        self._log = panel.is_logarithmic
        across = [self._of(x) for curve in curves for x in curve.x]
        up = [value for curve in curves for one in curve.y for value in _limits(one)]
        if not panel.is_logarithmic:
            across.append(0.0)
            up.append(0.0)  # of a loss that begins with none
        self.across, self.up = _range(across), _range(up)

    def _of(self, x: float) -> float:
        return math.log10(x) if self._log else x

    def x(self, value: float) -> float:
        low, high = self.across
        return _LEFT + _WIDTH * (self._of(value) - low) / (high - low)

    def y(self, value: float) -> float:
        low, high = self.up
        return _TOP + _HEIGHT * (1 - (value - low) / (high - low))

    def across_ticks(self) -> list[float]:
        low, high = self.across
        if not self._log:
            return _steps(low, high)
        powers = range(math.floor(low), math.ceil(high) + 1)
        ticks = [m * 10.0**power for power in powers for m in (1, 2, 5)]
        return [tick for tick in ticks if low <= math.log10(tick) <= high]


def _limits(estimate: Estimate) -> tuple[float, ...]:
    low, high = estimate.ci_low, estimate.ci_high
    return (estimate.mean,) if low is None or high is None else (low, estimate.mean, high)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = _ROOM * (high - low) or 0.1 * (abs(high) or 1.0)
    return low - room, high + room


def _steps(low: float, high: float) -> list[float]:
    """Return about five round numbers between two."""
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _axes(panel: Panel, scale: _Scale) -> Iterator[str]:
    for value in _steps(*scale.up):
        y = scale.y(value)
        yield line(f"M{_LEFT},{y:.2f}h{_WIDTH}", kind="grid", colour=_GRID, width=0.15)
        yield text(f"{value:g}", at=(_LEFT - 11, y + 1), size=2.8)
    bottom = _TOP + _HEIGHT
    for value in scale.across_ticks():
        x = scale.x(value)
        yield line(f"M{x:.2f},{bottom:.2f}v1.2", kind="tick", colour=_GRID, width=0.15)
        label = f"{value:g}"
        yield text(label, at=(x - 0.8 * len(label), bottom + 5), size=2.8)  # about the middle
    yield text(panel.across, at=(_LEFT, bottom + 11), size=3.2)
    yield text(f"{panel.upwards} (mean, 95 % interval over scans)", at=(_LEFT, _TOP - 3), size=3.2)


def _marks(curve: Curve, scale: _Scale, colour: str, dashes: str, dodge: float) -> Iterator[str]:
    across = [scale.x(value) + dodge for value in curve.x]
    for x, estimate in zip(across, curve.y, strict=True):
        limits = _limits(estimate)
        low, high = scale.y(min(limits)), scale.y(max(limits))
        yield line(f"M{x:.2f},{low:.2f}V{high:.2f}", kind="interval", colour=colour, width=0.35)
        y = scale.y(estimate.mean)
        cross = f"M{x - 1:.2f},{y:.2f}h2M{x:.2f},{y - 1:.2f}v2"
        yield line(cross, kind="mean", colour=colour, width=0.7)
    if _is_line(curve):
        up = np.array([scale.y(one.mean) for one in curve.y])
        path = trace_path(np.array(across), up)
        yield _dashed(line(path, kind="curve", colour=colour, width=0.45), dashes)


def _dashed(path: str, dashes: str) -> str:
    return path.replace("/>", f"{dashes}/>")

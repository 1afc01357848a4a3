"""The figure of ``medconsist bench alarm``: how many streams have raised the alarm by then."""

from collections.abc import Iterator, Mapping

import numpy as np

from medconsist.metrics.alarm_contest import AlarmContest
from medconsist.metrics.alarm_delay import Delays
from medconsist.viewing.traces import document, line, text, trace_path

__all__ = ["figure"]

_WIDTH, _HEIGHT, _GAP = 66.0, 46.0, 14.0
_LEFT, _TOP = 16.0, 20.0
_COMBINED, _PLAIN, _GRID = "#0b5cad", "#c05a00", "#bbb"
_DASHES = ("", ' stroke-dasharray="1.6 1.2"')


def figure(contests: Mapping[str, AlarmContest], *, limit: int) -> str:
    """Return an SVG with a panel for each domain.

    Parameters
    ----------
    contests
        By the name of the domain.
    limit
        Changed cases after which a stream without an alarm ended; the right end of the axis, which
        is logarithmic.
    """
    parts = list[str]()
    for number, (name, contest) in enumerate(contests.items()):
        left = _LEFT + number * (_WIDTH + _GAP)
        parts += [text(name, at=(left, _TOP - 11), size=4, weight="bold")]
        parts += _axes(left, limit)
        for place, (change, race) in enumerate(contest.races.items()):
            dashes = _DASHES[place % len(_DASHES)]
            low = _TOP - 6.2 + 3.6 * place
            parts.append(_dashed(line(f"M{left},{low - 1}h7", kind="key"), dashes))
            parts.append(text(change, at=(left + 8.5, low), size=2.9))
            for delays, colour in (
                (race.plain_delays, _PLAIN),
                (race.combined_delays, _COMBINED),
            ):
                parts.append(_dashed(_curve(delays, left, limit, colour), dashes))
    middle = _TOP + _HEIGHT + 15
    parts.append(text("cases since the change", at=(_LEFT, middle - 4.5), size=3.2))
    parts.append(text("combined trust score", at=(_LEFT, middle), size=3.2, colour=_COMBINED))
    parts.append(
        text(
            "plain: data residual (MRI), 1 - max softmax (slides, signals)",
            at=(_LEFT + 36, middle),
            size=3.2,
            colour=_PLAIN,
        )
    )
    width = _LEFT + len(contests) * (_WIDTH + _GAP)
    name = "Share of streams that have raised the alarm, by the cases since a planted change"
    return document(parts, width_mm=width, height_mm=middle + 4, name=name, facts={})


def _axes(left: float, limit: int) -> Iterator[str]:
    for share in (0, 0.5, 1):
        y = _TOP + _HEIGHT * (1 - share)
        yield line(f"M{left},{y:.2f}h{_WIDTH}", kind="grid", colour=_GRID, width=0.15)
        yield text(f"{share:.0%}", at=(left - 10, y + 1), size=2.9)
    for cases in (1, 2, 5, 10, 20, 50, 100, 200, 500):
        if cases <= limit:
            x = _x(cases, left, limit)
            yield line(f"M{x:.2f},{_TOP + _HEIGHT:.2f}v1.2", kind="tick", colour=_GRID, width=0.15)
            yield text(str(cases), at=(x - 1, _TOP + _HEIGHT + 5), size=2.9)


def _curve(delays: Delays, left: float, limit: int, colour: str) -> str:
    """Draw the share of streams with an alarm after 1 to ``limit`` cases, as steps."""
    cases = np.arange(1, limit + 1)
    share = (delays[:, None] <= cases).mean(axis=0)
    x = np.array([_x(int(count), left, limit) for count in cases])
    x, share = np.append(np.repeat(x, 2)[1:], left + _WIDTH), np.repeat(share, 2)
    y = _TOP + _HEIGHT * (1 - share)
    return line(trace_path(x, y), kind="curve", colour=colour, width=0.5)


def _x(cases: int, left: float, limit: int) -> float:
    return float(left + _WIDTH * np.log(cases) / np.log(max(limit, 2)))


def _dashed(path: str, dashes: str) -> str:
    return path.replace("/>", f"{dashes}/>")

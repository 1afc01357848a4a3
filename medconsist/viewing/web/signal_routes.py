"""What the signal screen asks for: samples of a recording, and intervals that a program measured.

====================================  ==========================================================
``signal/{number}/samples``           ``start stop points channel montage above below notch``: see
                                      `signal_views.packed`
``signal/{number}/intervals``         ``start`` [s]: RR and QT of an ECG as JSON, or why there are
                                      none
``signal/{number}/bands``             ``start stop`` [s] ``montage above below notch``: band power
                                      as JSON, see `eeg_bands.band_table`
====================================  ==========================================================
"""

import json
import math
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.store import StoredResult
from medconsist.timeseries.recording import InMemoryRecording
from medconsist.viewing.ecg_intervals import AUTOMATIC, ecg_intervals
from medconsist.viewing.eeg_bands import band_table
from medconsist.viewing.signal_traces import recording_of, trace_numbered
from medconsist.viewing.signal_views import RECORDED, Stretch, View, in_view, packed

__all__ = ["SIGNAL_ORIGINALS", "SIGNAL_PATHS", "signal_paths"]

SIGNAL_ORIGINALS = frozenset({"signal/{number}/samples"})
"""Addresses that give what was recorded, so that a sealed ticket is let in."""

SIGNAL_PATHS = ("signal/{number}/samples", "signal/{number}/intervals", "signal/{number}/bands")

_CACHE_BYTES = 256 * 2**20
_DIGITS = 12

Work = Callable[[StoredResult, Any], tuple[bytes, str]]


def signal_paths() -> dict[str, Work]:
    """Return the addresses below a result, each with what it gives."""
    views = _Views()

    def samples(stored: StoredResult, request: Any) -> tuple[bytes, str]:  # noqa: ANN401  starlette
        query, number = request.query_params, _number(request.path_params["number"])
        stretch = Stretch(
            start=_number(query.get("start", "")),
            stop=_number(query.get("stop", "")),
            points=_number(query["points"]) if "points" in query else None,
            channel=_number(query["channel"]) if "channel" in query else None,
        )
        found = views.seen(stored, number, _view(query))
        return packed(found, stretch), "application/octet-stream"

    def intervals(stored: StoredResult, request: Any) -> tuple[bytes, str]:  # noqa: ANN401
        number = _number(request.path_params["number"])
        start_s = _finite(request.query_params.get("start", "0"))
        found = views.seen(stored, number, View())
        return json.dumps(_intervals(found, start_s)).encode(), "application/json"

    def bands(stored: StoredResult, request: Any) -> tuple[bytes, str]:  # noqa: ANN401
        query, number = request.query_params, _number(request.path_params["number"])
        start_s, stop_s = (_finite(query.get(name, "")) for name in ("start", "stop"))
        found = views.seen(stored, number, _view(query))
        millivolts = trace_numbered(stored.result, number).millivolts
        table = band_table(found, start_s=start_s, stop_s=stop_s, millivolts=millivolts)
        return json.dumps(table, allow_nan=False).encode(), "application/json"

    return dict(zip(SIGNAL_PATHS, (samples, intervals, bands), strict=True))


class _Views:
    """Recordings as they are looked at, verified and filtered once; the last ones are kept."""

    def __init__(self) -> None:
        self._kept = OrderedDict[tuple[str, str, int, View], InMemoryRecording]()
        self._lock = Lock()

    def seen(self, stored: StoredResult, number: int, view: View) -> InMemoryRecording:
        """Return a recording in a view.

        Raises
        ------
        MissingInputError
            There is no such recording, or its bytes are not as they were stored.
        RefusedInputError
            The view is not possible.
        """
        trace = trace_numbered(stored.result, number)
        name = (str(stored.folder.path), stored.result.content_sha256, number, view)
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        if view == View():
            found = recording_of(stored, trace)
        else:
            found = in_view(self.seen(stored, number, View()), view)
        with self._lock:
            self._kept[name] = found
            while len(self._kept) > 1 and self._held() > _CACHE_BYTES:
                self._kept.popitem(last=False)
        return found

    def _held(self) -> int:
        return sum(4 * one.info.samples * len(one.info.channels) for one in self._kept.values())


def _view(query: Any) -> View:  # noqa: ANN401  starlette
    return View(
        montage=query.get("montage", RECORDED),
        **{name: _finite(query[name]) for name in ("above", "below", "notch") if name in query},
    )


def _intervals(recording: InMemoryRecording, start_s: float) -> dict[str, Any]:
    try:
        found = ecg_intervals(recording, start_s=start_s)
    except RefusedInputError as error:
        return {"words": str(error), "marks": [], "lead": None, "said": AUTOMATIC}
    return {
        "words": found.words,
        "marks": [list(mark) for mark in found.marks],
        "lead": found.shown,
        "said": AUTOMATIC,
        "qt_ms": found.qt_ms,
        "rr_ms": found.rr_ms,
        "bazett_ms": found.bazett_ms,
        "fridericia_ms": found.fridericia_ms,
    }


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        msg = "recordings, channels and samples are counted from 0."
        raise MissingInputError(msg)
    return int(text)


def _finite(text: str) -> float:
    try:
        value = float(text[:32])
    except ValueError as error:
        msg = "a frequency or a time is a number."
        raise RefusedInputError(msg) from error
    if not math.isfinite(value):
        msg = "a frequency or a time is a finite number."
        raise RefusedInputError(msg)
    return value

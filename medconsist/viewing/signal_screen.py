"""What the signal screen hands to its widget: which recordings, how they may be drawn, and marks.

Samples are not in it; the browser asks for them by the routes of `web.signal_routes`.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medconsist import SIMULATED_NOTE
from medconsist.errors import MedconsistError
from medconsist.results.schema import Result
from medconsist.results.store import StoredResult
from medconsist.review.records import Pin
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS, normalise_channel
from medconsist.viewing.ecg_paper import GAINS, SPEEDS
from medconsist.viewing.markup import NOTICE, readable
from medconsist.viewing.overlay import colour_table
from medconsist.viewing.places import asked_place, sent_pin
from medconsist.viewing.signal_traces import Trace, is_span, traces_of
from medconsist.viewing.signal_views import MOST_VALUES, RECORDED, montage_of, montages

__all__ = ["MONTAGE_TITLES", "SignalPin", "attribution", "pin_of", "place_of", "widget_data"]

MONTAGE_TITLES = {
    RECORDED: "as recorded",
    "double-banana": "bipolar, longitudinal",
    "average": "average reference",
    "laplacian": "Laplacian (Hjorth)",
    "limb-leads": "with limb leads computed from I and II",
}
EEG_SPEEDS = (15.0, 30.0, 60.0)
"""[mm/s]"""
EEG_SENSITIVITIES = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 70.0, 100.0)
"""[uV/mm]"""
_HIGH_PASS = (0.05, 0.1, 0.5, 1.0, 2.0, 5.0)
_LOW_PASS = (15.0, 25.0, 35.0, 40.0, 70.0, 100.0, 150.0)
_NOTCH = (50.0, 60.0)
_MOST_PINS = 500
# Whole notes of recordings: that a model was trained on a simulator says nothing of this person.
_OF_NOBODY = frozenset({SIMULATED_NOTE, "Of a simulator, of no patient."})


@dataclass(frozen=True)
class SignalPin:
    """A comment that hangs at a time.

    Parameters
    ----------
    pin
        First and last second, and the lead.
    text
        What was said.
    author
        By whom.

    Examples
    --------
    >>> SignalPin(Pin(space="time", at=(1.0, 1.4), lead="II"), "ST?", "u1").pin.lead
    'II'
    """

    pin: Pin
    text: str
    author: str


def widget_data(
    stored: StoredResult, *, title: str, is_sealed: bool = False, pins: Sequence[SignalPin] = ()
) -> dict[str, Any]:
    """Return what the widget needs to know, as JSON takes it.

    Parameters
    ----------
    stored
        The result; of a sealed one, the model's part is not read.
    title
        Patient and case.
    is_sealed
        Whether the model's part is hidden.
    pins
        Saved comments.
    """
    traces = traces_of(stored.result)
    return {
        "title": readable(title),
        "notice": NOTICE,
        "simulated": not _OF_NOBODY.isdisjoint(stored.result.notes),
        "recordings": [_recording(trace) for trace in traces],
        "attribution": None if is_sealed else attribution(stored),
        "viridis": colour_table().tolist(),
        "sealed": is_sealed,
        "most": MOST_VALUES,
        "paper": {"speeds": SPEEDS, "gains": GAINS},
        "eeg": {"speeds": EEG_SPEEDS, "gains": EEG_SENSITIVITIES},
        "pins": [_pin(one) for one in pins[:_MOST_PINS] if one.pin.space == "time"],
    }


def attribution(stored: StoredResult) -> dict[str, Any] | None:
    """Return when each window of the model was, and how much it weighed; None where not stored.

    ``attention`` is the window's share of it times the number of windows: 1 is even.
    ``occlusion`` is the probability less that without the window. They say what the model looked
    at, never what is there.
    """
    roles = ("window_start", "window_recording", "attention", "occlusion")
    seconds = stored.result.config.get("window_s")
    if not isinstance(seconds, int | float) or not set(roles) <= set(stored.roles()):
        return None
    try:
        start, recording, attention, occlusion = (stored.array(role) for role in roles)
    except MedconsistError as error:
        return {"problem": readable(str(error))}
    return {
        "seconds": float(seconds),
        "shown": _shown(stored.result),
        "start": _floats(start),
        "recording": recording.tolist(),
        "attention": _floats(attention),
        "occlusion": _floats(occlusion),
    }


def pin_of(committed: object, result: Result) -> Pin | None:
    """Return the place that the widget committed; None where it is none of this result.

    Parameters
    ----------
    committed
        What came from the browser: anything.
    result
        What is on the screen.
    """
    if not isinstance(committed, dict):
        return None
    at: Any = committed.get("at")
    lead, number = committed.get("lead"), committed.get("recording")
    traces = {trace.number: trace for trace in traces_of(result)}
    if not isinstance(number, int) or number not in traces or not is_span(at, traces[number]):
        return None
    if not (lead is None or isinstance(lead, str)):
        return None
    name = None if lead is None else lead[:32]
    if len(traces) > 1:  # a pin has no field for it; counted from 1, as on the screen
        name = f"recording {number + 1}" + ("" if name is None else f", {name}")
    first, last = sorted(map(float, at))
    return Pin(space="time", at=(first, last), lead=name)


def _recording(trace: Trace) -> dict[str, Any]:
    allowed = montages(trace)
    return {
        "number": trace.number,
        "kind": trace.kind,
        "rate": trace.rate,
        "samples": trace.samples,
        "millivolts": trace.millivolts,
        "why": trace.why_no_scale,
        "leads": TWELVE_LEADS if trace.kind == "ecg" else (),
        "montages": [
            {
                "name": name,
                "title": MONTAGE_TITLES[name],
                "why": readable(why),
                "channels": _outputs(trace, name, why),
            }
            for name, why in allowed.items()
        ],
        "above": [one for one in _HIGH_PASS if 2 * one < trace.rate],
        "below": [one for one in _LOW_PASS if 2 * one < trace.rate],
        "notch": [one for one in _NOTCH if 2 * one < trace.rate],
    }


def _outputs(trace: Trace, montage: str, why: str) -> list[str]:
    if why:
        return []
    if montage == RECORDED:
        return [normalise_channel(name) for name in trace.channels]
    return list(montage_of(trace.channels, montage).outputs)


def place_of(asked: object) -> dict[str, Any] | None:
    """Return the place that a reader wants to be shown, as the widget takes it; None for none.

    Parameters
    ----------
    asked
        A `Pin` as plain values, and ``n``, which grows with each time that it is asked for.
    """
    pin, found = sent_pin(asked, "time"), asked_place(asked, "time")
    return None if pin is None or found is None else {**found, **_place(pin)}


def _place(pin: Pin) -> dict[str, Any]:
    said = re.fullmatch(r"recording ([0-9]{1,9})(?:, (.*))?", pin.lead or "")
    return {
        "at": list(pin.at),
        "lead": pin.lead if said is None else said[2],
        "recording": None if said is None else int(said[1]) - 1,
    }


def _pin(one: SignalPin) -> dict[str, Any]:
    return {
        **_place(one.pin),
        "text": readable(one.text, limit=120),
        "author": readable(one.author, limit=40),
    }


def _shown(result: Result) -> str:
    classes = result.config.get("classes")
    last = classes[-1] if isinstance(classes, list | tuple) and classes else ""
    return readable(str(last))


def _floats(values: np.ndarray) -> list[float | None]:
    """Return numbers as JSON takes them: what is not finite is none."""
    return [one if math.isfinite(one) else None for one in values.astype(np.float64).tolist()]

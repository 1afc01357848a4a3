"""Stored results of signals whose every mark is known: pulses of 1 mV, beats, a weighed window."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from medconsist.results.schema import Metric, ModelRecord, Place, ResultFields, Times
from medconsist.results.store import ResultStore, StoredResult
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS

RATE = 500.0
RR_S = 0.8  # 75 bpm
FIRST_R_S = 0.4
EVENT_S, EVENT_LONG_S = 3.2, 0.4
WHEN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
NOTES = (
    "Probabilities of the case: control 0.200, case 0.800.",
    "Over this patient's own 4 trials the probability of case lies in 0.610 to 0.930 (95 %): how "
    "much it hangs on which were recorded, not how sure the model is.",
    "Cannot assess: The model was calibrated on 4 patients; more are needed.",
    "Nearest training trials of other patients: trial 3 of secret-7 (case, 0.412), trial 9 of "
    "secret-2 (control, 0.520), trial 4 of secret-7 (case, 0.533).",
)


def planted_ecg(seconds: float = 12.0) -> np.ndarray:
    """Twelve leads [mV]: beats in all but I, pulses of 1 mV and 0.2 s each second in I.

    Lead II also has a bump of 0.4 mV in the event that the model weighs.
    """
    time = np.arange(round(seconds * RATE)) / RATE
    away = (time - FIRST_R_S + RR_S / 2) % RR_S - RR_S / 2
    beat = np.exp(-((away / 0.012) ** 2)) + 0.25 * np.exp(-(((away - 0.25) / 0.05) ** 2))
    signal = np.repeat(beat[:, None], 12, axis=1)
    signal[:, 0] = ((time - 0.5) % 1.0 < 0.2) & (time >= 0.5)
    event = (time >= EVENT_S) & (time < EVENT_S + EVENT_LONG_S)
    signal[:, 1] = np.where(event, 0.4, 0.0)
    return signal.astype(np.float32)


def write_signals(
    root: Path,
    case: str = "ecg-1",
    *,
    signals: list[np.ndarray] | None = None,
    leads: tuple[str, ...] = TWELVE_LEADS,
    unit: str | None = "mV",
    rate: float = RATE,
    fields: dict[str, Any] | None = None,
) -> StoredResult:
    """Write one result in the layout of ``ts predict`` and make it current."""
    store = ResultStore(root, "signals")
    recorded = [planted_ecg()] if signals is None else signals
    made = ResultFields(**_fields(leads) | (fields or {}))
    windows = np.arange(0, 10, EVENT_LONG_S)
    weighed = np.isclose(windows, EVENT_S)
    with store.draft(case, made.key) as draft:
        by_window = {
            "window_start": windows,
            "window_recording": np.zeros(len(windows), np.int64),
            "attention": np.where(weighed, 4.0, 0.2),
            "occlusion": np.where(weighed, 0.3, -0.01),
        }
        for role, values in by_window.items():
            draft.add_array(role, values, axes=("windows",))
        for number, signal in enumerate(recorded):
            draft.add_array(
                f"signal_{number}",
                signal,
                axes=("time", "channels"),
                unit=unit,
                place=Place(of="recording", unit="s", offset=(0.0,), scale=(1 / rate,)),
                description=f"{', '.join(leads)} of file {number}",
            )
        draft.finish(made)
    store.set_current(case, made.key)
    return store.read(case, made.key)


def _fields(leads: tuple[str, ...]) -> dict[str, Any]:
    numbers: dict[str, Any] = {"n": 1, "unit": "1", "unit_of_analysis": "patient"}
    return {
        "kind": "timeseries.prediction",
        "patient": "p-3",
        "inputs": {"recording_0": "ab" * 32},
        "config": {"leads": list(leads), "classes": ["control", "case"], "window_s": EVENT_LONG_S},
        "model": ModelRecord(name="comet", sha256="cd" * 32, trained_on="cohort-a"),
        "result_version": 2,
        "times": Times(started=WHEN, finished=WHEN),
        "metrics": (
            Metric(name="probability of control", value=0.2, **numbers),
            Metric(name="probability of case", value=0.8, **numbers),
            Metric(
                name="over this patient's trials, case",
                value=0.8,
                unit="1",
                n=4,
                unit_of_analysis="trial",
                ci_low=0.61,
                ci_high=0.93,
            ),
        ),
        "notes": NOTES,
    }

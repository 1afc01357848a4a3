"""Real results of an asymmetric phantom, written by the store's own draft."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from medconsist.results.methods import SHOWN_FIRST
from medconsist.results.schema import Metric, ModelRecord, Result, ResultFields, Times
from medconsist.results.store import ResultStore
from medconsist.results.trust import Score, TrustRecord
from medconsist.viewing.bench.chromium import chromium_browser

AXES = ("slices", "height", "width")
MAPS = ("not_determined", "refutable_contrast", "matched_filter")
REASON = f"{SHOWN_FIRST} compressed sensing. The network's error is above, 2 > 1 sigma^2."
START = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """`AppTest` leaves the page as ``__main__``, which every later spawned process would import."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A Chromium of the module: while one is open, the process can run no other event loop."""
    with chromium_browser(chromium) as browser:
        yield browser


def phantom() -> np.ndarray:
    """Three slices of a letter F on a ramp: no mirror, turn or shift leaves it as it is."""
    volume = np.zeros((3, 48, 40), dtype=np.float32)
    volume[:, 8:40, 10:14] = 1.0
    volume[:, 8:12, 10:30] = 0.8
    volume[:, 20:24, 10:22] = 0.6
    volume += np.linspace(0, 0.1, 40, dtype=np.float32)
    return volume * np.array([1.0, 0.7, 0.5], dtype=np.float32)[:, None, None]


WriteResult = Callable[..., Result]


def network_second() -> dict[str, Any]:
    """Return what a result says in which a simulation-trained network is shown second."""
    settings = {"name": "cirim", "weights_sha256": "cd" * 32}
    asked = {"reconstruction": settings, "cs": _settings(0.005)}
    return {
        "images": {"cirim": 0.9 * _images()["zerofilled"]},
        "methods": {"reconstruction": "cs", "cirim": "cirim", "zerofilled": "zerofilled"},
        "fields": {
            "config": {"methods": asked},
            "model": ModelRecord(name="cirim", sha256="cd" * 32, trained_on="simulation"),
            "notes": (REASON,),
        },
    }


@pytest.fixture(scope="session")
def write_result() -> WriteResult:
    """Return a function that writes one whole result and makes it current."""
    return _write


def _write(
    root: Path,
    case: str = "scan-1",
    *,
    lambda_: float = 0.005,
    minutes: int = 0,
    fields: dict[str, Any] | None = None,
    array: dict[str, Any] | None = None,
    images: dict[str, np.ndarray] | None = None,
    maps: tuple[str, ...] = MAPS,
    methods: dict[str, str] | None = None,
) -> Result:
    store = ResultStore(root, "brain")
    when = START + timedelta(minutes=minutes)
    settings: dict[str, Any] = {
        "kind": "mri.reconstruction",
        "patient": "p-7",
        "inputs": {"kspace": "ab" * 32},
        "config": {"methods": {"reconstruction": _settings(lambda_)}},
        "result_version": 1,
        "times": Times(started=when, finished=when),
        "metrics": (_metric("zerofilled", 0.71), _metric("reconstruction", 0.93)),
        "trust": TrustRecord(scores=_scores(), maps=maps),
        "notes": ("Simulated scan, not a patient.",),
    }
    made = ResultFields(**settings | (fields or {}))
    with store.draft(case, made.key) as draft:
        for role, values in (_images() | (images or {})).items():
            facts = {"method": (methods or {}).get(role), **(array or {})}
            draft.add_array(role, values, axes=AXES, **facts)
        draft.add_array("sampling_mask", _mask(), axes=AXES)
        for role in maps:
            draft.add_array(role, _map(role), axes=AXES, **array or {})
        result = draft.finish(made)
    store.set_current(case, made.key)
    return result


def _settings(lambda_: float) -> dict[str, Any]:
    return {"name": "cs", "lambda_": lambda_, "iterations": 60, "scale": None}


def _images() -> dict[str, np.ndarray]:
    truth = phantom()
    turn = np.exp(1j * np.linspace(0, 1, 40)).astype(np.complex64)
    blurred = 0.5 * truth + 0.25 * (np.roll(truth, 1, -1) + np.roll(truth, -1, -1))
    return {
        "zerofilled": blurred * turn,
        "reconstruction": (0.98 * truth) * turn,
        "reference": truth,
    }


def _mask() -> np.ndarray:
    mask = np.zeros((1, 48, 40), dtype=bool)
    mask[:, ::2] = True
    return mask


def _map(role: str) -> np.ndarray:
    values = np.zeros((3, 48, 40), dtype=np.float32)
    values[:, 30:36, 20:26] = {"matched_filter": -5.0, "refutable_contrast": 0.2}.get(role, 0.15)
    return values


def _metric(role: str, value: float) -> Metric:
    return Metric(
        name="ssim",
        value=value,
        unit="1",
        n=3,
        unit_of_analysis="slice",
        ci_low=value - 0.02,
        ci_high=value + 0.02,
        role=role,
    )


def _scores() -> tuple[Score, ...]:
    return (
        Score(
            name="withheld_error",
            value=1.31,
            unit="sigma^2",
            n=392,
            expectation=1.0,
            meaning="How well the image predicts samples that it never saw.",
        ),
        Score(
            name="residual_chi2",
            value=0.79,
            unit="sigma^2",
            n=4118,
            expectation=0.74,
            p=0.03,
            n_history=40,
            state="outside",
            meaning="An alarm for coil faults and spikes, no image quality.",
        ),
    )

"""A store in a fresh folder, and a small real result to put there."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medconsist.results.schema import Result, ResultFields, Times
from medconsist.results.store import ResultStore
from medconsist.results.trust import Score, TrustRecord

Write = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    """An empty store."""
    return ResultStore(tmp_path / "results", "demo")


@pytest.fixture
def make_fields() -> Callable[..., ResultFields]:
    """Fields of a result with configuration ``lambda_``."""

    def make(lambda_: float = 0.005, **changes: Any) -> ResultFields:
        now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        residual = Score(name="residual", value=0.8, unit="1", n=9, meaning="Fit to the samples.")
        values: dict[str, Any] = {
            "kind": "mri.reconstruction",
            "patient": "patient-1",
            "inputs": {"kspace": "ab" * 32},
            "config": {"method": "cs", "lambda_": lambda_},
            "result_version": 1,
            "seed": 0,
            "times": Times(started=now, finished=now, steps_s={"read": 0.5}),
            "trust": TrustRecord(scores=(residual,), settings={"probes": 2}),
        }
        return ResultFields(**values | changes)

    return make


@pytest.fixture
def image() -> np.ndarray[Any, np.dtype[np.complex64]]:
    """An asymmetric complex image, slices height width."""
    values = np.arange(2 * 5 * 7, dtype=np.float32).reshape(2, 5, 7)
    return (values - 1j * values[::-1]).astype(np.complex64)


@pytest.fixture
def write(store: ResultStore, make_fields: Callable[..., ResultFields], image: Any) -> Write:
    """Write a result of a case and return it."""

    def write_one(case: str = "head", lambda_: float = 0.005, **changes: Any) -> Result:
        fields = make_fields(lambda_, **changes)
        with store.draft(case, fields.key) as draft:
            axes = ("slices", "height", "width")
            draft.add_array("reconstruction", image, axes=axes, spacing_mm=(None, 1.0, 0.5))
            draft.add_array("reference", np.abs(image), axes=axes, unit="a.u.")
            return draft.finish(fields)

    return write_one

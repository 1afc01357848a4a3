"""Finished cases without arrays, written whole by the store or, where many, as the store would."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from medconsist.results.schema import Result, ResultFields, Times, sealed_bytes
from medconsist.results.store import ResultStore
from medconsist.results.trust import Score

START = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


def fields_of(*, minutes: float = 0, seed: int = 1, **values: Any) -> ResultFields:
    """Return the fields of a result that was finished so many minutes after `START`."""
    when = START + timedelta(minutes=minutes)
    settings: dict[str, Any] = {
        "kind": "mri.reconstruction",
        "inputs": {"kspace": "ab" * 32},
        "config": {"seed": seed},
        "result_version": 1,
        "times": Times(started=when, finished=when),
    }
    return ResultFields(**settings | values)


def finish(root: Path, case: str, *, study: str = "brain", **values: Any) -> Result:
    """Let the store write one result and make it the current one."""
    store, made = ResultStore(root, study), fields_of(**values)
    with store.draft(case, made.key) as draft:
        result = draft.finish(made)
    store.set_current(case, result.key)
    return result


def many(root: Path, n: int, *, study: str = "brain") -> None:
    """Write many cases as the store lays them out, without waiting for the disk."""
    for i in range(n):
        made = fields_of(minutes=i * 7 % n, patient=f"p-{i % 97:03d}")
        values = {name: getattr(made, name) for name in ResultFields.model_fields}
        result = Result(**values, study=study, case=f"scan-{i:05d}", arrays=())
        folder = root / study / result.case / made.key
        folder.mkdir(parents=True)
        (folder / "result.json").write_bytes(sealed_bytes(result))
        (folder.parent / "current").write_text(f"{made.key}\n")


def score(state: str, p: float | None = None) -> Score:
    """Return a trust score in this state."""
    n = 0 if p is None else 99
    return Score.model_validate(
        {"name": f"{state} score", "value": 1.5, "unit": "1", "n": 9, "meaning": "A test."}
        | {"state": state, "p": p, "n_history": n}
    )

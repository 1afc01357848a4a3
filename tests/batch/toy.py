"""A small work for batches: hashes for a while, stores an array; every fault on request."""

import hashlib
import os
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from medconsist._digests import canonical_json, sha256_of_bytes, sha256_of_path
from medconsist.batch.work import Case, Finished, Work, Worker
from medconsist.errors import (
    BudgetError,
    CorruptInputError,
    NoMppError,
    NoTissueError,
    UnsupportedInputError,
)
from medconsist.results.digests import result_key
from medconsist.results.schema import ResultFields, Times
from medconsist.results.store import ResultStore

STUDY = "toy"
CONFIG: dict[str, Any] = {"task": "toy.hash"}
FAULTS = {
    "corrupt": CorruptInputError("the file ends early; copy it again."),
    "no mpp": NoMppError("the slide does not say its microns per pixel; give --mpp."),
    "no tissue": NoTissueError("nothing is on the slide; look at it."),
    "unsupported": UnsupportedInputError("nothing here reads this; convert it."),
    "out of memory": BudgetError("the header claims 9 TB; raise the budget."),
    "failed": KeyError("rows"),
}


@dataclass(frozen=True)
class Toy(Work):
    """Stores what follows from the bytes of a file."""

    root: Path
    seconds: float = 0.0

    def open(self, device: str) -> "ToyWorker":
        assert device == "cpu"
        return ToyWorker(self)

    def find(self, case: Case) -> str | None:
        key = key_of(case.source)
        store = ResultStore(self.root, STUDY)
        return key if store.is_done(case.spec["case"], key) else None


class ToyWorker(Worker):
    """Computes, or fails as the spec says."""

    def __init__(self, toy: Toy) -> None:
        self._toy = toy

    def run(self, case: Case) -> Finished:
        with (self._toy.root / "runs.log").open("a") as log:
            log.write(f"{case.id} {os.getpid()}\n")
        act(case.spec.get("fault", ""), Path(case.spec.get("once", "")))
        store = ResultStore(self._toy.root, STUDY)
        values = work_on(case.source.read_bytes(), self._toy.seconds)
        now = datetime.now(UTC)
        key = key_of(case.source)
        fields = ResultFields(
            kind="toy.hash",
            patient=case.id,
            item=case.spec["item"],
            inputs={"file": sha256_of_path(case.source)},
            config=CONFIG,
            result_version=1,
            times=Times(started=now, finished=now),
        )
        with store.draft(case.spec["case"], key) as draft:
            draft.add_array("values", values, axes=("rows", "columns"))
            draft.finish(fields)
        store.set_current(case.spec["case"], key)
        return Finished(key, items=len(values))


def act(fault: str, once: Path) -> None:
    """Do what a fault is; with ``once`` only the first time."""
    if once.name:
        if once.exists():
            return
        once.touch()
    if fault in FAULTS:
        raise FAULTS[fault]
    if fault == "hang":
        time.sleep(600)
    if fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)


def work_on(data: bytes, seconds: float) -> np.ndarray[Any, Any]:
    """Return an array that follows from the bytes, after so many seconds of this core."""
    end = time.process_time() + seconds
    block = bytes(1 << 16)
    while time.process_time() < end:
        hashlib.sha256(block).digest()
    digest = hashlib.sha256(data).digest()
    return np.frombuffer(digest * 32, dtype=np.uint8).reshape(32, 32)


def key_of(path: Path) -> str:
    digest = sha256_of_path(path)
    return result_key(inputs={"file": digest}, config=CONFIG, model_sha256=None, result_version=1)


def cases_in(folder: Path, count: int, **spec: Any) -> list[Case]:
    """Write small files and return a case for each; later ones are bigger."""
    folder.mkdir(parents=True, exist_ok=True)
    return [case_of(folder, number, **spec) for number in range(count)]


def case_of(folder: Path, number: int, **spec: Any) -> Case:
    path = folder / f"input-{number:03d}.bin"
    path.write_bytes(f"case {number}".encode() + bytes(number))
    known = {
        "case": f"case-{number:03d}",
        "item": "file",
        "config_sha256": sha256_of_bytes(canonical_json(CONFIG)),
    }
    return Case(
        id=f"toy-{number:03d}",
        spec={**known, **spec},
        size=path.stat().st_size,
        input=str(path),
    )


def stored(root: Path) -> dict[str, str]:
    """Return case/key to the sha256 of the array of every finished result."""
    store = ResultStore(root, STUDY)
    return {
        f"{case}/{key}": store.read(case, key).record("values").sha256
        for case in store.cases()
        for key in store.keys(case)
        if not store.verify(case, key)
    }


def runs(root: Path) -> list[str]:
    """Return the ids in the order in which workers began with them."""
    return [line.split()[0] for line in (root / "runs.log").read_text().splitlines()]

"""Work for the tests of engines: a result is one small file, and a case says what befalls it."""

import os
import signal
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from medconsist.batch.engine import Event
from medconsist.batch.work import Case, Finished, Work, Worker
from medconsist.errors import (
    CorruptInputError,
    NoMppError,
    NoTissueError,
    StorageError,
    UnsupportedInputError,
)

POISONS = {
    "corrupt": CorruptInputError,
    "no mpp": NoMppError,
    "no tissue": NoTissueError,
    "unsupported": UnsupportedInputError,
    "out of memory": MemoryError,
    "failed": KeyError,
}


@dataclass(frozen=True)
class Toy(Work):
    """Writes ``<out>/<id>`` with a hash of the id; ``trace`` gets a line for each try."""

    out: Path
    refuses_to_open: bool = False

    @property
    def trace(self) -> Path:
        return self.out.with_name("trace")

    def find(self, case: Case) -> str | None:
        path = self.out / case.id
        key = sha256(case.id.encode()).hexdigest()
        return key if path.is_file() and path.read_text() == key else None

    def open(self, device: str) -> "ToyWorker":
        if self.refuses_to_open:
            msg = "the model is gone"
            raise StorageError(msg)
        return ToyWorker(self, device)


@dataclass
class ToyWorker(Worker):
    """Does what the case says, after it has left a trace."""

    work: Toy
    device: str

    def run(self, case: Case) -> Finished:
        with self.work.trace.open("a") as trace:
            trace.write(f"{case.id} {os.getpid()}\n")
        what = case.spec
        if what.get("poison"):
            raise POISONS[what["poison"]](f"{case.id} is poisoned")
        first = self.work.out / f".{case.id}.first"
        if (what.get("dies") or what.get("hangs")) and (what.get("always") or not first.exists()):
            first.touch()
            if what.get("dies"):
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        time.sleep(what.get("seconds", 0))
        key = sha256(case.id.encode()).hexdigest()
        temporary = self.work.out / f".{case.id}.{os.getpid()}"
        temporary.write_text(key)
        temporary.replace(self.work.out / case.id)
        return Finished(key, items=2)


@dataclass
class Told:
    """Collects events, and is the report of an engine."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, *kinds: str) -> list[str]:
        """Return the ids of the cases with such an event, in the order of the events."""
        return [event.case for event in self.events if event.kind in kinds]

    def reasons(self) -> dict[str, str]:
        """Return the reason of each case that was set aside."""
        return {event.case: event.reason for event in self.events if event.kind == "quarantined"}


def toy(folder: Path) -> Toy:
    """Return work whose results lie in ``folder``."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    return Toy(out)


def cases(n: int, **spec: object) -> list[Case]:
    """Return ``n`` cases of the same kind."""
    return [Case(id=f"c{number}", spec=dict(spec)) for number in range(n)]


def tried(work: Toy) -> list[str]:
    """Return the ids of the cases in the order in which workers began with them."""
    return [line.split()[0] for line in work.trace.read_text().splitlines()]

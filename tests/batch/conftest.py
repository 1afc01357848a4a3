"""What the tests of engines share: a stand-in for SLURM, a Ray cluster, and what was told."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from medconsist.batch.engine import Event
from medconsist.batch.ray_cluster import ray_cluster

COMMANDS = Path(__file__).with_name("fake_slurm")


@dataclass
class Told:
    """The report of an engine: keeps what it is told."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, *kinds: str) -> list[str]:
        """Return the ids of the cases with such an event, in the order of the events."""
        return [event.case for event in self.events if event.kind in kinds]

    def reasons(self) -> dict[str, str]:
        """Return the reason of each case that was set aside."""
        return {event.case: event.reason for event in self.events if event.kind == "quarantined"}


@dataclass(frozen=True)
class FakeSlurm:
    """The stand-in as a test sees it."""

    root: Path

    def jobs(self) -> list[Path]:
        """Return the folders of the jobs, in the order of their submission."""
        return sorted((self.root / "jobs").glob("*"))

    def past(self, job: Path) -> list[str]:
        """Return how the tasks of a job have ended, each time that they did."""
        tasks = json.loads((job / "past.json").read_text()).values()
        return [state for task in tasks for state in task]

    def await_end(self, job: Path, seconds: float = 30.0) -> list[str]:
        """Wait until a task of a job has ended, and return how it did."""
        until = time.monotonic() + seconds
        while not self.past(job) and time.monotonic() < until:
            time.sleep(0.05)
        return self.past(job)

    def calls(self) -> int:
        """Return how often sacct was asked."""
        path = self.root / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def run(self, *command: str) -> str:
        """Run one of the commands."""
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def end(self) -> None:
        """Cancel all, and wait until the controllers have left."""
        for job in self.jobs():
            if (job / "controller.pid").exists():
                self.run("scancel", job.name)
        until = time.monotonic() + 30
        while time.monotonic() < until and any(self._lives(job) for job in self.jobs()):
            time.sleep(0.05)
        assert not any(self._lives(job) for job in self.jobs())

    def _lives(self, job: Path) -> bool:
        command = Path("/proc", (job / "controller.pid").read_text(), "cmdline")
        # A controller whose parent waits for nobody stays as a zombie without a command line.
        return command.exists() and b"controller.py" in command.read_bytes()


@pytest.fixture
def fake_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    """The stand-in, first on the path; nothing of it runs on after the test."""
    fake = FakeSlurm(tmp_path / "fake_slurm")
    monkeypatch.setenv("FAKE_SLURM_ROOT", str(fake.root))
    monkeypatch.setenv("FAKE_SLURM_LIFE", "180")
    monkeypatch.setenv("PATH", f"{COMMANDS}{os.pathsep}{os.environ['PATH']}")
    yield fake
    fake.end()


@pytest.fixture(scope="module")
def ray_of_module() -> Iterator[None]:
    """A Ray cluster that the engines of one module share."""
    with ray_cluster(workers=2):
        yield

"""Cases one after the other in this process: for a few, and the least that an engine can be."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from medconsist.batch.attempt import Station
from medconsist.batch.engine import Engine, Event, Limits, Report
from medconsist.batch.work import Case, Work

__all__ = ["InlineEngine"]


class InlineEngine(Engine):
    """Runs cases in the order given, here; no worker can be lost and no hang be ended.

    Parameters
    ----------
    device
        Where the worker computes.

    Examples
    --------
    >>> InlineEngine(device="cpu").workers
    1
    """

    name = "inline"

    def __init__(self, *, device: str = "cpu") -> None:
        self._device = device

    def run(
        self, work: Work, cases: Sequence[Case], *, folder: Path, report: Report, limits: Limits
    ) -> None:
        """Run all cases; see `Engine.run`."""
        station = Station(work, folder=folder, limits=limits, device=self._device)
        waiting = deque(cases)
        while waiting:
            case = waiting.popleft()
            report(Event(kind="started", case=case.id))
            event = station.attempt(case)
            report(event)
            if event.kind == "stopped":
                return
            if not event.ended:
                waiting.append(case)

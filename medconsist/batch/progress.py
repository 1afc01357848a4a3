"""How far a batch is: counted from its events, shown as one line."""

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from io import TextIOBase
from threading import Lock

from medconsist._records import Record
from medconsist.batch.engine import Event
from medconsist.batch.work import Case

__all__ = ["Progress", "ProgressLine", "Tally"]

_TERMINAL_S = 0.2  # between two lines on a terminal
_PLAIN_S = 30.0  # in a file


class Progress(Record):
    """Where a batch stands.

    Parameters
    ----------
    cases
        All of them.
    done, found, quarantined
        Computed now, done before, and set aside.
    retrying
        Failed, and waiting for another attempt.
    running
        Ids of the cases that workers are busy with.
    items, seconds, items_per_second
        Tiles, slices or windows that were computed now, since the start.
    eta_s
        Seconds that are left [s], by the bytes of the inputs; None before the first case is done.

    Examples
    --------
    >>> Progress(cases=2, done=1, eta_s=63.2).text
    '1 of 2 cases, 0 items/s, 0:01:03 left'
    """

    cases: int
    done: int = 0
    found: int = 0
    quarantined: int = 0
    retrying: int = 0
    running: tuple[str, ...] = ()
    items: int = 0
    seconds: float = 0.0
    items_per_second: float = 0.0
    eta_s: float | None = None

    @property
    def ended(self) -> int:
        """Cases that need nothing more."""
        return self.done + self.found + self.quarantined

    @property
    def text(self) -> str:
        """One line."""
        counts = {
            "done before": self.found,
            "set aside": self.quarantined,
            "to be tried again": self.retrying,
        }
        said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        text = f"{self.ended} of {self.cases} cases{f' ({said})' if said else ''}"
        text += f", {self.items_per_second:.3g} items/s"
        if self.eta_s is not None and self.ended < self.cases:
            text += f", {timedelta(seconds=round(self.eta_s))} left"
        return text


@dataclass(eq=False)
class Tally:
    """Counts events; may be asked from another thread.

    Parameters
    ----------
    cases
        All cases of the batch.
    workers
        How many run at once.

    Examples
    --------
    >>> tally = Tally([Case(id="a"), Case(id="b")], workers=1)
    >>> tally.take(Event(kind="done", case="a", key="0" * 64, items=3, seconds=1.0))
    >>> tally.progress().done, tally.progress().items
    (1, 3)
    """

    cases: Iterable[Case]
    workers: int
    _left: dict[str, int] = field(init=False)
    _running: dict[str, None] = field(init=False, default_factory=dict)
    _retrying: set[str] = field(init=False, default_factory=set)
    _counts: dict[str, int] = field(init=False, default_factory=dict)
    _lock: Lock = field(init=False, default_factory=Lock)

    def __post_init__(self) -> None:
        self._left = {case.id: max(case.size, 1) for case in self.cases}
        self._total = len(self._left)
        self._start = time.monotonic()
        self._bytes, self._busy_s, self._items = 0, 0.0, 0

    def take(self, event: Event) -> None:
        """Count one event."""
        with self._lock:
            self._retrying.discard(event.case)
            if event.kind == "started":
                self._running[event.case] = None
                return
            self._running.pop(event.case, None)
            if event.kind == "failed":
                self._retrying.add(event.case)
            size = self._left.pop(event.case, 0) if event.ended else 0
            self._counts[event.kind] = self._counts.get(event.kind, 0) + bool(size)
            if event.kind == "done":
                self._bytes += size
                self._busy_s += event.seconds
                self._items += event.items

    def progress(self) -> Progress:
        """Return where the batch stands now."""
        with self._lock:
            seconds = time.monotonic() - self._start
            eta = None
            if self._bytes:
                eta = self._busy_s / self._bytes * sum(self._left.values()) / self.workers
            return Progress(
                cases=self._total,
                done=self._counts.get("done", 0),
                found=self._counts.get("found", 0),
                quarantined=self._counts.get("quarantined", 0),
                retrying=len(self._retrying),
                running=tuple(self._running),
                items=self._items,
                seconds=seconds,
                items_per_second=self._items / seconds if seconds else 0.0,
                eta_s=eta,
            )


class ProgressLine:
    r"""Shows progress: on a terminal one line that changes, in a file a line now and then.

    Parameters
    ----------
    stream
        By default stderr.

    Examples
    --------
    >>> from io import StringIO
    >>> text = StringIO()
    >>> ProgressLine(text).show(Progress(cases=1))
    >>> text.getvalue()
    '0 of 1 cases, 0 items/s\n'
    """

    def __init__(self, stream: TextIOBase | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._next = 0.0

    def show(self, progress: Progress) -> None:
        """Show it if it is time, or if it is the last."""
        now = time.monotonic()
        last = progress.ended == progress.cases
        if now < self._next and not last:
            return
        self._next = now + (_TERMINAL_S if self._is_terminal else _PLAIN_S)
        line = f"\r\x1b[K{progress.text}" if self._is_terminal else f"{progress.text}\n"
        self._stream.write(line + ("\n" if last and self._is_terminal else ""))
        self._stream.flush()

    def clear(self) -> None:
        """Make room for another line on a terminal."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
            self._next = 0.0

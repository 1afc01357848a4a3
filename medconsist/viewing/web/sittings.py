"""Idle time-out: a sitting in which nothing was done for fifteen minutes is over."""

import time
from collections.abc import Callable
from threading import Lock

__all__ = ["IDLE_SECONDS", "Sittings"]

IDLE_SECONDS = 900
"""Fifteen minutes, as a ticket and the lock on a case hold."""

_MOST = 10_000


class Sittings:
    """When each window of the page, or a route for it, was last used; threads may share it.

    Parameters
    ----------
    clock
        Gives seconds.
    seconds
        A sitting without use for longer is over, and stays so.

    Examples
    --------
    >>> now = [0.0]
    >>> sittings = Sittings(clock=lambda: now[0])
    >>> sittings.touch("s1")
    >>> now[0] = 901.0
    >>> sittings.is_over("s1"), sittings.is_over("s2")
    (True, False)
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, seconds: int = IDLE_SECONDS
    ) -> None:
        self._clock = clock
        self._last = dict[str, float]()
        self._ended = dict[str, float]()  # and when
        self._lock = Lock()
        self.seconds = seconds

    def touch(self, session: str) -> None:
        """Write down that a sitting was used; one that is over stays over."""
        with self._lock:
            if not self._is_over(session):
                self._last[session] = self._clock()
            if len(self._last) > _MOST:
                self._forget()

    def end(self, session: str) -> None:
        """End a sitting."""
        with self._lock:
            self._ended[session] = self._clock()
            self._last.pop(session, None)

    def is_over(self, session: str) -> bool:
        """Say whether a sitting is over; one that nobody has used yet is not."""
        with self._lock:
            return self._is_over(session)

    def now(self) -> float:
        """Return the time of the clock, in seconds."""
        return self._clock()

    def idle(self, session: str) -> float:
        """Return for how many seconds a sitting was not used."""
        with self._lock:
            return self._clock() - self._last.get(session, self._clock())

    def _is_over(self, session: str) -> bool:
        last = self._last.get(session)
        is_idle = last is not None and self._clock() - last > self.seconds
        return is_idle or session in self._ended

    def _forget(self) -> None:
        """Drop the older half, and those that ended so long ago that their tickets ran out."""
        now = self._clock()
        self._ended = {name: at for name, at in self._ended.items() if now - at <= self.seconds}
        by_time = sorted(self._last.items(), key=lambda pair: pair[1])
        self._last = dict(by_time[len(by_time) // 2 :])

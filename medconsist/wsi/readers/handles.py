"""Handles of a C library: few, lent to one thread at a time, never used again after an error."""

import os
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from medconsist.errors import RefusedInputError

__all__ = ["HandlePool"]

_POOLS: "weakref.WeakSet[HandlePool]" = weakref.WeakSet()
# Handles that a child inherited: freeing them there could wait for ever on a lock that was held in
# the parent at the moment of the fork, so they are kept and never touched.
_INHERITED: list[Any] = []


class HandlePool:
    """Open handles of one file, opened when they are first needed.

    A handle is lent to one thread at a time. Whoever ends its loan by an exception ends the handle:
    an OpenSlide handle that met one broken tile answers every later call with the same error. The
    last returned is lent first; no more than ``capacity`` are ever open, further threads wait.
    After a fork the child starts with an empty pool.

    Parameters
    ----------
    opener, closer
        Open one handle, close one handle.
    capacity
        Most handles open at a time, 1 or more.

    Raises
    ------
    RefusedInputError
        Capacity below 1, or a loan from a closed pool.

    Examples
    --------
    >>> pool = HandlePool(opener=lambda: [1, 2], closer=list.clear, capacity=1)
    >>> with pool.lend() as handle:
    ...     handle[0]
    1
    """

    def __init__(
        self, *, opener: Callable[[], Any], closer: Callable[[Any], None], capacity: int = 8
    ) -> None:
        if capacity < 1:
            msg = f"a pool holds 1 handle or more, got the capacity {capacity}."
            raise RefusedInputError(msg)
        self._opener, self._closer, self.capacity = opener, closer, capacity
        self._idle: list[Any] = []
        self._closed = False
        self.opened = 0
        self._reset_locks()
        _POOLS.add(self)

    @contextmanager
    def lend(self) -> Generator[Any, None, None]:
        """Lend a handle to the calling thread; an exception inside ends the handle."""
        with self._places:
            handle = self._take()
            try:
                yield handle
            except BaseException:
                self._closer(handle)
                raise
            self._give_back(handle)

    @property
    def idle(self) -> int:
        """Handles that are open and not lent."""
        return len(self._idle)

    def close(self) -> None:
        """Close the idle handles now and the lent ones when they come back."""
        with self._lock:
            self._closed = True
            handles, self._idle = self._idle, []
        for handle in handles:
            self._closer(handle)

    def _take(self) -> Any:  # noqa: ANN401  whatever the opener returns
        with self._lock:
            if self._closed:
                msg = "the slide is closed; open it again."
                raise RefusedInputError(msg)
            if self._idle:
                return self._idle.pop()
            self.opened += 1
        return self._opener()

    def _give_back(self, handle: object) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(handle)
                return
        self._closer(handle)

    def _reset_locks(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(self.capacity)

    def _forget(self) -> None:
        """Start anew in a forked child."""
        self._reset_locks()
        _INHERITED.extend(self._idle)
        self._idle = []


def _forget_all() -> None:
    for pool in list(_POOLS):
        pool._forget()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget_all)

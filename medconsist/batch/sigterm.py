"""SIGTERM for the length of a block."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["sigterm_as_ctrl_c"]


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end the batch as Ctrl-C does, with its report; a handler of others stays.

    Examples
    --------
    >>> before = signal.getsignal(signal.SIGTERM)
    >>> with sigterm_as_ctrl_c():
    ...     pass
    >>> signal.getsignal(signal.SIGTERM) == before
    True
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

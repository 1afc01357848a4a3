"""What step a job is at, and how long each took."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["timed"]

_LOG = logging.getLogger(__name__)


@contextmanager
def timed(steps: dict[str, float], name: str) -> Iterator[None]:
    """Log the name of a step and add the seconds of its block to ``steps[name]``, unless it raises.

    Examples
    --------
    >>> steps = {}
    >>> with timed(steps, "read"):
    ...     pass
    >>> list(steps)
    ['read']
    """
    _LOG.info("%s ...", name)
    begin = time.perf_counter()
    yield
    steps[name] = steps.get(name, 0.0) + time.perf_counter() - begin

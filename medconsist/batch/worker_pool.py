"""Work over a list in processes of one thread each, told as it gets on."""

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

__all__ = ["Run", "worker_pool"]

logger = logging.getLogger(__name__)

_TOLD = 100  # times that a long list is told of, about

Run = Callable[[str, Callable[[Any], Any], Sequence[Any]], list[Any]]
"""What the work is called, a function of one argument, and what it is called with, in order."""


@contextmanager
def worker_pool(count: int) -> Iterator[Run]:
    """Give a map over processes of one thread each; with one worker, over this process.

    Parameters
    ----------
    count
        Processes, 1 or more. Functions and items must be such as travel to another process.
    """
    if count == 1:
        yield lambda what, function, items: _followed(what, map(function, items), len(items))
        return
    # spawned, as torch's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_one_thread) as pool:
        try:
            yield lambda what, function, items: _followed(
                what, pool.map(function, items), len(items)
            )
        finally:
            pool.shutdown(cancel_futures=True)  # what waits in line does not run after a failure


def _followed(what: str, values: Iterable[Any], total: int) -> list[Any]:
    found, every = [], max(1, total // _TOLD)
    for number, value in enumerate(values, start=1):
        if number % every == 0 or number == total:
            logger.info("%s: %d of %d ...", what, number, total)
        found.append(value)
    return found


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)

"""The process of a local worker: takes cases from a pipe, and leaves when its driver does."""

import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

from medconsist.batch.attempt import Station
from medconsist.batch.engine import Limits
from medconsist.batch.work import Work

__all__ = ["READY", "Order", "serve", "thread_variables"]

READY = "ready"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a worker is told once.

    Parameters
    ----------
    work, folder, limits, device
        See `Station`.

    Examples
    --------
    >>> Order.__dataclass_params__.frozen
    True
    """

    work: Work
    folder: Path
    limits: Limits
    device: str


def serve(link: Connection, threads: int, asked: bool) -> None:  # noqa: FBT001  a process's target
    """Answer each case that comes through ``link`` with its event, until None or the end comes.

    Parameters
    ----------
    link
        Brings an `Order`, then cases.
    threads
        Of this process where it computes on the CPU.
    asked
        Whether the user named that number; else what the user's environment says goes first.
    """
    os.setpgid(0, 0)  # what this process starts can then be ended with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's: it ends this process
    Thread(target=_leave_with_driver, daemon=True).start()
    sys.stdout = sys.stderr  # the driver's stdout is for its answer alone
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    # Before the order is unpickled: that imports torch, which reads these once.
    os.environ.update(thread_variables(threads, {} if asked else os.environ))
    try:
        order: Order = link.recv()
        station = Station(order.work, folder=order.folder, limits=order.limits, device=order.device)
        link.send(READY)
        while (case := link.recv()) is not None:
            link.send(station.attempt(case))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def thread_variables(threads: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which every library takes as many CPU threads as the others.

    Parameters
    ----------
    threads
        Where the environment names none.
    environment
        What it names stays; what it does not name follows the first that it does.

    Examples
    --------
    >>> thread_variables(4, {"OMP_NUM_THREADS": "1"})["MKL_NUM_THREADS"]
    '1'
    """
    said = next((environment[name] for name in _THREADS if name in environment), str(threads))
    return {name: environment.get(name, said) for name in _THREADS}


def _leave_with_driver() -> None:
    """End this process and what it started at once when the driver ends, however that was."""
    driver = parent_process()
    if driver is not None:
        connection.wait([driver.sentinel])
        os.killpg(0, signal.SIGKILL)

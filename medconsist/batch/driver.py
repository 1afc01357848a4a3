"""The process that drives a batch: alone on its study, and heard of while it lives."""

import fcntl
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Literal

from pydantic import AwareDatetime, Field

from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._records import Record, read_record
from medconsist.batch.progress import Progress
from medconsist.errors import RefusedInputError, StorageError

__all__ = ["Heartbeat", "beating", "driver_lives", "one_driver", "read_heartbeat"]

_BEAT_S = 2.0
_PATIENCE_S = 1.0  # `status` holds the lock for a moment when it looks
_SILENT_S = 60.0  # where locks are not carried, a driver silent for so long is dead
_LOCK = "driver.lock"
_HEARTBEAT = "driver.json"

logger = logging.getLogger(__name__)


class Heartbeat(Record):
    """What a driver says every two seconds.

    Parameters
    ----------
    state
        ``ended`` is written by a driver that came to its end; one that was killed says nothing.
    engine, workers
        What runs the cases.
    progress
        Where the batch stands.
    host, pid, started, time
        Who says so, and when by the clock of that machine.

    Examples
    --------
    >>> Heartbeat(state="running", engine="local", workers=2, progress=Progress(cases=3),
    ...           started=datetime.now(UTC)).progress.cases
    3
    """

    state: Literal["running", "ended"]
    engine: str
    workers: int
    progress: Progress
    started: AwareDatetime
    host: str = Field(default_factory=socket.gethostname)
    pid: int = Field(default_factory=os.getpid)
    time: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


@contextmanager
def one_driver(folder: Path) -> Iterator[None]:
    """Hold the lock of a study's batch; the kernel frees that of a driver that was killed.

    Two drivers would compute cases twice for the same results, so that the second one is refused.

    Raises
    ------
    RefusedInputError
        Another driver is at work; names its host and process id.
    StorageError
        The folder is not writable.
    """
    path = folder / _LOCK
    with storage_errors(path):
        file = path.open("a")
    with file:
        _lock(file.fileno(), folder)
        yield


@contextmanager
def beating(folder: Path, beat: Callable[[str], Heartbeat]) -> Iterator[None]:
    """Write a heartbeat at once, every two seconds, and at the end.

    Parameters
    ----------
    folder
        Batch folder of the study.
    beat
        Returns the heartbeat of this state.

    Raises
    ------
    StorageError
        The first one could not be written; later ones are left out silently, as a disk that is
        full is what the batch itself reports.
    """
    _write(folder, beat("running"))
    over = Flag()

    def keep_beating() -> None:
        while not over.wait(_BEAT_S):
            _try_to_write(folder, beat("running"))

    thread = Thread(target=keep_beating, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _try_to_write(folder, beat("ended"))


def read_heartbeat(folder: Path) -> Heartbeat | None:
    """Return what the last driver said last, None if there was none."""
    path = folder / _HEARTBEAT
    if not path.is_file():
        return None
    with storage_errors(path, doing="read"):
        data = path.read_bytes()
    return read_record(Heartbeat, data, source=str(path))


def driver_lives(folder: Path) -> bool:
    """Say whether a driver holds the lock of this study's batch."""
    path = folder / _LOCK
    if not path.is_file():
        return False
    with storage_errors(path, doing="read"), path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return _heard_of(folder)
        return False


def _lock(descriptor: int, folder: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() < end:
                time.sleep(_PATIENCE_S / 20)
                continue
            raise RefusedInputError(_taken(folder)) from error
        except OSError as error:
            logger.warning(
                "%s does not carry locks (%s): take care that no second batch runs on this study",
                folder,
                error.strerror,
            )
        return


def _taken(folder: Path) -> str:
    heartbeat = read_heartbeat(folder)
    who = "" if heartbeat is None else f" (process {heartbeat.pid} on {heartbeat.host})"
    study = folder.parent.name
    return (
        f"another batch is at work on study {study}{who}. Wait for it (medconsist batch status "
        f"{folder.parent.parent} --study {study}), or give this one another --study."
    )


def _heard_of(folder: Path) -> bool:
    heartbeat = read_heartbeat(folder)
    if heartbeat is None or heartbeat.state == "ended":
        return False
    return abs((datetime.now(UTC) - heartbeat.time).total_seconds()) < _SILENT_S


def _write(folder: Path, heartbeat: Heartbeat) -> None:
    atomic_write_bytes(folder / _HEARTBEAT, heartbeat.model_dump_json().encode())


def _try_to_write(folder: Path, heartbeat: Heartbeat) -> None:
    try:
        _write(folder, heartbeat)
    except StorageError as error:
        logger.debug("no heartbeat: %s", error)

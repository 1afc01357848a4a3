"""The viewer served for a while on loopback: for its tests, its bench and its pictures."""

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medconsist.errors import StorageError
from medconsist.viewing.launch import command
from medconsist.viewing.web.settings import ViewerSettings

__all__ = ["free_port", "serving", "started"]

_READY_S = 60  # a cold start on shared cores
_END_S = 20


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@contextmanager
def serving(settings: ViewerSettings, log: Path, *, port: int | None = None) -> Iterator[str]:
    """Serve the viewer; yield its address; end that process alone. See `started`."""
    number = port or free_port()
    with started(settings, log, port=number):
        yield f"http://127.0.0.1:{number}"


@contextmanager
def started(
    settings: ViewerSettings, log: Path, *, port: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the viewer and wait until it answers; yield its process, and end it.

    Parameters
    ----------
    settings
        What it shows.
    log
        Where its output goes.
    port
        Of the loopback interface.

    Raises
    ------
    StorageError
        It does not answer within a minute; the end of its log is in the message.
    """
    with (
        log.open("wb") as stream,
        subprocess.Popen(  # noqa: S603  our own program
            command(settings, port),
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings.environment},
        ) as server,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}", server, log)
            yield server
        finally:
            server.terminate()
            server.wait(_END_S)


def _wait(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/_stcore/health").close()  # noqa: S310  loopback
        except OSError:
            time.sleep(0.1)
        else:
            return
    msg = f"the viewer did not start: {log.read_text(errors='replace')[-2000:]}"
    raise StorageError(msg)

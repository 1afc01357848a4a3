"""What every disposable process has in common: limits, one answer per request, typed refusals.

Protocol, for each line of JSON on standard input: one line of JSON on standard output, then the
raw bytes of the arrays that it announces. A refusal is ``{"error": class, "message": text}``.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from medconsist.errors import MedconsistError

__all__ = ["Answer", "limit_resources", "serve"]

_BASE_MEMORY = 2**30
_BASE_SECONDS = 30
_BYTES_PER_SECOND = 2**25  # slow gzip on a busy core

Answer = Callable[[dict[str, Any]], Iterator[bytes]]


def serve(open_file: Callable[[dict[str, Any]], AbstractContextManager[Answer]]) -> None:
    """Open the file that the first line names, then answer that line and every further one.

    Parameters
    ----------
    open_file
        Takes the first request (with ``path`` and ``budget_bytes``) and gives what answers all
        of them, as an iterator of bytes whose first item is the line of JSON.
    """
    out = sys.stdout.buffer
    first = json.loads(sys.stdin.readline())
    limit_resources(int(first["budget_bytes"]))
    started = False
    try:
        # What a parser prints must not pass for samples.
        with contextlib.redirect_stdout(sys.stderr), open_file(first) as answer:
            request: dict[str, Any] | None = first
            while request is not None:
                started = False
                for piece in answer(request):
                    out.write(piece)
                    started = True
                out.flush()
                line = sys.stdin.readline()
                request = json.loads(line) if line else None
    except MedconsistError as error:
        if started:  # text must not pass for samples: the parent counts bytes and misses some
            sys.exit(1)
        said = {"error": type(error).__name__, "message": str(error)}
        out.write(json.dumps(said).encode() + b"\n")
    out.flush()


def limit_resources(budget_bytes: int) -> None:
    """Bound memory, time, files and core dumps of this process, where the system can."""
    with contextlib.suppress(ImportError):
        import resource

        seconds = _BASE_SECONDS + budget_bytes // _BYTES_PER_SECOND
        for what, most in (
            (resource.RLIMIT_AS, 2 * budget_bytes + _BASE_MEMORY),
            (resource.RLIMIT_CPU, seconds),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_NOFILE, 64),
            (resource.RLIMIT_CORE, 0),
        ):
            # Some systems refuse single limits (macOS: address space); the others still hold.
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(what, (most, most))

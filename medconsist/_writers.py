"""Who is writing: a tag in a temporary name that tells whether its writer is still alive."""

import hashlib
import os
import re
import secrets
import socket
from pathlib import Path

__all__ = ["is_abandoned", "writer_tag"]

_TAG = re.compile(r"(?P<place>[0-9a-f]{8})-(?P<pid>[0-9]{1,10})-[0-9a-f]{8}")


def writer_tag() -> str:
    """Return ``place-pid-random`` of this process, for the name of a draft or temporary file."""
    return f"{_place()}-{os.getpid()}-{secrets.token_hex(4)}"


def is_abandoned(name: str) -> bool:
    """Say whether ``name`` carries the tag of a process of this machine that has ended.

    Drafts of another machine on a shared disk are never called abandoned: their process cannot be
    seen from here. A process id that was given to a new process keeps its draft, on the safe side.
    """
    found = _TAG.search(name)
    if found is None or found["place"] != _place():
        return False
    return not _is_alive(int(found["pid"]))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _place() -> str:
    # Two containers can share a host name and a disk but not their process ids.
    namespace = Path("/proc/self/ns/pid")
    inode = str(namespace.readlink()) if namespace.is_symlink() else ""
    return hashlib.sha256(f"{socket.gethostname()}\n{inode}".encode()).hexdigest()[:8]

"""How much memory a process holds and held at most, as Linux counts it."""

from pathlib import Path

from medconsist.errors import UnsupportedInputError

__all__ = ["peak_bytes", "resident_bytes", "restart_peak"]

_PROCESS = Path("/proc/self")


def restart_peak() -> None:
    """Let `peak_bytes` begin anew at what is held now.

    Raises
    ------
    UnsupportedInputError
        The system does not count it.
    """
    _refuse_other_systems()
    (_PROCESS / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the most memory that this process held since its start or `restart_peak` [bytes].

    Raises
    ------
    UnsupportedInputError
        As `restart_peak`.

    Examples
    --------
    >>> peak_bytes() >= resident_bytes() > 0
    True
    """
    return _status("VmHWM")


def resident_bytes() -> int:
    """Return the memory that this process holds now [bytes].

    Raises
    ------
    UnsupportedInputError
        As `restart_peak`.
    """
    return _status("VmRSS")


def _status(name: str) -> int:
    _refuse_other_systems()
    lines = (_PROCESS / "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _refuse_other_systems() -> None:
    if not (_PROCESS / "clear_refs").exists():
        msg = "peak memory is read from /proc/self, which this system lacks; run this on Linux."
        raise UnsupportedInputError(msg)

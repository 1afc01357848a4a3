"""Memory of a process: the peak begins anew, and keeps what was held since."""

import mmap
from pathlib import Path

import pytest

from medconsist.errors import UnsupportedInputError
from medconsist.results import resident
from medconsist.results.resident import peak_bytes, resident_bytes, restart_peak

MIB = 2**20


def hold(mebibytes: int) -> None:
    """Touch fresh pages, which no earlier test of this process has left for reuse."""
    with mmap.mmap(-1, mebibytes * MIB) as pages:
        for start in range(0, len(pages), mmap.PAGESIZE):
            pages[start] = 1


def test_peak_is_what_was_held_since_it_began() -> None:
    hold(100)
    restart_peak()
    before = peak_bytes()
    hold(50)
    assert 40 * MIB < peak_bytes() - before < 80 * MIB
    assert resident_bytes() <= peak_bytes()


def test_a_system_that_does_not_count_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resident, "_PROCESS", tmp_path)
    with pytest.raises(UnsupportedInputError, match="run this on Linux"):
        peak_bytes()

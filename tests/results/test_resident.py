"""Memory of a process: the peak begins anew, and keeps what was held since."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import UnsupportedInputError
from medconsist.results import resident
from medconsist.results.resident import peak_bytes, resident_bytes, restart_peak

MIB = 2**20


def test_peak_is_what_was_held_since_it_began() -> None:
    np.ones(100 * MIB, np.uint8)
    restart_peak()
    before = peak_bytes()
    np.ones(50 * MIB, np.uint8)
    assert 40 * MIB < peak_bytes() - before < 80 * MIB
    assert resident_bytes() <= peak_bytes()


def test_a_system_that_does_not_count_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resident, "_PROCESS", tmp_path)
    with pytest.raises(UnsupportedInputError, match="run this on Linux"):
        peak_bytes()

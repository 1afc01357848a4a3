"""The table of band power writes numbers as a reader writes them."""

import math

import numpy as np
import pytest

from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.viewing.eeg_bands import band_table

RATE, SECONDS = 250.0, 8.0


@pytest.mark.parametrize(
    ("power", "shown"),
    [(12.344, "12.34"), (999.96, "1000"), (9999.6, "10000"), (1.5e6, "1500000")],
)
def test_a_large_power_has_no_power_of_ten(power: float, shown: str) -> None:
    time = np.arange(int(SECONDS * RATE)) / RATE
    wave = math.sqrt(2 * power) * np.sin(2 * np.pi * 10 * time)
    info = RecordingInfo(rate=RATE, channels=("Cz",), units=("uV",), samples=len(time))
    recording = InMemoryRecording(info, wave[:, None].astype(np.float32))
    table = band_table(recording, start_s=0.0, stop_s=SECONDS, millivolts=1e-3)
    ((_, _, _, alpha, _),) = table["rows"]
    assert alpha == f"{shown} · 100.0 %"

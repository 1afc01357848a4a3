"""ECG-like leads with known beats, and the real records that tests of beats read."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo

BEATS = ("N", "A", "V")  # the beats of MIT-BIH 100; "+" is a note on the rhythm


def simulated_ecg(
    rate: float, *, leads: int = 3, beats: int = 20, seed: int = 1
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return ``time leads`` in mV and the sample of each R peak, of a slightly irregular rhythm."""
    drawn = np.random.default_rng(seed)
    times = 0.6 + np.cumsum(np.concatenate([[0.0], drawn.uniform(0.7, 0.9, beats - 1)]))
    at = np.arange(round((times[-1] + 0.6) * rate)) / rate
    r_wave = np.exp(-(((at[:, None] - times) / 0.012) ** 2)).sum(axis=1)
    t_wave = np.exp(-(((at[:, None] - times - 0.25) / 0.05) ** 2)).sum(axis=1)
    gains = np.linspace(0.6, 1.4, leads)
    signal = (r_wave + 0.2 * t_wave)[:, None] * gains
    signal += 0.01 * drawn.normal(size=signal.shape)
    return signal.astype(np.float32), np.rint(times * rate).astype(np.int64)


def wfdb_recording(path: Path) -> InMemoryRecording:
    """Return a record of the shared data as wfdb reads it: an oracle beside our own readers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what pandas 3 has deprecated
        record = require("wfdb", extra="timeseries").rdrecord(str(path))
    info = RecordingInfo(
        rate=float(record.fs),
        channels=tuple(record.sig_name),
        units=tuple(record.units),
        samples=len(record.p_signal),
        patient=path.name,
        trial="1",
        source=f"WFDB {path.name}",
    )
    return InMemoryRecording(info, record.p_signal.astype(np.float32))


def reference_beats(path: Path) -> npt.NDArray[np.int64]:
    """Return the samples at which the annotators of a WFDB record saw a beat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what pandas 3 has deprecated
        found = require("wfdb", extra="timeseries").rdann(str(path), "atr")
    return found.sample[np.isin(found.symbol, BEATS)].astype(np.int64)

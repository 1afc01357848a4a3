"""Windows of simulated patients, and of the sixteen real ones, for these tests."""

from pathlib import Path

import numpy as np

from medconsist.timeseries.window_set import WindowSet, WindowTable

VALUES = 12


def simulated(
    *,
    patients: int = 8,
    trials: int = 3,
    windows: int = 2,
    effect: float = 4.0,
    identity: float = 0.5,
    seed: int = 0,
    sites: bool = False,
) -> WindowSet:
    """Half of the patients have the class effect on the first value; each has an offset."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), trials * windows)
    label = patient % 2
    signals = rng.standard_normal((len(patient), 1, VALUES))
    signals += identity * rng.standard_normal((patients, 1, VALUES))[patient]
    signals[:, 0, 0] += effect * label
    table = WindowTable(
        patient=patient,
        trial=np.repeat(np.arange(patients * trials), windows),
        start=np.tile(np.arange(windows), patients * trials),
        label=label,
        patients=tuple(f"p{n:02d}" for n in range(patients)),
        classes=("control", "case"),
        sites=tuple(f"site {n // 2 % 2}" if sites else None for n in range(patients)),
    )
    return of(signals, table)


def of(signals: np.ndarray, table: WindowTable) -> WindowSet:
    channels = tuple(f"c{n}" for n in range(signals.shape[2]))
    return WindowSet(
        signals.astype(np.float32),
        table,
        rate=256.0,
        channels=channels,
        units=("uV",) * len(channels),
    )


def smni(data_dir: Path) -> WindowSet:
    """The sixteen patients, each trial one window."""
    folder = data_dir / "timeseries" / "smni_eeg"
    labels = np.load(folder / "Label" / "label.npy")
    parts = [np.load(folder / "Feature" / f"feature_{number:02d}.npy") for _, number in labels]
    patient = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    table = WindowTable(
        patient=patient,
        trial=np.arange(len(patient)),
        start=np.zeros(len(patient), np.int64),
        label=labels[:, 0].astype(np.int64)[patient],
        patients=tuple(str(number) for _, number in labels),
        classes=("control", "alcoholic"),
        sites=(None,) * len(parts),
    )
    return of(np.concatenate(parts), table)

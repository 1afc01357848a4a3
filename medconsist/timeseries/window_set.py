"""Windows of many patients, with whose they are: what training and evaluation are given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from medconsist.errors import RefusedInputError

__all__ = ["UNKNOWN", "WindowSet", "WindowTable"]

UNKNOWN = -1  # the label of a window whose class is not known, or hidden


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowTable:
    """Whose each window is, and where in its trial; numbers index the tuples of names.

    Parameters
    ----------
    patient
        Index into ``patients``. Ids are names, so that no id is ever rounded.
    trial
        Number of the trial (recording), unique over all patients.
    start
        First sample of the window within its trial.
    label
        Index into ``classes``, or -1 where it is not known.
    patients
        Opaque ids.
    classes
        Names; of positive and negative, the positive one last.
    sites
        Where each patient comes from, None where that is not known; one a patient.

    Raises
    ------
    RefusedInputError
        Columns of different lengths, an index without a name, a name twice, a trial of two
        patients, or a patient with two labels.

    Examples
    --------
    >>> zero, one = np.zeros(2, np.int64), np.arange(2)
    >>> table = WindowTable(patient=one, trial=one, start=zero, label=one,
    ...                     patients=("a", "b"), classes=("control", "case"), sites=(None, None))
    >>> table.patient_labels.tolist()
    [0, 1]
    """

    patient: Int64[npt.NDArray[np.int64], " windows"]
    trial: Int64[npt.NDArray[np.int64], " windows"]
    start: Int64[npt.NDArray[np.int64], " windows"]
    label: Int64[npt.NDArray[np.int64], " windows"]
    patients: tuple[str, ...]
    classes: tuple[str, ...]
    sites: tuple[str | None, ...]

    def __post_init__(self) -> None:
        fault = _fault(self)
        if fault:
            raise RefusedInputError(fault)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.patient)

    @property
    def patient_labels(self) -> Int64[npt.NDArray[np.int64], " patients"]:
        """Label of each patient; -1 where it is not known or the patient has no window."""
        labels = np.full(len(self.patients), UNKNOWN, np.int64)
        labels[self.patient] = self.label
        return labels

    def take(self, rows: Int64[npt.NDArray[np.int64], " rows"]) -> "WindowTable":
        """Return the table of some windows; names stay, so that indices keep their meaning."""
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return replace(self, **columns)


_COLUMNS = ("patient", "trial", "start", "label")


class WindowSet:
    """Windows of one length, rate and list of channels; the samples may lie in a mapped file.

    Parameters
    ----------
    signals
        ``windows time channels``, float32 or float16; an array or a memory map.
    table
        One row a window.
    rate
        Samples per second.
    channels, units
        As in `RecordingInfo`; a unit is None where it is not known, as after z-scoring.
    fingerprint
        sha256 that stands for samples, table and preparation; empty where there is none.
    rows
        Which rows of ``signals`` these windows are; None takes all.

    Raises
    ------
    RefusedInputError
        Sizes that do not belong together.

    Examples
    --------
    >>> zero, one = np.zeros(2, np.int64), np.arange(2)
    >>> table = WindowTable(patient=one, trial=one, start=zero, label=one,
    ...                     patients=("a", "b"), classes=("control", "case"), sites=(None, None))
    >>> windows = WindowSet(np.zeros((2, 8, 1), np.float32), table, rate=100.0, channels=("II",),
    ...                     units=("mV",))
    >>> windows.of_patients([1]).batch().shape
    torch.Size([1, 8, 1])
    """

    def __init__(
        self,
        signals: npt.NDArray[np.float32] | npt.NDArray[np.float16],
        table: WindowTable,
        *,
        rate: float,
        channels: tuple[str, ...],
        units: tuple[str | None, ...],
        fingerprint: str = "",
        rows: Int64[npt.NDArray[np.int64], " windows"] | None = None,
    ) -> None:
        self.signals = signals
        self.table = table
        self.rate = rate
        self.channels = channels
        self.units = units
        self.fingerprint = fingerprint
        self.rows = np.arange(len(signals)) if rows is None else rows
        _refuse_sizes(self)

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.rows)

    @property
    def samples(self) -> int:
        """Length of a window."""
        return int(self.signals.shape[1])

    def batch(self, rows: Sequence[int] | npt.NDArray[np.int64] | None = None) -> Tensor:
        """Return windows as a float32 tensor ``windows time channels`` on the CPU, a copy.

        Parameters
        ----------
        rows
            Places within this set, in the order wanted; None returns all.
        """
        chosen = self.rows if rows is None else self.rows[np.asarray(rows, np.int64)]
        return torch.from_numpy(np.ascontiguousarray(self.signals[chosen], np.float32))

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> "WindowSet":
        """Return some windows of this set, without copying samples."""
        chosen = np.asarray(rows, np.int64)
        return self._with(self.table.take(chosen), self.rows[chosen])

    def of_patients(self, patients: Sequence[int] | npt.NDArray[np.int64]) -> "WindowSet":
        """Return the windows of some patients, by their index."""
        return self.take(np.flatnonzero(np.isin(self.table.patient, np.asarray(patients))))

    def without_labels(self) -> "WindowSet":
        """Return the same windows with every label hidden."""
        hidden = np.full(len(self), UNKNOWN, np.int64)
        return self._with(replace(self.table, label=hidden), self.rows)

    def with_patient_labels(self, labels: Int64[npt.NDArray[np.int64], " patients"]) -> "WindowSet":
        """Return the same windows with patients relabelled, as a permutation test does."""
        return self._with(replace(self.table, label=labels[self.table.patient]), self.rows)

    def _with(self, table: WindowTable, rows: npt.NDArray[np.int64]) -> "WindowSet":
        return WindowSet(
            self.signals,
            table,
            rate=self.rate,
            channels=self.channels,
            units=self.units,
            fingerprint=self.fingerprint,
            rows=rows,
        )

    def features(self) -> Float32[npt.NDArray[np.float32], "windows values"]:
        """Return each window as one row of all its values."""
        return np.asarray(self.batch().flatten(1).numpy())


def _fault(table: WindowTable) -> str:
    lengths = {name: len(getattr(table, name)) for name in _COLUMNS}
    if len(set(lengths.values())) > 1:
        return f"the columns of a table of windows have the lengths {lengths}; give them one."
    for name, names in (("patients", table.patients), ("classes", table.classes)):
        if len(set(names)) != len(names):
            return f"{name} are named twice in {list(names)[:5]}; name each once."
    if len(table.sites) != len(table.patients):
        return f"{len(table.sites)} sites for {len(table.patients)} patients; give one each."
    if not len(table):
        return ""
    if table.patient.min() < 0 or table.patient.max() >= len(table.patients):
        return f"a patient has number {table.patient.max()}, of {len(table.patients)} patients."
    if table.label.min() < UNKNOWN or table.label.max() >= len(table.classes):
        return (
            f"labels are {table.label.min()} to {table.label.max()}; allowed: -1 (not known) to"
            f" {len(table.classes) - 1}."
        )
    for column, what in ((table.trial, "trial"), (table.patient, "patient")):
        other = table.patient if what == "trial" else table.label
        pairs = np.unique(np.stack([column, other], 1), axis=0)
        again = np.flatnonzero(np.diff(pairs[:, 0]) == 0)
        if len(again):
            shared = "patients" if what == "trial" else "labels"
            return f"{what} {pairs[again[0], 0]} has two {shared}; allowed is one."
    return ""


def _refuse_sizes(windows: WindowSet) -> None:
    shape = windows.signals.shape
    if windows.signals.ndim != 3 or len(windows.rows) != len(windows.table):
        msg = (
            f"signals have shape {shape} and {len(windows.rows)} rows, the table "
            f"{len(windows.table)}; allowed: (windows, time, channels), one row of the table each."
        )
        raise RefusedInputError(msg)
    if shape[2] != len(windows.channels) or len(windows.units) != len(windows.channels):
        msg = (
            f"{shape[2]} channels of samples, {len(windows.channels)} names and "
            f"{len(windows.units)} units; give one name and one unit (or None) each."
        )
        raise RefusedInputError(msg)

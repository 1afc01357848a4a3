"""Which clean cases and planted faults ``medconsist bench alarm-faults`` makes for which alarm."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from medconsist.viewing.alarm_rows import RowOfBench

__all__ = ["FAULT_BENCH", "FAULT_CASES", "RAISED", "FaultCase", "fault_rows"]

FAULT_BENCH = "alarm-faults"
RAISED = "raised"

Rate = Literal["false", "true"]


@dataclass(frozen=True)
class FaultCase:
    """One kind of case that an alarm was tried on.

    Parameters
    ----------
    name
        Of what makes it, in the bench.
    rate
        ``false``: nothing is wrong with it; ``true``: a fault was planted.
    condition
        In words.
    kind
        How the kinds of result begin that it says something of.

    Examples
    --------
    >>> FAULT_CASES["no_card"][0].rate
    'false'
    """

    name: str
    rate: Rate
    condition: str
    kind: str = ""

    def row_name(self, alarm: str) -> str:
        """Return the first column of its row."""
        return f"{alarm}, {self.condition}"


def _clean(name: str, condition: str, kind: str = "") -> FaultCase:
    return FaultCase(name, "false", condition, kind)


def _fault(name: str, condition: str, kind: str = "") -> FaultCase:
    return FaultCase(name, "true", condition, kind)


_MRI, _SIGNALS = "mri.", "timeseries."

FAULT_CASES: Mapping[str, tuple[FaultCase, ...]] = MappingProxyType(
    {
        "stored_bytes": (
            _clean("as_written", "results as they were written"),
            _fault("bit_of_json", "one bit of result.json flipped"),
            _fault("bit_of_array", "one bit of a file of an array flipped"),
            _fault("cut", "one file of the result cut short"),
            _fault("gone", "one file of an array deleted"),
        ),
        "no_history": (
            _clean("long", "40 to 80 earlier cases", _MRI),
            _fault("short", "0 to 18 earlier cases", _MRI),
        ),
        "cannot_assess": (
            _clean("alike", "patients like those of training, of classes far apart", _SIGNALS),
            _fault("swap", "electrodes RA and LA swapped", _SIGNALS),
            _fault("device", "noise of another device", _SIGNALS),
        ),
        "network_behind": (
            _clean("ahead", "scans in which the network is nearer to the reference", _MRI),
            _fault("behind", "scans in which compressed sensing is nearer to it", _MRI),
        ),
        "no_card": (
            _clean("with_card", "weights that name a card", _MRI),
            _fault("without", "weights that name none", _MRI),
        ),
        "own_patient": (
            _clean("new", "patients that no training has seen", _SIGNALS),
            _fault("trained", "patients of the training", _SIGNALS),
            _fault("renamed", "patients of the training under another id", _SIGNALS),
        ),
        "simulation_trained": (
            _clean("scans", "weights trained on measured scans", _MRI),
            _fault("simulation", "weights trained on the simulator", _MRI),
            _fault("then_scan", "weights of the simulator, then trained on scans", _MRI),
        ),
        "kept_start": (
            _clean("untrained", "untrained network, scans to learn from", _MRI),
            _fault("noise", "scans of white noise alone", _MRI),
        ),
        "random_weights": (
            _clean("colours", "an encoder without weights"),
            _clean("given", "weights from a file"),
            _fault("random", "--encoder resnet18-random"),
        ),
        "not_assessed": (
            _clean("he", "drawn H&E slides"),
            _fault("fluorescence", "drawn fluorescence slides"),
            _fault("ihc", "drawn ihc slides, whose folds cannot be told"),
        ),
        "other_engine": (
            _clean("jpeg", "drawn slides in JPEG tiles"),
            _fault("deflate", "drawn slides in deflated tiles"),
            _fault("pixel_compared", "one pixel off in a tile that is compared"),
            _fault("pixel_anywhere", "one pixel off anywhere on a slide of 192 tiles"),
        ),
        "swapped_arms": (
            _clean("hearts", "simulated hearts, 12 leads", _SIGNALS),
            _clean("unlike", "simulated hearts, twice as unlike each other", _SIGNALS),
            _fault("swap", "the same with RA and LA swapped", _SIGNALS),
        ),
        "orientation_unknown": (
            _clean("ismrmrd", "ISMRMRD with directions", _MRI),
            _fault("ismrmrd_without", "ISMRMRD without directions", _MRI),
            _fault("fastmri", "layout of fastMRI, which has none", _MRI),
            _fault("numpy", "NumPy array", _MRI),
            _fault("mirrored", "ISMRMRD with two directions the wrong way round", _MRI),
        ),
        "spacing_unknown": (
            _clean("ismrmrd", "ISMRMRD with a field of view", _MRI),
            _clean("fastmri", "layout of fastMRI with a header", _MRI),
            _fault("ismrmrd_without", "ISMRMRD without a field of view", _MRI),
            _fault("fastmri_without", "layout of fastMRI without a header", _MRI),
            _fault("numpy", "NumPy array", _MRI),
            _fault("doubled", "ISMRMRD with twice the field of view", _MRI),
        ),
        "mpp_unknown": (
            _clean("svs", "SVS that says it"),
            _clean("tiff", "TIFF that says it"),
            _fault("svs_without", "SVS that says none"),
            _fault("tiff_without", "TIFF that says none"),
            _fault("implausible", "100 times the true value"),
            _fault("halved", "half the true value"),
        ),
        "voltage_unknown": (
            _clean("hdf5", "HDF5 with units", _SIGNALS),
            _clean("csv", "CSV with units", _SIGNALS),
            _fault("hdf5_without", "HDF5 without units", _SIGNALS),
            _fault("csv_without", "CSV without units", _SIGNALS),
            _fault("several", "one lead in uV, the others in mV", _SIGNALS),
            _fault("wrong", "samples in uV that are called mV", _SIGNALS),
        ),
        "test_reopened": (
            _clean("first", "the first opening"),
            _clean("same", "a second opening for the same weights"),
            _fault("other", "a second opening for other weights"),
            _fault("deleted", "the same, the record of the first deleted"),
        ),
    }
)
"""Alarm to the cases that it was tried on."""


def fault_rows(alarm: str) -> tuple[RowOfBench, ...]:
    """Return the rows of the rates of an alarm; none of one that the bench does not try."""
    return tuple(
        RowOfBench(
            rate=case.rate,
            bench=FAULT_BENCH,
            case=case.row_name(alarm),
            metric=RAISED,
            condition=case.condition,
            kind=case.kind,
        )
        for case in FAULT_CASES.get(alarm, ())
    )

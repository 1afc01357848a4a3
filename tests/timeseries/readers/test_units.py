"""Spellings of units, and voltages into one another."""

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.units import (
    KNOWN_UNITS,
    in_unit,
    known_unit,
    normalise_unit,
    require_one_unit,
    volts,
)
from medconsist.timeseries.recording import RecordingInfo


@pytest.mark.parametrize("text", ["mV", "mv", " mV "])
def test_spellings_of_millivolts_are_one(text: str) -> None:
    assert normalise_unit(text) == "mV"


@pytest.mark.parametrize("text", ["uV", "uv", "µV", "μV"])
def test_spellings_of_microvolts_are_one(text: str) -> None:
    assert normalise_unit(text) == "uV"


@pytest.mark.parametrize("text", [None, "", "NU", "nu", "MV", "UV", "a.u.", "mV/s", "adu"])
def test_what_is_not_surely_known_is_unknown(text: str | None) -> None:
    assert normalise_unit(text) is None


@pytest.mark.parametrize("unit", KNOWN_UNITS)
def test_normal_spellings_stay_as_they_are(unit: str) -> None:
    assert normalise_unit(unit) == unit


def test_an_unknown_unit_that_is_given_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"'MV' is not known; allowed: V, mV"):
        known_unit("MV")
    with pytest.raises(RefusedInputError, match="not known"):
        ReadOptions(unit="NU")


@pytest.mark.parametrize("unit", ["V", "mV", "uV", "nV"])
def test_conversion_there_and_back_is_the_identity(unit: str) -> None:
    signal = np.array([[1.5, -2.25, 0.125]], np.float32)
    there = in_unit(signal, ("mV",) * 3, unit)
    # Two roundings to float32.
    assert np.allclose(in_unit(there, (unit,) * 3, "mV"), signal, rtol=3e-7)
    assert np.allclose(there, signal * (1e-3 / volts(unit)), rtol=1e-6)


def test_channels_of_several_units_come_out_in_one() -> None:
    signal = np.ones((2, 3), np.float32)
    assert in_unit(signal, ("V", "mV", "uV"), "mV")[0].tolist() == pytest.approx([1000, 1, 0.001])


@pytest.mark.parametrize("unit", [None, "mmHg"])
def test_what_is_no_voltage_is_not_converted(unit: str | None) -> None:
    with pytest.raises(RefusedInputError, match="is no known voltage"):
        in_unit(np.ones((1, 1), np.float32), (unit,), "mV")
    with pytest.raises(RefusedInputError, match="is no known voltage"):
        in_unit(np.ones((1, 1), np.float32), ("mV",), "mmHg")


def info(**units: str | None) -> RecordingInfo:
    return RecordingInfo(
        rate=1.0, channels=tuple(units), units=tuple(units.values()), samples=1, source="CSV a.csv"
    )


def test_channels_of_another_kind_may_have_another_unit() -> None:
    found = info(I="mV", V5="mV", PLETH=None, Fp1="uV", Cz="uV")
    assert require_one_unit(found, "ecg") == "mV"
    assert require_one_unit(found, "eeg") == "uV"
    assert require_one_unit(found, "other") is None


@pytest.mark.parametrize("other", ["uV", None])
def test_leads_of_two_units_are_refused(other: str | None) -> None:
    with pytest.raises(RefusedInputError, match=r"a\.csv: ecg channels have the units"):
        require_one_unit(info(I="mV", II=other), "ecg")


def test_a_kind_that_is_not_there_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"none of .* is known to be eeg"):
        require_one_unit(info(I="mV"), "eeg")

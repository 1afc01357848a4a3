"""Recordings of one set agree on leads, units and rate, or the odd one is named."""

import numpy as np
import pytest

from medconsist.errors import CorruptInputError, RefusedInputError
from medconsist.timeseries.harmonise import common_leads, in_common
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo


def _recording(
    channels: tuple[str, ...] = ("I", "II"),
    units: tuple[str | None, ...] = ("mV", "mV"),
    *,
    source: str = "a.hea",
    rate: float = 500.0,
) -> InMemoryRecording:
    info = RecordingInfo(rate=rate, channels=channels, units=units, samples=2, source=source)
    values = np.arange(2 * len(channels), dtype=np.float32).reshape(2, -1)
    return InMemoryRecording(info, values)


def test_leads_are_ordered_by_name() -> None:
    first, second = _recording(), _recording(("II", "I"))
    common = common_leads([first.info, second.info], rate=250.0)
    new = in_common(second, common)
    assert new.info.channels == ("I", "II")
    np.testing.assert_array_equal(new.read(), second.read()[:, ::-1])


def test_millivolt_and_microvolt_become_one() -> None:
    first, second = _recording(), _recording(units=("uV", "V"))
    common = common_leads([first.info, second.info], rate=250.0)
    assert common.units == ("mV", "mV")
    np.testing.assert_allclose(in_common(second, common).read()[1], [0.002, 3000.0], rtol=1e-6)


def test_samples_too_large_for_the_common_unit_are_refused() -> None:
    first, second = _recording(units=("uV", "uV")), _recording(units=("V", "V"))
    huge = InMemoryRecording(second.info, np.full((2, 2), 3e38, np.float32))
    with pytest.raises(CorruptInputError, match=r"a\.hea holds 4 values .* larger than float32"):
        in_common(huge, common_leads([first.info], rate=250.0))


@pytest.mark.parametrize("units", [(None, None), ("mmHg", "%")])
def test_equal_units_need_no_voltage(units: tuple[str | None, ...]) -> None:
    common = common_leads([_recording(units=units).info] * 2, rate=250.0)
    assert common.units == units


@pytest.mark.parametrize("first", [True, False])
def test_known_and_unknown_units_are_not_mixed(first: bool) -> None:
    infos = [_recording().info, _recording(units=("mV", None), source="b.hea").info]
    with pytest.raises(RefusedInputError, match=r"II.*Known and unknown cannot be mixed"):
        common_leads(infos if first else infos[::-1], rate=250.0)


def test_units_that_cannot_be_converted_are_refused() -> None:
    infos = [_recording().info, _recording(units=("mV", "mmHg"), source="b.hea").info]
    with pytest.raises(RefusedInputError, match=r"b\.hea: the unit of II is 'mmHg', .* 'mV'"):
        common_leads(infos, rate=250.0)


def test_a_missing_lead_names_file_and_lead() -> None:
    infos = [_recording().info, _recording(("I", "V1"), source="b.hea").info]
    with pytest.raises(RefusedInputError, match=r"b\.hea: has no lead \['II'\]"):
        common_leads(infos, rate=250.0)
    with pytest.raises(RefusedInputError, match=r"a\.hea: has no lead \['V9'\]"):
        common_leads(infos, rate=250.0, channels=("I", "V9"))


def test_more_leads_are_refused_unless_the_wanted_ones_are_named() -> None:
    infos = [_recording().info, _recording(("I", "II", "V1"), ("mV",) * 3, source="b.hea").info]
    with pytest.raises(RefusedInputError, match=r"b\.hea: has the leads \['V1'\]"):
        common_leads(infos, rate=250.0)
    assert common_leads(infos, rate=250.0, channels=("II",)).channels == ("II",)


def test_a_rate_below_the_one_wanted_is_refused() -> None:
    infos = [_recording().info, _recording(rate=125.0, source="b.hea").info]
    with pytest.raises(RefusedInputError, match=r"b\.hea: 125 Hz are below the 250 Hz"):
        common_leads(infos, rate=250.0)


def test_nothing_to_prepare_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="no recording"):
        common_leads([], rate=250.0)

"""Montages are sums of named channels; a missing electrode is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.montage import (
    DOUBLE_BANANA,
    MONTAGES,
    average_reference,
    cz_reference,
    double_banana,
    eeg_only,
    in_montage,
    limb_leads,
    montage_named,
)
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo

TEN_TWENTY = tuple(dict.fromkeys(name for pair in DOUBLE_BANANA for name in pair))


def _recording(channels: tuple[str, ...], unit: str | None = "uV") -> InMemoryRecording:
    signal = np.random.default_rng(1).normal(size=(30, len(channels))).astype(np.float32)
    info = RecordingInfo(
        rate=100.0, channels=channels, units=(unit,) * len(channels), samples=30, patient="p"
    )
    return InMemoryRecording(info, signal)


def test_the_average_reference_sums_to_zero_and_keeps_differences() -> None:
    old = _recording((*TEN_TWENTY, "X", "Y", "nd"))
    new = in_montage(old, average_reference(old.info.channels))
    assert new.info.channels == TEN_TWENTY
    np.testing.assert_allclose(new.read().sum(axis=1), 0.0, atol=1e-5)  # float32 sums of 19
    differences = old.read()[:, 0] - old.read()[:, 1]
    np.testing.assert_allclose(new.read()[:, 0] - new.read()[:, 1], differences, atol=1e-5)


def test_the_cz_reference_leaves_cz_out() -> None:
    old = _recording(("Fz", "CZ", "nd"))
    new = in_montage(old, cz_reference(old.info.channels))
    assert new.info.channels == ("Fz",)
    np.testing.assert_allclose(new.read()[:, 0], old.read()[:, 0] - old.read()[:, 1], atol=1e-6)


def test_the_chains_of_the_double_banana_add_up_from_front_to_back() -> None:
    old = _recording(TEN_TWENTY)
    new = in_montage(old, double_banana(old.info.channels))
    signal = dict(zip(new.info.channels, new.read().T, strict=True))
    column = dict(zip(old.info.channels, old.read().T, strict=True))
    assert len(signal) == 18
    chain = ("Fp1-F7", "F7-T3", "T3-T5", "T5-O1")
    total = np.sum([signal[name] for name in chain], axis=0)
    np.testing.assert_allclose(total, column["Fp1"] - column["O1"], atol=1e-5)


def test_new_names_and_capitals_find_the_same_electrodes() -> None:
    new_names = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    modern = tuple(new_names.get(name, name).upper() for name in TEN_TWENTY)
    np.testing.assert_array_equal(double_banana(modern).weights, double_banana(TEN_TWENTY).weights)


def test_missing_electrodes_are_all_named() -> None:
    with pytest.raises(RefusedInputError, match=r"needs \['F7', 'Pz'\]"):
        double_banana(tuple(name for name in TEN_TWENTY if name not in {"F7", "Pz"}))
    with pytest.raises(RefusedInputError, match=r"needs \['Cz'\]"):
        cz_reference(("Fz", "Pz"))


def test_a_channel_that_is_no_known_electrode_is_never_averaged_silently() -> None:
    with pytest.raises(RefusedInputError, match=r"\['PLETH'\] are no electrodes"):
        average_reference(("Cz", "Pz", "PLETH"))
    with pytest.raises(RefusedInputError, match="are no electrodes"):
        eeg_only(("X", "nd"))


def test_derived_limb_leads_obey_einthoven_and_goldberger() -> None:
    old = _recording(("II", "I", "V1"), unit="mV")
    new = in_montage(old, limb_leads(old.info.channels))
    lead = dict(zip(new.info.channels, new.read().T.astype(np.float64), strict=True))
    assert tuple(lead) == ("II", "I", "V1", "III", "aVR", "aVL", "aVF")
    np.testing.assert_allclose(lead["I"] + lead["III"], lead["II"], atol=1e-6)
    np.testing.assert_allclose(lead["aVR"] + lead["aVL"] + lead["aVF"], 0.0, atol=1e-6)
    np.testing.assert_allclose(lead["aVF"], (lead["II"] + lead["III"]) / 2, atol=1e-6)


def test_a_limb_lead_that_was_recorded_stays_as_it_was() -> None:
    old = _recording(("I", "II", "aVF"))
    new = in_montage(old, limb_leads(old.info.channels))
    np.testing.assert_array_equal(new.read()[:, 2], old.read()[:, 2])
    assert new.info.channels.count("aVF") == 1


def test_the_note_and_the_unit_follow() -> None:
    new = in_montage(_recording(("I", "II"), unit="mV"), limb_leads(("I", "II")))
    assert set(new.info.units) == {"mV"}
    assert new.info.patient == "p"
    assert new.info.notes == ("Montage: limb leads from I and II.",)


def test_a_missing_sample_stays_in_the_channels_made_of_it() -> None:
    info = RecordingInfo(rate=1.0, channels=("I", "II", "V1"), units=(None,) * 3, samples=1)
    old = InMemoryRecording(info, np.array([[1.0, 2.0, np.nan]], np.float32))
    new = in_montage(old, limb_leads(info.channels)).read()[0]
    assert np.isnan(new).tolist() == [False, False, True, False, False, False, False]


def test_sums_of_different_units_are_refused() -> None:
    info = RecordingInfo(rate=1.0, channels=("I", "II"), units=("mV", None), samples=1)
    recording = InMemoryRecording(info, np.zeros((1, 2), np.float32))
    with pytest.raises(
        RefusedInputError, match=r"III would be a sum of channels in \['None', 'mV'"
    ):
        in_montage(recording, limb_leads(info.channels))


def test_a_montage_of_other_channels_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="was made for"):
        in_montage(_recording(("I", "II")), limb_leads(("II", "I")))


def test_an_unknown_montage_names_the_nearest() -> None:
    with pytest.raises(RefusedInputError, match="double-banana"):
        montage_named("double-bananas", TEN_TWENTY)


@pytest.mark.data
def test_every_eeg_montage_fits_the_smni_electrodes(data_dir: Path) -> None:
    meta = json.loads((data_dir / "timeseries" / "smni_eeg" / "meta.json").read_text())
    channels = tuple(meta["channels"])
    counts = {name: len(MONTAGES[name](channels).outputs) for name in ("eeg-only", "average", "cz")}
    assert counts == {"eeg-only": 61, "average": 61, "cz": 60}
    assert not {"X", "Y", "nd"} & set(eeg_only(channels).outputs)

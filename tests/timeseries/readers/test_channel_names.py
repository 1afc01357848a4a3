"""Names of leads and electrodes."""

import pytest

from medconsist.timeseries.readers.channel_names import (
    TWELVE_LEADS,
    kind_of_channel,
    normalise_channel,
    normalise_names,
)


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        *(("avr", "aVR"), ("AVF", "aVF"), ("i", "I"), ("iii", "III"), ("v6", "V6")),
        *(("mlii", "MLII"), ("vx", "Vx"), ("v3r", "V3R"), ("ECG II", "II"), ("Lead aVL", "aVL")),
        *(("Lead I (Einthoven)", "I"), ("EKG v1", "V1"), ("lead_II", "II")),
        *(("FP1", "Fp1"), ("FZ", "Fz"), ("oz", "Oz"), ("AFZ", "AFz"), ("t10", "T10")),
        *(("EEG Fp1-Ref", "Fp1"), ("EEG FP1-REF", "Fp1"), ("EEG Cz", "Cz"), ("PO8", "PO8")),
        *(("EEG Fp1-A2", "Fp1-A2"), ("FP1-F7", "Fp1-F7"), ("EEG T3-LE", "T3-LE")),
    ],
)
def test_known_names_get_their_usual_spelling(name: str, usual: str) -> None:
    assert normalise_channel(name) == usual
    assert normalise_channel(usual) == usual


@pytest.mark.parametrize(
    "name",
    [
        *("V", "X", "Y", "nd", "PLETH", "ECG", "EEG", "Resp", "SpO2", "II+", "aVR2", "V10", "F11"),
        *("EEG Fp1-XX", "EOG(L)", "Fp1-", "channel 1", "ECG ECG II", "P7-V1", "EEG 1", "FT1", "T1"),
    ],
)
def test_what_is_not_surely_known_stays_as_it_is(name: str) -> None:
    assert normalise_channel(name) == (name if name != "Fp1-" else "Fp1")


def test_kinds_are_told_by_names() -> None:
    assert {kind_of_channel(name) for name in (*TWELVE_LEADS, "mlii", "Vz")} == {"ecg"}
    assert {kind_of_channel(name) for name in ("FP1", "Cz", "C3-A2", "EEG O1")} == {"eeg"}
    assert {kind_of_channel(name) for name in ("V", "PLETH", "X", "ECG")} == {"other"}


def test_names_that_changed_are_noted() -> None:
    names, notes = normalise_names(["FP1", "nd", "EEG Cz-Ref"])
    assert names == ("Fp1", "nd", "Cz")
    assert notes == ("Channels renamed: FP1 is Fp1, EEG Cz-Ref is Cz.",)
    assert normalise_names(["I", "V1"]) == (("I", "V1"), ())


def test_two_channels_that_would_get_one_name_keep_theirs() -> None:
    assert normalise_names(["EEG Fp1", "FP1", "avr"])[0] == ("EEG Fp1", "FP1", "aVR")
    assert normalise_names(["Fp1", "FP1"])[0] == ("Fp1", "FP1")

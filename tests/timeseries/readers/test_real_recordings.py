"""The shipped real recordings, read whole."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS, kind_of_channel
from medconsist.timeseries.readers.choice import open_dataset, open_recording
from medconsist.timeseries.readers.edf_file import read_edf_annotations
from medconsist.timeseries.readers.lead_checks import LeadReport, check_leads
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.recording import InMemoryRecording, Recording

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def signals(data_dir: Path) -> Path:
    return data_dir / "timeseries"


@pytest.fixture(scope="module")
def cinc2021(signals: Path) -> dict[str, Recording]:
    found = open_dataset(signals / "cinc2021_sample" / "cinc2021")
    return {str(one.info.patient): one for one in found}


@pytest.fixture(scope="module")
def reports(cinc2021: dict[str, Recording]) -> dict[str, LeadReport]:
    return {name: check_leads(one) for name, one in cinc2021.items()}


def swapped_arms(recording: Recording) -> InMemoryRecording:
    """What the recorder would have written with the electrodes of both arms exchanged."""
    signal = recording.read().copy()
    place = {name: n for n, name in enumerate(recording.info.channels)}
    first, second, third, right, left = (place[n] for n in ("I", "II", "III", "aVR", "aVL"))
    new = signal.copy()
    new[:, first] = -signal[:, first]
    new[:, second], new[:, third] = signal[:, third], signal[:, second]
    new[:, right], new[:, left] = signal[:, left], signal[:, right]
    return InMemoryRecording(recording.info, new)


def test_ptb_record_of_two_sample_files_has_fifteen_leads_in_millivolts(signals: Path) -> None:
    recording = open_recording(signals / "wfdb_sample" / "s0010_re.hea")
    info = recording.info
    assert info.channels == (*TWELVE_LEADS, "Vx", "Vy", "Vz")
    assert set(info.units) == {"mV"}
    assert (info.rate, info.samples, info.seconds) == (1000.0, 38400, 38.4)
    assert "Acute infarction (localization): infero-latera" in info.diagnoses
    assert any("i is I" in note for note in info.notes)
    # Stored whole numbers -489, -458, 31 begin the header's signal lines, 2000 a millivolt.
    assert np.allclose(recording.read(0, 1)[0, :3], np.array([-489, -458, 31]) / 2000)


def test_mit_bih_record_has_2274_annotations(signals: Path) -> None:
    recording = open_recording(signals / "wfdb_sample" / "100")
    info = recording.info
    assert info.channels == ("MLII", "V5")
    assert len(info.annotations) == 2274
    labels = [one.label for one in info.annotations]
    # Moody and Mark's directory of the database counts 2239 normal, 33 atrial premature, 1 PVC.
    assert (labels.count("N"), labels.count("A"), labels.count("V")) == (2239, 33, 1)
    assert labels[0] == "+ (N"
    assert info.annotations[1].start == pytest.approx(77 / 360)
    assert np.array_equal(recording.read(400_001, 400_017), recording.read()[400_001:400_017])


def test_plethysmogram_in_no_unit_has_none(signals: Path) -> None:
    info = open_recording(signals / "wfdb_sample" / "a103l.mat").info
    assert dict(zip(info.channels, info.units, strict=True)) == {
        "II": "mV",
        "V": "mV",
        "PLETH": None,
    }
    assert "Units that are not known are left out: NU." in info.notes


def test_edf_of_annotations_alone_is_refused_and_its_annotations_are_read(signals: Path) -> None:
    path = signals / "wfdb_sample" / "test_edfann.edf"
    found = read_edf_annotations(path)
    assert len(found) == 856
    assert (found[2].start, found[2].label) == (33.43, "Lights off@@EEG F4-A1")
    with pytest.raises(RefusedInputError, match="856 annotations and no signal"):
        open_recording(path)


def test_fifty_twelve_lead_records_are_in_millivolts(cinc2021: dict[str, Recording]) -> None:
    assert len(cinc2021) == 50
    for recording in cinc2021.values():
        info = recording.info
        assert (info.channels, info.rate, info.samples) == (TWELVE_LEADS, 500.0, 5000)
        assert set(info.units) == {"mV"}
        assert info.diagnoses
        assert all(code.isdigit() for code in info.diagnoses)
        assert recording.read().shape == (5000, 12)


def test_flat_leads_of_two_records_are_noted(
    cinc2021: dict[str, Recording], reports: dict[str, LeadReport]
) -> None:
    flat = {name: report.flat for name, report in reports.items() if report.flat}
    assert flat == dict.fromkeys(("JS20004", "JS20008"), ("V2", "V4", "V6"))
    for name in flat:
        assert "Flat throughout: V2, V4, V6." in cinc2021[name].info.notes


def test_einthoven_holds_on_all_fifty(reports: dict[str, LeadReport]) -> None:
    residuals = [report.einthoven for report in reports.values()]
    assert all(one is not None and one < 0.05 for one in residuals)
    # The figures of data/timeseries/PROVENANCE.md, to its digits.
    known = sorted(one for one in residuals if one is not None)
    assert (round(known[0], 4), round(known[-1], 4)) == (0.0013, 0.0081)


def test_leads_scaled_one_by_one_break_einthoven(cinc2021: dict[str, Recording]) -> None:
    recording = cinc2021["E07500"]
    signal = recording.read()
    scaled = InMemoryRecording(recording.info, (signal / signal.std(0)).astype(np.float32))
    report = check_leads(scaled)
    assert report.einthoven is not None
    assert report.einthoven > 0.05
    assert any("scaled one by one" in note for note in report.notes)


def test_swapped_arms_are_suspected_on_copies_and_on_no_original(
    cinc2021: dict[str, Recording], reports: dict[str, LeadReport]
) -> None:
    false_alarms = [name for name, report in reports.items() if report.suspects_swapped_arms]
    found = [
        n for n, one in cinc2021.items() if check_leads(swapped_arms(one)).suspects_swapped_arms
    ]
    assert false_alarms == []
    # The limit was chosen in sight of these 50 and the 11 of the next test, so that this says
    # nothing of other records; four have leads I and V6 that are too unlike.
    assert sorted(set(cinc2021) - set(found)) == ["E07514", "JS20007", "JS20014", "JS20017"]


def test_swapped_arms_are_told_on_eleven_further_records(signals: Path) -> None:
    records = list(
        open_dataset(signals / "cinc2021_sample" / "cpsc2018", options=ReadOptions(rate=500))
    )
    records.append(open_recording(signals / "wfdb_sample" / "s0010_re"))
    assert not any(check_leads(one).suspects_swapped_arms for one in records)
    assert all(check_leads(swapped_arms(one)).suspects_swapped_arms for one in records)


def test_ten_mat_structs_have_twelve_leads_that_obey_einthoven(signals: Path) -> None:
    folder = signals / "cinc2021_sample" / "cpsc2018"
    records = list(open_dataset(folder, options=ReadOptions(rate=500)))
    assert len(records) == 10
    samples = [one.info.samples for one in records]
    assert (min(samples), max(samples)) == (5000, 27157)
    for recording in records:
        assert recording.info.units == (None,) * 12
        # Names are documented, not stored: the law tells whether they are in the right order.
        report = check_leads(recording)
        assert report.einthoven is not None
        assert report.einthoven < 0.05
        signal = recording.read().astype(np.float64)
        goldberger = signal[:, 3] + (signal[:, 0] + signal[:, 1]) / 2
        assert goldberger.std() < 0.05 * signal[:, 1].std()


def test_smni_has_920_trials_of_16_patients(signals: Path) -> None:
    found = open_dataset(signals / "smni_eeg")
    assert len(found) == 920
    infos = [one.info for one in found]
    assert len({info.patient for info in infos}) == 16
    assert len({(info.patient, info.trial) for info in infos}) == 920
    assert {(info.rate, info.samples, len(info.channels)) for info in infos} == {(256.0, 256, 64)}
    assert set(infos[0].units) == {"uV"}
    assert found.classes == ("control", "alcoholic")
    assert [found.labels[str(n)] for n in (1, 2, 15, 16)] == ["alcoholic", "control"] * 2
    kinds = [name for name in infos[0].channels if kind_of_channel(name) != "eeg"]
    assert kinds == ["X", "nd", "Y"]
    assert {"Fp1", "FCz", "AFz", "POz"} <= set(infos[0].channels)


def test_smni_trials_are_the_rows_of_their_patients_file(signals: Path) -> None:
    found = open_dataset(signals / "smni_eeg")
    stored = np.load(signals / "smni_eeg" / "Feature" / "feature_16.npy")
    trials = [one for one in found if one.info.patient == "16"]
    assert len(trials) == len(stored)
    last = trials[-1]
    assert np.array_equal(last.read(), stored[int(last.info.trial or "")].astype(np.float32))

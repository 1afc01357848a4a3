"""Beats are what most leads agree on, whatever a single lead misses or invents."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.lead_peaks import lead_peaks
from medconsist.timeseries.peak_score import compare_peaks
from medconsist.timeseries.r_peaks import r_peaks, vote
from tests.timeseries.ecg_signals import reference_beats, simulated_ecg, wfdb_recording

TRUE = np.arange(200, 4000, 200, dtype=np.int64)
NAMES = ("I", "II", "III")


@pytest.mark.data
def test_mit_bih_100_is_found_at_99_percent_or_more(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = data_dir / "timeseries" / "wfdb_sample" / "100"
    recording, reference = wfdb_recording(path), reference_beats(path)
    info = recording.info
    found = r_peaks(recording.read(), rate=info.rate, leads=info.channels)
    score = compare_peaks(found.samples, reference, rate=info.rate)
    with capsys.disabled():
        print(  # noqa: T201  figures that the issue asks to see
            f"\nMIT-BIH 100, {score.reference} reference beats, within 150 ms: sensitivity "
            f"{score.sensitivity:.4f}, positive predictivity {score.positive_predictivity:.4f}"
        )
    assert score.reference == 2273
    assert score.sensitivity >= 0.99
    assert score.positive_predictivity >= 0.99


@pytest.mark.data
def test_the_fifteen_leads_of_ptb_s0010_agree_on_52_beats(data_dir: Path) -> None:
    recording = wfdb_recording(data_dir / "timeseries" / "wfdb_sample" / "s0010_re")
    info = recording.info
    found = r_peaks(recording.read(), rate=info.rate, leads=info.channels)
    assert len(found.samples) == 52
    assert found.votes.min() >= 14
    assert found.rate_bpm(info.rate) == pytest.approx(81.9, abs=0.1)
    # One lead (avF) alone sees 40 beats, some half a QRS early.
    alone = lead_peaks(recording.read()[:, 5], rate=info.rate)
    assert compare_peaks(alone, found.samples, rate=info.rate).sensitivity < 0.8


@pytest.mark.data
def test_both_detectors_see_the_same_beats_in_a_record_of_1000_hz(data_dir: Path) -> None:
    recording = wfdb_recording(data_dir / "timeseries" / "wfdb_sample" / "s0010_re")
    lead = recording.read()[:, 1]
    first, second = (lead_peaks(lead, rate=1000.0, detector=d) for d in ("neurokit", "xqrs"))
    assert compare_peaks(first, second, rate=1000.0).agreement == 1.0


def test_simulated_beats_are_found_where_they_are() -> None:
    signal, true = simulated_ecg(250.0)
    found = r_peaks(signal, rate=250.0, leads=NAMES)
    score = compare_peaks(found.samples, true, rate=250.0, tolerance=0.02)
    assert score.positive_predictivity == 1.0
    assert score.sensitivity >= 0.95  # the first beat may fall to the detector's start


def test_one_lead_that_misses_beats_changes_nothing() -> None:
    found = vote({"I": TRUE, "II": TRUE + 3, "III": TRUE[::4]}, rate=250.0)
    np.testing.assert_array_equal(np.abs(found.samples - TRUE) <= 3, True)


def test_one_lead_that_invents_beats_changes_nothing(generator: object) -> None:
    noise = np.unique(np.random.default_rng(5).integers(0, 4000, 200))
    found = vote({"I": TRUE, "II": TRUE + 3, "III": noise}, rate=250.0)
    assert len(found.samples) == len(TRUE)
    assert np.abs(found.samples - TRUE).max() <= 19  # 75 ms


def test_an_extra_beat_of_one_of_two_leads_is_dropped_and_a_missed_one_filled() -> None:
    extra = np.sort(np.append(TRUE, 290))
    missing = np.delete(TRUE, 7)
    found = vote({"I": extra, "II": missing}, rate=250.0)
    np.testing.assert_array_equal(found.samples, TRUE)
    assert found.votes.tolist() == [2] * 7 + [1] + [2] * 11


def test_the_order_of_leads_does_not_matter() -> None:
    leads = {"I": TRUE, "II": TRUE[::2] + 9, "III": TRUE + 15, "V1": TRUE - 12}
    turned = dict(reversed(leads.items()))
    first, second = vote(leads, rate=250.0), vote(turned, rate=250.0)
    np.testing.assert_array_equal(first.samples, second.samples)
    np.testing.assert_array_equal(first.votes, second.votes)


def test_leads_may_peak_at_different_times_of_one_beat() -> None:
    found = vote({"I": TRUE - 12, "II": TRUE, "III": TRUE + 12}, rate=250.0)
    np.testing.assert_array_equal(found.samples, TRUE)
    assert set(found.votes.tolist()) == {3}


def test_flat_leads_and_leads_with_gaps_have_no_vote() -> None:
    signal, _ = simulated_ecg(250.0, leads=4)
    signal[:, 1] = 0.5
    signal[100:200, 2] = np.nan
    found = r_peaks(signal, rate=250.0, leads=("I", "II", "III", "V1"))
    assert found.leads == ("I", "V1")
    assert found.left_out == {"II": "flat", "III": "missing samples"}


def test_no_vote_at_all_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"no lead has a beat: \{'II': 'flat'\}"):
        r_peaks(np.zeros((2500, 1)), rate=250.0, leads=["II"])


def test_too_short_an_ecg_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"2 s of ECG are too short"):
        r_peaks(np.zeros((500, 1)), rate=250.0, leads=["II"])
    with pytest.raises(RefusedInputError, match="1 beats have no distance"):
        vote({"I": np.array([100])}, rate=250.0).rr()


def test_each_beat_is_matched_once() -> None:
    score = compare_peaks(np.array([100, 110]), np.array([105]), rate=250.0)
    assert (score.matched, score.positive_predictivity, score.agreement) == (1, 0.5, 0.5)
    nothing = compare_peaks(np.array([], np.int64), np.array([], np.int64), rate=250.0)
    assert nothing.agreement == 1.0
    assert np.isnan(nothing.sensitivity)

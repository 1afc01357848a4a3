"""One recording becomes windows: every step in order, and a gap stays where it was."""

import numpy as np
import numpy.typing as npt
import pytest

from medconsist.errors import RefusedInputError
from medconsist.timeseries.filters import Band
from medconsist.timeseries.harmonise import common_leads
from medconsist.timeseries.normalise import z_scores
from medconsist.timeseries.prepare_config import PrepareConfig
from medconsist.timeseries.processing import Pieces, leads_after, pieces_of
from medconsist.timeseries.recording import InMemoryRecording, RecordingInfo
from medconsist.timeseries.resample import resample
from tests.timeseries.ecg_signals import simulated_ecg

PLAIN = PrepareConfig(rate=100.0, samples=50, classes=("a", "b"), normalise="none")


def _recording(signal: npt.NDArray[np.float32], rate: float = 400.0) -> InMemoryRecording:
    names = ("I", "II", "III")[: signal.shape[1]]
    info = RecordingInfo(
        rate=rate, channels=names, units=("mV",) * len(names), samples=len(signal), source="sim"
    )
    return InMemoryRecording(info, signal)


def _noise(samples: int = 4000, channels: int = 2) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).normal(size=(samples, channels)).astype(np.float32)


def _pieces(recording: InMemoryRecording, config: PrepareConfig) -> Pieces:
    common = common_leads([recording.info], rate=config.rate, channels=config.channels)
    return pieces_of(recording, common, config)


def test_without_any_step_windows_are_the_samples_themselves() -> None:
    signal = _noise(200)
    cut = _pieces(_recording(signal, rate=100.0), PLAIN).cut
    np.testing.assert_array_equal(cut.signals.reshape(200, 2), signal)


def test_the_steps_are_those_of_the_bricks_in_order() -> None:
    signal = _noise()
    config = PrepareConfig(rate=100.0, samples=50, overlap=25, classes=("a",))
    whole = z_scores(resample(signal, rate=400.0, to=100.0)).signals
    cut = _pieces(_recording(signal), config).cut
    assert len(cut) == 39
    np.testing.assert_array_equal(cut.signals[7], whole[175:225])


def test_a_gap_stays_on_the_grid_of_time_and_costs_its_windows_alone() -> None:
    time = np.arange(4000) / 400.0
    signal = np.sin(2 * np.pi * 5.0 * time)[:, None].astype(np.float32)
    whole = _pieces(_recording(signal), PLAIN).cut
    signal[1501:1503] = np.nan  # between the samples 375 and 376 of the new rate: window 7
    cut = _pieces(_recording(signal), PLAIN).cut
    assert cut.dropped == {"gap": 1}
    assert cut.start.tolist() == [start for start in whole.start.tolist() if start != 350]
    # Beyond half a filter length (50 samples) only the line between the ends differs: the ripple.
    np.testing.assert_allclose(cut.signals[:6], whole.signals[:6], atol=3e-4)
    np.testing.assert_allclose(cut.signals[8:], whole.signals[9:], atol=3e-4)


@pytest.mark.parametrize(("gap", "lost"), [((1500, 1501), 375), ((1497, 1500), 374)])
def test_every_gap_leaves_a_mark_at_the_new_rate(gap: tuple[int, int], lost: int) -> None:
    signal = _noise()
    signal[slice(*gap), 0] = np.nan
    config = PrepareConfig(rate=100.0, samples=1, classes=("a",), normalise="none")
    starts = _pieces(_recording(signal), config).cut.start
    assert sorted(set(range(1000)) - set(starts.tolist())) == [lost]


def test_gaps_are_refused_by_name_of_the_file() -> None:
    signal = _noise()
    signal[5] = np.nan
    config = PrepareConfig(rate=100.0, samples=50, classes=("a",), gaps="refuse")
    with pytest.raises(RefusedInputError, match=r"1 of 4000 .*\(sim\), as gaps are refused"):
        _pieces(_recording(signal), config)


@pytest.mark.parametrize("normalise", ["trial", "window"])
def test_flat_leads_are_named_and_become_zero_even_behind_a_filter(normalise: str) -> None:
    signal = _noise()
    signal[:, 1] = 0.1
    config = PrepareConfig(
        rate=100.0,
        samples=50,
        classes=("a",),
        band=Band(above=0.5, below=40.0),
        normalise=normalise,  # type: ignore[arg-type]  # one of the literals
    )
    pieces = _pieces(_recording(signal), config)
    assert pieces.flat == ("II",)
    assert not pieces.cut.signals[:, :, 1].any()
    assert pieces.cut.signals[:, :, 0].std() == pytest.approx(1.0, abs=0.01)


def test_z_scores_of_a_window_are_those_of_each_window() -> None:
    config = PrepareConfig(rate=400.0, samples=50, classes=("a",), normalise="window")
    cut = _pieces(_recording(_noise()), config).cut
    np.testing.assert_allclose(cut.signals.mean(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(cut.signals.std(axis=1), 1.0, atol=1e-5)


def test_units_are_lost_by_z_scores_alone() -> None:
    recording = _recording(_noise())
    common = common_leads([recording.info], rate=100.0)
    assert leads_after(common, PLAIN).units == ("mV", "mV")
    scored = PrepareConfig(rate=100.0, samples=50, classes=("a",))
    assert leads_after(common, scored).units == (None, None)
    released = PrepareConfig(
        rate=100.0, samples=99, classes=("a",), cut="released-beats", normalise="none"
    )
    assert leads_after(common, released).units == (None, None)


def test_a_montage_changes_the_leads() -> None:
    config = PrepareConfig(
        rate=100.0, samples=50, classes=("a",), montage="limb-leads", normalise="none"
    )
    recording = _recording(_noise())
    common = common_leads([recording.info], rate=100.0)
    after = leads_after(common, config)
    assert after.channels == ("I", "II", "III", "aVR", "aVL", "aVF")
    assert after.units == ("mV",) * 6
    assert _pieces(recording, config).cut.signals.shape == (20, 50, 6)


@pytest.mark.parametrize("kind", ["beats", "released-beats"])
def test_beats_are_cut_and_a_recording_without_any_says_why(kind: str) -> None:
    config = PrepareConfig(
        rate=250.0,
        samples=300,
        classes=("a",),
        cut=kind,  # type: ignore[arg-type]  # one of the literals
        normalise="none",
    )
    signal, true = simulated_ecg(500.0)
    cut = _pieces(_recording(signal, rate=500.0), config).cut
    assert len(true) - 3 <= len(cut) <= len(true)
    none = _pieces(_recording(np.zeros((5000, 2), np.float32), rate=500.0), config).cut
    assert len(none) == 0
    assert none.signals.shape == (0, 300, 2)
    (reason,) = none.dropped
    assert "beat" in reason


def test_linear_resampling_folds_and_filtered_does_not() -> None:
    high = np.sin(2 * np.pi * 90.0 * np.arange(4000) / 400.0)[:, None].astype(np.float32)
    linear = PrepareConfig(
        rate=100.0, samples=50, classes=("a",), normalise="none", resampling="linear"
    )
    assert np.abs(_pieces(_recording(high), linear).cut.signals[5:-5]).max() > 0.9
    assert np.abs(_pieces(_recording(high), PLAIN).cut.signals[5:-5]).max() < 1e-3


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"rate": 0.0}, "positive rate"),
        ({"overlap": 50}, "cannot share"),
        ({"classes": ("a", "a")}, "named twice"),
        ({"montage": "averag"}, "average"),
        ({"beats_a_trial": 10}, "is for cut='beats'"),
        ({"cut": "beats", "beats_a_trial": 0}, "a pseudo-trial of 0 beats"),
        ({"cut": "beats", "overlap": 10}, "beats do not overlap"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], sentence: str) -> None:
    settings: dict[str, object] = {"rate": 100.0, "samples": 50, "classes": ("a", "b")}
    with pytest.raises(RefusedInputError, match=sentence):
        PrepareConfig(**{**settings, **values})  # type: ignore[arg-type]  # wrong on purpose


def test_a_label_that_is_no_class_is_refused() -> None:
    assert PLAIN.number_of(None) == -1
    assert PLAIN.number_of("b") == 1
    with pytest.raises(RefusedInputError, match="'case' is none of"):
        PLAIN.number_of("case")

"""Cohorts of the simulator: two worlds, effects of known size, sites, and a frozen generator."""

import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.simulated.cohort import SimulatedCohort, fingerprint, simulate_cohort
from medconsist.timeseries.simulated.recipe import (
    TWO_WORLDS,
    CohortRecipe,
    Modality,
    Sites,
    World,
)
from medconsist.timeseries.simulated.truth import Effects

SMALL = CohortRecipe(patients=6, trials=3, windows=2, samples=64, rate=128.0)
# of the defaults, on few small windows; a new value means that every table is of another generator
FROZEN: dict[Modality, str] = {
    "ecg": "b6f8ad51162006e48b9cff489f3e104dffa5b8b6ac05c733ca119c9506902e3c",
    "eeg": "8765377a540f60d712b94ceb9b23d2fe9d6c1a729dc4a9de593db9f523de8a7a",
}
WORLDS: tuple[World, ...] = ("shared", "by_trial", "by_window")


def drawn(recipe: CohortRecipe, seed: int = 0) -> SimulatedCohort:
    return simulate_cohort(recipe, generator=torch.Generator().manual_seed(seed))


def spectra(cohort: SimulatedCohort) -> np.ndarray:
    """Return the log power of each window in five bands, standardised: patients windows values."""
    signals = cohort.windows.signals - cohort.windows.signals.mean(1, keepdims=True)
    power = np.abs(np.fft.rfft(signals * np.hanning(signals.shape[1])[:, None], axis=1)) ** 2
    bands = np.stack([power[:, a:b].mean(1) for a, b in pairwise((1, 4, 8, 13, 30, 40))], 1)
    rows = np.log(bands + 1e-6).reshape(cohort.recipe.patients, -1, bands[0].size)
    standard: np.ndarray = (rows - rows.mean((0, 1))) / rows.std((0, 1))
    return standard


@pytest.mark.parametrize("modality", ["ecg", "eeg"])
def test_generator_is_frozen(modality: Modality) -> None:
    assert fingerprint(drawn(replace(SMALL, modality=modality))) == FROZEN[modality]


def test_frozen_defaults_are_those_of_the_tables() -> None:
    recipe = CohortRecipe()
    assert recipe.effects == Effects(shift=2, subject=1, session=0.5, component=1, window=0.2)
    assert (recipe.patients, recipe.trials, recipe.rates) == (40, 10, (0.35, 0.65))


def test_same_draw_gives_the_same_cohort_and_another_another() -> None:
    first, again, other = (fingerprint(drawn(SMALL, seed)) for seed in (3, 3, 4))
    assert first == again != other


def test_worlds_share_patients_noise_and_labels() -> None:
    shared, by_window = (drawn(replace(SMALL, world=world)) for world in ("shared", "by_window"))
    assert np.array_equal(shared.truth.traits, by_window.truth.traits)
    assert np.array_equal(shared.windows.table.label, by_window.windows.table.label)
    unmoved = [c.truth.component - 2 * c.truth.present for c in (shared, by_window)]
    assert unmoved[0] == pytest.approx(unmoved[1])
    same = shared.truth.present == by_window.truth.present
    difference = np.abs(shared.windows.signals - by_window.windows.signals).max((1, 2))
    assert np.array_equal(difference.reshape(same.shape) == 0, same)


def test_class_effect_is_shared_by_whom_the_world_says() -> None:
    big = replace(SMALL, patients=200, trials=6, samples=32)
    present = {world: drawn(replace(big, world=world)).truth.present for world in WORLDS}
    labels = drawn(big).truth.label
    assert np.array_equal(present["shared"].all((1, 2)), labels == 1)
    assert not present["shared"][labels == 0].any()
    assert np.array_equal(present["by_trial"].all(2), present["by_trial"].any(2))
    assert not np.array_equal(present["by_window"].all(2), present["by_window"].any(2))
    for world in ("by_trial", "by_window"):
        rates = [present[world][labels == label].mean() for label in (0, 1)]
        assert rates == pytest.approx([0.35, 0.65], abs=0.06)  # 600 recordings of a class


def test_what_a_patient_shares_holds_the_class_in_one_world_alone() -> None:
    big = replace(SMALL, patients=400, trials=10, samples=32)
    share = {}
    for world in WORLDS:
        present = drawn(replace(big, world=world)).truth.present.reshape(400, -1).astype(float)
        # unbiased: the mean over pairs of two windows of two recordings of one patient
        first, last = present[:, 0] - present.mean(), present[:, -1] - present.mean()
        share[world] = float((first * last).mean() / present.var())
    assert share["shared"] == pytest.approx(1)
    assert share["by_trial"] < 0.25
    assert share["by_window"] < 0.25


def contrasted(features: np.ndarray, patient: np.ndarray, *, keep: int) -> np.ndarray:
    """Return the directions in which patients differ most from each other, against themselves."""
    means = np.stack([features[patient == one].mean(0) for one in np.unique(patient)])
    within = np.cov((features - means[patient]).T) + 0.05 * np.eye(features.shape[1])
    root = np.linalg.inv(np.linalg.cholesky(within))
    _, directions = np.linalg.eigh(root @ np.cov(means.T) @ root.T)
    chosen: np.ndarray = root.T @ directions[:, -keep:]
    return chosen


@pytest.mark.parametrize(("world", "kept"), [("shared", True), ("by_window", False)])
def test_a_linear_contrast_of_patients_keeps_the_class_where_it_is_shared(
    world: World, kept: bool
) -> None:
    cohort = drawn(TWO_WORLDS[world])
    patient, component = cohort.windows.table.patient, cohort.truth.component.ravel()
    features = spectra(cohort).reshape(len(patient), -1)
    half = patient < 40
    axes = contrasted(features[half], patient[half], keep=4)

    def told(rows: np.ndarray) -> float:
        """Return how well the component is read from rows, on patients that nothing has seen."""
        known = rows[half] - rows[half].mean(0)
        ridge = known.T @ known + len(known) * np.eye(rows.shape[1]) * known.var(0).mean() / 10
        weights = np.linalg.solve(ridge, known.T @ component[half])
        return float(np.corrcoef(rows[~half] @ weights, component[~half])[0, 1])

    assert told(features) > 0.7
    seen = told(features @ axes)
    assert seen > 0.6 if kept else seen < 0.2


@pytest.mark.parametrize("modality", ["ecg", "eeg"])
def test_class_effect_is_smaller_than_the_subject_effect(modality: Modality) -> None:
    recipe = CohortRecipe(modality=modality)
    assert recipe.class_to_subject == pytest.approx(2 / np.sqrt(18))
    ratios = []
    for seed in range(3):
        cohort = drawn(recipe, seed)
        patient, label = spectra(cohort).mean(1), cohort.truth.label
        means = np.stack([patient[label == one].mean(0) for one in (0, 1)])
        within = np.sqrt(2 * ((patient - means[label]) ** 2).sum(1).mean())
        ratios.append(np.linalg.norm(means[1] - means[0]) / within)
    assert 0.1 < np.mean(ratios) < 0.6  # in the signals too


@pytest.mark.parametrize("modality", ["ecg", "eeg"])
def test_recordings_of_one_patient_are_nearer_than_those_of_two(modality: Modality) -> None:
    rows = spectra(drawn(CohortRecipe(modality=modality)))
    first, last = rows[:, :5].mean(1), rows[:, 5:].mean(1)
    own = np.linalg.norm(first - last, axis=1).mean()
    others = np.linalg.norm(first[:-1] - last[1:], axis=1).mean()
    assert own < 0.9 * others


def test_subject_effect_of_zero_leaves_no_subject() -> None:
    quiet = Effects(subject=0.0, component=0.0)
    recipe = replace(SMALL, effects=quiet)
    assert recipe.class_to_subject == np.inf
    traits = drawn(replace(recipe, patients=200)).truth.traits
    assert traits.mean(1).var() == pytest.approx(0.25 / 3, rel=0.2)  # of sessions alone


def test_half_of_the_patients_are_cases() -> None:
    for seed in range(5):
        assert drawn(SMALL, seed).truth.label.sum() == 3


def test_sites_go_with_labels_as_far_as_asked_and_shift_traits_alone() -> None:
    sites = Sites(count=2, shift=4.0, label_association=0.8)
    recipe = replace(SMALL, patients=40, sites=sites)
    cohort = drawn(recipe)
    site = np.array([int(name[-1]) for name in cohort.windows.table.sites if name])
    label = cohort.truth.label
    assert label[site == 0].mean() == pytest.approx(0.9)
    assert label[site == 1].mean() == pytest.approx(0.1, abs=0.05)
    plain = drawn(replace(recipe, sites=replace(sites, shift=0.0)))
    moved = cohort.truth.traits - plain.truth.traits
    assert np.linalg.norm(moved, axis=-1) == pytest.approx(4.0)
    assert np.array_equal(cohort.truth.component, plain.truth.component)


def test_windows_are_the_parts_of_the_recordings() -> None:
    cohort = drawn(SMALL)
    recordings, table = cohort.recordings(), cohort.windows.table
    assert len(recordings) == 18
    for row in range(len(cohort.windows)):
        recording = recordings[table.trial[row]]
        assert recording.info.patient == table.patients[table.patient[row]]
        assert recording.info.diagnoses == (table.classes[table.label[row]],)
        part = recording.read(int(table.start[row]), int(table.start[row]) + 64)
        assert np.array_equal(part, cohort.windows.signals[row])


@pytest.mark.parametrize(("modality", "unit"), [("ecg", "mV"), ("eeg", "uV")])
def test_units_and_eight_channels(modality: Modality, unit: str) -> None:
    windows = drawn(replace(SMALL, modality=modality)).windows
    assert set(windows.units) == {unit}
    assert len(windows.channels) == 8
    assert "truth" not in vars(windows)


def test_a_cohort_takes_less_than_two_seconds() -> None:
    start = time.process_time()
    drawn(CohortRecipe())
    drawn(CohortRecipe(modality="ecg"))
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patients": 0}, "0 patients, 3 trials"),
        ({"rates": (0.7, 0.3)}, r"rates got \(0.7, 0.3\)"),
        ({"sites": Sites(count=9)}, "9 sites for 6 patients"),
        ({"rate": 0.0}, "a rate above 0"),
    ],
)
def test_bad_recipes_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedInputError, match=words):
        replace(SMALL, **change)


def test_bad_sites_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="an association in"):
        Sites(count=2, label_association=2.0)
    with pytest.raises(RefusedInputError, match="with one site no label can go with it"):
        Sites(label_association=0.5)

"""Neighbours are never of the same patient; a distance is a percentile of training's own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.case_windows import case_windows
from medconsist.timeseries.patient_model import ProbeClassifier, evidence_of
from medconsist.timeseries.pooling import Evidence
from medconsist.timeseries.recording import InMemoryRecording
from medconsist.timeseries.reference import Reference, trial_means
from medconsist.timeseries.window_set import WindowTable
from medconsist.training.weights import save_weights
from tests.timeseries.small_signals import (
    changed,
    new_recording,
    small_cohort,
    small_comet,
    small_data,
)


def evidence(patients: int = 6, trials: int = 4, *, dim: int = 5, seed: int = 0) -> Evidence:
    """Two windows a trial; the trials of a patient lie close together."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), trials * 2)
    centres = rng.normal(size=(patients, dim))[patient]
    features = centres + 0.1 * rng.normal(size=centres.shape)
    table = WindowTable(
        patient=patient,
        trial=np.repeat(np.arange(patients * trials), 2),
        start=np.zeros(len(patient), np.int64),
        label=patient % 2,
        patients=tuple(f"p{n}" for n in range(patients)),
        classes=("control", "case"),
        sites=(None,) * patients,
    )
    return Evidence(
        torch.from_numpy(features).float(), torch.zeros(len(patient), 2).double(), table
    )


def test_the_same_patient_is_never_a_neighbour() -> None:
    known = evidence()
    reference = Reference.of(known)
    features, trial, first = trial_means(known)
    for row, number in enumerate(trial.tolist()):
        patient = f"p{int(known.table.patient[first[row]])}"
        near = reference.nearest(features[row : row + 1], patient=patient, count=50)[0]
        assert patient not in {one.patient for one in near}
        assert number not in {one.trial for one in near}
        assert len(near) == 20  # all trials of the five others


def test_without_the_exclusion_the_same_trial_would_be_nearest() -> None:
    known = evidence()
    features, trial, _ = trial_means(known)
    near = Reference.of(known).nearest(features[:1], patient=None, count=1)[0][0]
    assert (near.trial, near.patient) == (int(trial[0]), "p0")
    assert near.distance == pytest.approx(0, abs=2e-3)  # float16


def test_neighbours_come_nearest_first_with_their_class() -> None:
    near = Reference.of(evidence()).nearest(torch.randn(1, 5), patient="p3", count=7)[0]
    distances = [one.distance for one in near]
    assert distances == sorted(distances)
    assert {one.label for one in near} <= {"control", "case"}


@pytest.mark.parametrize(
    "fault",
    [
        lambda s: 3 * s,
        lambda s: s + 0.5 * np.random.default_rng(0).normal(size=s.shape),
        lambda s: s + 2 * np.sin(np.arange(len(s)) / 40)[:, None],
        lambda s: -s,
    ],
    ids=["gain", "noise", "drift", "upside down"],
)
def test_recordings_with_a_fault_are_unlike_training_and_clean_ones_are_not(
    fault: Callable[[Any], Any],
) -> None:
    data = small_data(small_cohort())
    model = ProbeClassifier(small_comet(), classes=2).eval()
    reference = Reference.of(evidence_of(model, data.train))

    def median(recording: InMemoryRecording) -> float:
        windows = case_windows([recording], data.preparation).windows
        features, _, _ = trial_means(evidence_of(model, windows))
        return float(reference.percentile(features, patient="new").median())

    clean = new_recording(seed=60)
    assert median(clean) < 95 < median(changed(clean, fault(clean.read())))


def test_percentiles_follow_the_naive_loop() -> None:
    known = evidence(patients=4, trials=3)
    reference = Reference.of(known)
    rows = reference.features.float()

    def mean_of_nearest(row: torch.Tensor, own: int | None) -> float:
        far = [
            float((row - other).square().mean().sqrt())
            for number, other in enumerate(rows)
            if own is None or int(reference.patient[number]) != own
        ]
        return float(np.mean(sorted(far)[:5]))

    new = torch.randn(1, 5, generator=torch.Generator().manual_seed(3))
    mine = mean_of_nearest(((new - reference.centre) * reference.inverse)[0], None)
    below = [mean_of_nearest(rows[n], int(reference.patient[n])) < mine for n in range(12)]
    found = float(reference.percentile(new, patient="new"))
    assert found == pytest.approx(100 * float(np.mean(below)))


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    reference = Reference.of(evidence())
    digest = reference.save(tmp_path / "a.safetensors")
    again, found = Reference.read(tmp_path / "a.safetensors")
    assert digest == found
    assert torch.equal(again.features, reference.features)
    assert again.features.dtype == torch.float16
    assert again.patients == reference.patients


def test_one_patient_is_no_reference_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="all training windows are of one patient"):
        Reference.of(evidence(patients=1))
    path = tmp_path / "w.safetensors"
    save_weights(path, {"w": torch.ones(1)}, architecture={"network": "mil"}, about={})
    with pytest.raises(RefusedInputError, match="holds no reference of training trials"):
        Reference.read(path)

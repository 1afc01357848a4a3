"""Windows become trials and patients, each with one voice."""

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.timeseries.evaluation.answers import Aggregation, aggregated
from medconsist.timeseries.window_set import WindowTable

# patient 0: trial 7 with three windows, trial 2 with one; patient 1: one trial of two windows
TABLE = WindowTable(
    patient=np.array([0, 1, 0, 0, 0, 1]),
    trial=np.array([7, 3, 7, 7, 2, 3]),
    start=np.arange(6),
    label=np.array([1, 0, 1, 1, 1, 0]),
    patients=("a", "b"),
    classes=("control", "case"),
    sites=(None, None),
)
LABELS = np.array([1, 0])


def by_hand(logits: torch.Tensor, how: Aggregation) -> list[float]:
    def value(z: torch.Tensor) -> torch.Tensor:
        return z.softmax(0) if how == "probability" else z.log_softmax(0)

    said = []
    for patient in (0, 1):
        trials = []
        for trial in np.unique(TABLE.trial[TABLE.patient == patient]):
            rows = np.flatnonzero(TABLE.trial == trial)
            trials.append(torch.stack([value(logits[row]) for row in rows]).mean(0))
        mean = torch.stack(trials).mean(0)
        said.append(float(mean[1] if how == "probability" else mean.softmax(0)[1]))
    return said


@pytest.mark.parametrize("how", ["probability", "logit"])
def test_a_patient_is_the_mean_of_trials_that_are_means_of_windows(
    how: Aggregation, generator: torch.Generator
) -> None:
    logits = torch.randn(6, 2, generator=generator).double()
    windows, trials, patients = aggregated(logits, TABLE, LABELS, round_of=5, how=how)
    # float64: rounding only
    assert patients.score.tolist() == pytest.approx(by_hand(logits, how), abs=1e-12)
    assert patients.label.tolist() == [1, 0]
    assert patients.patient.tolist() == [0, 1]
    assert len(windows.label) == 6
    assert trials.patient.tolist() == [0, 1, 0]
    assert patients.round_of.tolist() == [5, 5]


@pytest.mark.parametrize("how", ["probability", "logit"])
def test_the_order_of_windows_does_not_matter(how: Aggregation, generator: torch.Generator) -> None:
    logits = torch.randn(6, 2, generator=generator).double()
    order = torch.randperm(6, generator=generator)
    _, _, one = aggregated(logits, TABLE, LABELS, round_of=0, how=how)
    _, _, other = aggregated(logits[order], TABLE.take(order.numpy()), LABELS, round_of=0, how=how)
    assert torch.allclose(one.probabilities, other.probabilities, atol=1e-12)  # sums in any order


def test_logits_that_are_not_finite_or_too_few_are_refused() -> None:
    logits = torch.zeros(6, 2).double()
    logits[2, 0] = torch.nan
    with pytest.raises(RefusedInputError, match="6 rows of logits for 6 windows, 1 of them"):
        aggregated(logits, TABLE, LABELS, round_of=0, how="logit")
    with pytest.raises(RefusedInputError, match="5 rows of logits for 6 windows"):
        aggregated(logits[:5], TABLE, LABELS, round_of=0, how="logit")

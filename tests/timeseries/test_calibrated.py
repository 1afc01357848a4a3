"""Calibration on patients: sets hold the true class as often as promised, and few say so."""

import torch

from medconsist.metrics.conformal_sets import check_coverage
from medconsist.timeseries.calibrated import calibrated


def overconfident(patients: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits three times as large as they should be."""
    generator = torch.Generator().manual_seed(seed)
    margin = 2 * torch.randn(patients, generator=generator).double()
    label = (torch.rand(patients, generator=generator) < margin.sigmoid()).long()
    return 3 * torch.stack([-margin / 2, margin / 2], 1), label


def test_temperature_mends_overconfidence_and_sets_keep_their_promise() -> None:
    validation, calibration = overconfident(2000, seed=0), overconfident(500, seed=1)
    logits = {"validation": validation[0], "calibration": calibration[0]}
    labels = {"validation": validation[1], "calibration": calibration[1]}
    found = calibrated(logits, labels, alpha=0.1)
    assert 2.7 < found.temperature.value < 3.3
    assert found.notes == ()
    fresh, truth = overconfident(2000, seed=2)
    said = found.temperature.apply(fresh).softmax(1)
    checked = check_coverage(found.sets, said, truth)
    assert checked.p_exchangeable is not None
    assert checked.p_exchangeable > 0.01


def test_few_patients_and_one_class_are_said() -> None:
    logits = torch.tensor([[0.0, 1.0], [0.0, 2.0]]).double()
    found = calibrated({"validation": logits}, {"validation": torch.ones(2).long()}, alpha=0.1)
    assert found.point is None
    assert "auc" not in found.scores
    assert found.sets.limits == (None, None)
    text = " ".join(found.notes)
    for part in ("fewer than 20", "no patient can be assessed", "flatter", "left at 1"):
        assert part in text

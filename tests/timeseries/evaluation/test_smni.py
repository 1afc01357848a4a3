"""The figures that the specification measured on sixteen real patients."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from medconsist.timeseries.evaluation.band_power import BandPower
from medconsist.timeseries.evaluation.candidate import Probed
from medconsist.timeseries.evaluation.judge import JudgeSettings, judge
from medconsist.timeseries.evaluation.probes import LogisticProbe
from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
from medconsist.timeseries.window_set import WindowSet
from tests.timeseries.evaluation.patients import smni

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def windows(data_dir: Path) -> WindowSet:
    return smni(data_dir)


def test_band_power_gives_the_measured_accuracies(windows: WindowSet) -> None:
    features, label = BandPower().features(windows), windows.table.label
    probe, patient = LogisticProbe(), windows.table.patient

    def score(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        logits = probe.fit(features[train], label[train], 2)(features[test])
        return (logits[:, 1] - logits[:, 0]).numpy()

    alone = np.empty(len(label))
    for one in range(16):
        here = patient == one
        alone[here] = score(np.flatnonzero(~here), here)
    # areas pooled over models are biased; these two figures are the specification's own
    assert ((alone > 0) == label).mean() == pytest.approx(0.659, abs=5e-4)
    assert roc_auc_score(label, alone) == pytest.approx(0.696, abs=5e-4)
    mixed = np.empty(len(label))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for train, test in folds.split(features, label):
        mixed[test] = score(train, test)
    assert ((mixed > 0) == label).mean() == pytest.approx(0.965, abs=5e-4)
    assert roc_auc_score(label, mixed) == pytest.approx(0.989, abs=5e-4)


def test_band_power_over_left_out_pairs_gives_the_measured_area(windows: WindowSet) -> None:
    rounds = make_rounds(windows.table, RoundsPlan(kind="pairs"))
    settings = JudgeSettings(permutations=0)
    report = judge(windows, [Probed(BandPower(), LogisticProbe())], rounds, settings)
    area = report.rows[0].figures["AUC"]
    assert area.mean == 0.8125
    assert area.ci_low is not None
    assert area.ci_low < 0.5  # sixteen patients do not even tell this from chance
    assert "covers" in report.text
    assert "not run" in report.text

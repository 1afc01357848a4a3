"""Recordings for ``medconsist bench alarm``: clean ones, swapped electrodes, a noisier device."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor

from medconsist.metrics.alarm_delay import AlarmPools, CasePool
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.conformal import Direction
from medconsist.timeseries.evaluation.band_power import BandPower
from medconsist.timeseries.evaluation.probes import LogisticProbe
from medconsist.timeseries.pooling import Evidence
from medconsist.timeseries.reference import NEAREST, Reference
from medconsist.timeseries.simulated.cohort import simulate_cohort
from medconsist.timeseries.simulated.faults import plant
from medconsist.timeseries.simulated.recipe import CohortRecipe
from medconsist.timeseries.window_set import WindowSet
from medconsist.timeseries.withheld_leads import WithheldLeads

__all__ = ["SCORES", "SignalStudy", "signal_pools"]

SCORES: dict[str, Direction] = {
    "withheld_leads": "high_is_bad",
    "withheld_lead_worst": "high_is_bad",
    "withheld_segments": "high_is_bad",
    "distance": "high_is_bad",
}
SWAP, NOISE = "electrodes RA and LA swapped", "noise of another device"
FAULT_OF: Mapping[str, str] = MappingProxyType({SWAP: "swap", NOISE: "device"})


@dataclass(frozen=True, kw_only=True)
class SignalStudy:
    """How many patients of this simulator, each one ECG of four segments of 2 s, eight leads.

    Parameters
    ----------
    train
        Patients of the model: band power with logistic regression.
    calibration, clean, changed
        Patients of each pool; as many changed ones for each change.

    Examples
    --------
    >>> SignalStudy(train=20).clean
    1000
    """

    train: int = 200
    calibration: int = 300
    clean: int = 1000
    changed: int = 300


def signal_pools(study: SignalStudy | None = None, *, seed: int) -> AlarmPools:
    """Return the scores of patients of this simulator; no patient is in two pools.

    The leads I, II and V1 to V6, from which the other four of twelve follow. ``withheld_leads``:
    each lead is told from the other seven by the linear rule of the training patients; what is
    left over, as a share of the power of all leads. ``withheld_lead_worst``: of the lead where
    that share is largest. ``withheld_segments``: standard deviation of the probability over the
    four answers with one segment left out. ``distance``: to the five nearest training
    recordings, on average (`Reference.distances`). The rival is 1 less the probability of the
    called class.
    """
    study = study or SignalStudy()
    generator = Generator().manual_seed(seed)
    sizes = [study.train, study.calibration, study.clean, study.changed, study.changed]
    recipe = CohortRecipe(
        modality="ecg", patients=sum(sizes), trials=1, windows=4, samples=256, rate=128.0
    )
    windows = simulate_cohort(recipe, generator=generator).windows
    ends = recipe.windows * np.cumsum([0, *sizes])
    train, calibration, clean, *changed = (windows.take(np.arange(a, b)) for a, b in pairwise(ends))
    model = _Model.of(train, recipe.windows)
    return AlarmPools(
        names=SCORES,
        plain="1 - max softmax",
        unit="simulated patient",
        calibration=model.pool(calibration),
        clean=model.pool(clean),
        changed={
            name: model.pool(plant(part, FAULT_OF[name], generator=generator))
            for name, part in zip(FAULT_OF, changed, strict=True)
        },
        facts={"AUC of the class": model.area(clean)},
    )


@dataclass(frozen=True, eq=False)
class _Model:
    """What was learned from the training patients."""

    segments: int
    withheld: WithheldLeads
    classify: Callable[[npt.NDArray[np.float64]], Tensor]
    reference: Reference

    @classmethod
    def of(cls, train: WindowSet, segments: int) -> "_Model":
        features = BandPower().features(train)
        classify = LogisticProbe().fit(features, train.table.label, 2)
        evidence = Evidence(
            torch.from_numpy(features).float(), classify(features).double(), train.table
        )
        return cls(segments, WithheldLeads.of(train), classify, Reference.of(evidence))

    def pool(self, windows: WindowSet) -> CasePool:
        features = BandPower().features(windows)
        logits = self.classify(features).double().reshape(-1, self.segments, 2)
        without = (logits.sum(1, keepdim=True) - logits) / (self.segments - 1)
        spread = without.softmax(2).std(1, correction=0).amax(1)
        means = torch.from_numpy(features).float().reshape(-1, self.segments, features.shape[1])
        far = self.reference.distances(means.mean(1), patient=None)
        nearest = far.topk(min(NEAREST, far.shape[1]), dim=1, largest=False).values.mean(1)
        total, worst = self.withheld.shares(windows, each=self.segments)
        trust = np.stack([total, worst, spread.numpy(), nearest.double().numpy()], axis=1)
        return CasePool(trust, 1 - logits.mean(1).softmax(1).amax(1).numpy())

    def area(self, windows: WindowSet) -> float:
        """Return how well the classes are told from each other."""
        logits = self.classify(BandPower().features(windows)).double()
        score = logits.diff(dim=1).reshape(-1, self.segments).mean(1)
        label = torch.from_numpy(windows.table.label)[:: self.segments]
        return area_under_roc(score, label == 1)

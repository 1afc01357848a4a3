"""Slides for ``medconsist bench alarm``: bags of known sites, of a new one, of more noise."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from medconsist.metrics.alarm_delay import AlarmPools, CasePool
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.conformal import Direction
from medconsist.wsi.mil.card import SpaceRecord
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.methods import MethodChoice
from medconsist.wsi.mil.predictor import Answer, Predictor
from medconsist.wsi.mil.simulate import BagRecipe, simulate_bags
from medconsist.wsi.mil.training_run import MilTraining, Provenance

__all__ = ["SCORES", "SlideStudy", "slide_pools"]

SCORES: dict[str, Direction] = {
    "hidden_spread": "high_is_bad",
    "novelty": "high_is_bad",
    "teacher_probability_gap": "high_is_bad",
    "teacher_attention_gap": "high_is_bad",
}
"""Of the trust record of a prediction; `Predictor.answer` makes them."""
STAIN, NOISE = "stain of a new site", "scanner noise"
_SITES = 4  # the last one is the new one
_TRAIN = 1


@dataclass(frozen=True, kw_only=True)
class SlideStudy:
    """How many bags of this simulator, and what is learned from some of them.

    Parameters
    ----------
    train, validation
        Cases of the model.
    calibration, clean, changed
        Cases of each pool; as many changed ones for each change.
    epochs, width
        Of the training: MHIM over ABMIL, the plain model with teacher and student.
    noise
        Standard deviation that the noisier scanner adds to each number of a feature; that of a
        direction of tissue is 1.
    recipe
        Of the bags; their number is replaced, and each patient has one case.

    Examples
    --------
    >>> SlideStudy(train=40).clean
    1000
    """

    train: int = 160
    validation: int = 60
    calibration: int = 300
    clean: int = 1000
    changed: int = 300
    epochs: int = 30
    width: int = 64
    noise: float | int = 0.5
    recipe: BagRecipe = field(
        default_factory=lambda: BagRecipe(instances=(40, 120), sites=_SITES, two_cases=0)
    )

    @property
    def known(self) -> tuple[int, ...]:
        """Cases of known sites, by use."""
        return self.train, self.validation, self.calibration, self.clean, self.changed

    @property
    def bags(self) -> int:
        """Cases of all sites, which are of one size."""
        of_site = max(-(-sum(self.known) // (_SITES - 1)), self.changed)
        return _SITES * of_site


def slide_pools(study: SlideStudy | None = None, *, seed: int) -> AlarmPools:
    """Return the scores of cases of this simulator, nobody's tissue; no case is in two pools.

    A stain or scanner is a shift of all features of a site (`BagRecipe`); the model knows three
    sites, and clean cases come from these. The rival is 1 less the probability of the called class.
    """
    study = study or SlideStudy()
    recipe = replace(study.recipe, bags=study.bags)
    cohort = simulate_bags(recipe, draw=seed).cohort
    new = f"site-{_SITES - 1}"
    other = [info.case for info in cohort.infos if info.site == new][: study.changed]
    known = [info.case for info in cohort.infos if info.site != new]
    ends = np.cumsum([0, *study.known])
    train, validation, calibration, clean, noisy = (
        cohort.of_cases(known[a:b]) for a, b in pairwise(ends)
    )
    predictor = _trained(train, validation, study, seed)
    generator = Generator().manual_seed(seed)
    answers = _answers(predictor, clean, generator)
    shown = torch.tensor([answer.probabilities[-1] for answer in answers])
    return AlarmPools(
        names=SCORES,
        plain="1 - max softmax",
        unit="simulated case",
        calibration=_pool(_answers(predictor, calibration, generator)),
        clean=_pool(answers),
        changed={
            STAIN: _pool(_answers(predictor, cohort.of_cases(other), generator)),
            NOISE: _pool(_answers(predictor, noisy, generator, noise=study.noise)),
        },
        facts={"AUC of the class": area_under_roc(shown, clean.labels == 1)},
    )


def _trained(train: Cohort, validation: Cohort, study: SlideStudy, seed: int) -> Predictor:
    with tempfile.TemporaryDirectory() as folder:
        return MilTraining(
            out=Path(folder) / "model",
            choice=MethodChoice(name="mhim", width=study.width),
            train=train,
            validation=validation,
            provenance=Provenance(
                space=SpaceRecord(dim=study.recipe.dim), study="bags of this simulator"
            ),
            epochs=study.epochs,
            seed=seed,
            progress=False,
        ).run()


def _answers(
    predictor: Predictor, cohort: Cohort, generator: Generator, *, noise: float | int = 0
) -> list[Answer]:
    answers = []
    for bag in range(len(cohort)):
        rows: Tensor = cohort.rows(bag)
        if noise:
            rows = rows + noise * torch.randn(rows.shape, generator=generator)
        answers.append(predictor.answer(rows, generator=generator))
    return answers


def _pool(answers: Sequence[Answer]) -> CasePool:
    def of(scores: Mapping[str, float]) -> list[float]:
        return [scores[name] for name in SCORES]

    return CasePool(
        np.array([of(answer.scores) for answer in answers], np.float64),
        np.array([1 - max(answer.probabilities) for answer in answers], np.float64),
    )

"""Small bags with a few telling instances, and a tiny model trained on them."""

from functools import cache
from typing import Any

import torch
from torch import Generator

from medconsist.training.weights import StoredWeights
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.mhim.config import MhimConfig
from medconsist.wsi.mil.mhim.masking import MaskConfig
from medconsist.wsi.mil.mhim.objective import MhimObjective
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilModel, MilSize

DIM, WIDTH = 12, 16


def cohort(count: int = 12, *, seed: int = 0, name: str = "t") -> Cohort:
    """Bags of 12 to 31 instances; an eighth of a positive one is telling, another twice so."""
    generator = Generator().manual_seed(seed)
    bags = []
    for number in range(count):
        size = int(torch.randint(12, 32, (1,), generator=generator))
        bag = torch.randn(size, DIM, generator=generator)
        if number % 2:
            bag[: size // 4, 0] += 2.0
            bag[: size // 8, 1] += 3.0
        bags.append(bag[torch.randperm(size, generator=generator)])
    infos = [BagInfo(case=f"{name}{n}", patient=f"{name}{n}", label=n % 2) for n in range(count)]
    return Cohort.of(InMemoryBags(bags), infos)


def make(generator: Generator, dropout: float = 0.25) -> Abmil:
    """Return the model of MHIM-MIL: plain, ReLU, no bias in its attention."""
    size = MilSize(dim=DIM, width=WIDTH, dropout=dropout)
    return Abmil(size, activation="relu", bias=False, generator=generator)


def make_plain(generator: Generator) -> Abmil:
    """Return the same without dropout."""
    return make(generator, dropout=0.0)


@cache
def baseline(seed: int = 5) -> StoredWeights:
    """Return weights that stand for a trained model, other than any student's first ones."""
    return stored(make(Generator().manual_seed(seed)))


def stored(model: MilModel) -> StoredWeights:
    """Return a model's weights as if read from a file."""
    return StoredWeights(model.state_dict(), {}, {}, "0" * 64)


def config(**changes: Any) -> MhimConfig:
    """Return settings in which every set of the mask is at work."""
    mask = MaskConfig(random=0.2, low=0.1, high=0.2, rho=0.5)
    values: dict[str, Any] = {"mask": mask, "momentum": 0.9, "alpha": 0.5}
    return MhimConfig(**values | changes)


def objective(*, make: Any = make, **changes: Any) -> MhimObjective:
    """Return the task on small cohorts."""
    validation = cohort(8, seed=1, name="v")
    scores = changes.pop("given", None)
    weights = changes.pop("baseline", baseline())
    settings = config(**changes)
    return MhimObjective(make, weights, settings, cohort(), validation, scores=scores)

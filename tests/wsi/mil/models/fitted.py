"""One small training for any model: three classes, one-instance bags, features in fp16."""

from pathlib import Path
from typing import Any

import torch
from torch import Generator

from medconsist.training.draws import Place
from medconsist.training.fit import Fitted, fit
from medconsist.training.settings import TrainConfig
from medconsist.wsi.mil.cohort import BagInfo, BagSource, Cohort, InMemoryBags
from medconsist.wsi.mil.models.base import MilModel, MilSize
from medconsist.wsi.mil.models.choice import make_model
from medconsist.wsi.mil.objective import DrawnBags, MilObjective, Sampling

DIM, CLASSES = 12, ("a", "b", "c")


class Interrupted(MilObjective):
    """Stops before its third step."""

    def draw_at(self, generator: Generator, place: Place) -> DrawnBags:
        if place.step == 2:
            msg = "pulled the plug"
            raise RuntimeError(msg)
        return super().draw_at(generator, place)


def cohort(count: int, prefix: str, source: BagSource | None = None) -> Cohort:
    if source is None:
        generator = Generator().manual_seed(count)
        bags = [torch.randn(1 + 7 * n % 23, DIM, generator=generator) for n in range(count)]
        source = InMemoryBags([bag.half() for bag in bags])
    names = [f"{prefix}{n}" for n in range(count)]
    infos = [BagInfo(case=name, patient=name, label=n % 3) for n, name in enumerate(names)]
    return Cohort.of(source, infos, classes=CLASSES)


def run(
    name: str,
    folder: Path,
    *,
    source: BagSource | None = None,
    kind: type[MilObjective] = MilObjective,
    resume: bool = False,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> Fitted:
    chosen = {"landmarks": 8} if name == "transmil" else options or {}

    def make(generator: Generator) -> MilModel:
        size = MilSize(dim=DIM, classes=3, width=16)
        return make_model(name, size, generator=generator, **chosen)

    count = 9 if source is None else len(source)
    objective = kind(
        make,
        cohort(count, "t", source),
        cohort(6, "v"),
        sampling=Sampling(bags=2, instances=8),
    )
    config = TrainConfig(steps=3, evaluate_every=2, checkpoint_every=1, **settings)
    return fit(objective, config, folder, recipe={}, resume=resume, progress=False)

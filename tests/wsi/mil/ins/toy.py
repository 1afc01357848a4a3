"""Small synthetic bags: a few instances of a positive bag are shifted in one direction."""

import torch
from torch import Generator, Tensor

from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags

DIM = 16


def bags(
    count: int, *, seed: int = 0, instances: int = 30, rate: float = 0.2, shift: float = 3.0
) -> tuple[list[Tensor], list[Tensor]]:
    """Return features and truth of ``count`` bags, every second one positive."""
    generator = Generator().manual_seed(seed)
    direction = torch.zeros(DIM)
    direction[:4] = shift / 2
    features, truth = [], []
    for number in range(count):
        n = int(torch.randint(instances // 2, instances, (1,), generator=generator))
        positive = torch.rand(n, generator=generator) < rate
        positive[0] = True
        positive = positive & (number % 2 == 1)
        rows = torch.randn(n, DIM, generator=generator)
        features.append(rows + positive[:, None] * direction)
        truth.append(positive)
    return features, truth


def cohort(features: list[Tensor], name: str = "train") -> Cohort:
    """Return these bags with the labels of `bags`, a patient each."""
    infos = [
        BagInfo(case=f"{name}-{n}", patient=f"{name}-p{n}", label=n % 2)
        for n in range(len(features))
    ]
    return Cohort.of(InMemoryBags(features), infos)

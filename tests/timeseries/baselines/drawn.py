"""A small batch for the tests of the baselines."""

import torch

from medconsist.timeseries.pretext import DrawnWindows, PretextSize

SIZE = PretextSize(channels=2, samples=64, rate=64.0)


def drawn(size: PretextSize = SIZE, *, batch: int = 5, seed: int = 0) -> DrawnWindows:
    """Return noise of patients 0, 0, 1, 1, 2, ..."""
    generator = torch.Generator().manual_seed(seed)
    signals = torch.randn(batch, size.samples, size.channels, generator=generator)
    number = torch.arange(batch)
    return DrawnWindows(signals, number // 2, number, 0 * number, seed=seed)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)

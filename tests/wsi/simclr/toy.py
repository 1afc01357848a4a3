"""Tiny pools and a tiny network: stripes of any width, direction and strength under noise."""

import math

import numpy as np
import torch
from torch import Generator, Tensor

from medconsist.networks.resnet import ResNetConfig
from medconsist.wsi.simclr.config import SimclrConfig
from medconsist.wsi.simclr.objective import SimclrObjective
from medconsist.wsi.simclr.tile_pool import TilePool
from medconsist.wsi.simclr.views import Views

TINY = ResNetConfig(block="basic", depths=(1,))
PERIODS = (3.0, 9.0)


def stripes(n_tiles: int, seed: int, side: int = 24) -> tuple[Tensor, Tensor]:
    """Return tiles and which of them have the wider stripes."""
    generator = Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n_tiles, *shape, generator=generator)

    period = uniform(*PERIODS)
    angle, phase = uniform(0, math.pi), uniform(0, 2 * math.pi)
    wave = 2 * math.pi / period
    place = torch.arange(side).float()
    along = angle.cos()[:, None, None] * place[:, None] + angle.sin()[:, None, None] * place
    pattern = (wave[:, None, None] * along + phase[:, None, None]).sin()[..., None]
    noise = 30 * torch.randn(n_tiles, side, side, 3, generator=generator)
    tiles = torch.tensor([190.0, 130.0, 170.0]) + uniform(10, 40, 1, 1, 1) * pattern + noise
    return tiles.clamp(0, 255).byte(), period > sum(PERIODS) / 2


def pool(n_tiles: int = 16, slides: int = 4, seed: int = 0, name: str = "slide") -> TilePool:
    """Return a pool of stripes, the slides taking turns."""
    names = [f"{name}-{index % slides}" for index in range(n_tiles)]
    return TilePool.from_array(stripes(n_tiles, seed)[0].numpy(), names, mpp=0.5)


def config(**changes: object) -> SimclrConfig:
    """Return a task that takes milliseconds a step."""
    values = {"backbone": TINY, "projection": 16, "batch": 8, "views": Views(pixels=24, blur=1.0)}
    return SimclrConfig(**values | {"bank": 24} | changes)  # type: ignore[arg-type]  # by name


def objective(*, validation: bool = False, **changes: object) -> SimclrObjective:
    """Return the task on a small pool."""
    others = pool(12, seed=1, name="other") if validation else None
    return SimclrObjective(config(**changes), pool(), others)


def random_tiles(n_tiles: int, side: int = 32, seed: int = 0) -> Tensor:
    """Return uint8 noise, which shows every move of a pixel."""
    shape = (n_tiles, side, side, 3)
    return torch.from_numpy(np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8))

"""Weights of a network that is small, and still: its image is the zero-filled one."""

from pathlib import Path

import torch

from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.training.weights import save_weights

TINY = CirimConfig(cascades=2, steps=2, features=4)


def write_network(
    path: Path, *, trained_on: str = "simulation", architecture: dict[str, object] | None = None
) -> Path:
    """Write the weights and return their path."""
    network = Cirim(TINY, generator=torch.Generator().manual_seed(1))
    for block in network.cascades:
        torch.nn.init.zeros_(block.out.weight)  # type: ignore[arg-type, union-attr]  # a RimBlock
    save_weights(
        path,
        network.state_dict(),
        architecture={"network": "cirim", **TINY.as_dict(), **(architecture or {})},
        about={"trained_on": trained_on},
    )
    return path

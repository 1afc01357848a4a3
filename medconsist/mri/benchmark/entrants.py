"""The networks of the benchmark: architecture, loss weighting, and the views they stand in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch

from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.comparators.cascade_net import CascadeNetConfig
from medconsist.mri.comparators.kiki_net import KikiNetConfig
from medconsist.mri.comparators.lpd_net import LpdNetConfig
from medconsist.mri.comparators.unet import UNetConfig
from medconsist.mri.comparators.var_net import VarNetConfig
from medconsist.mri.learned.loss import Weighting
from medconsist.mri.learned.networks import make_network, stored_architecture
from medconsist.mri.reconstruction_network import Architecture

__all__ = ["ENTRANTS", "Entrant", "View", "parameters_of"]

View = Literal["time", "parameters", "dose"]


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One network that is trained.

    Parameters
    ----------
    name
        As rows say it.
    network
        Its architecture.
    views
        ``"time"``: equal training time; ``"parameters"``: as many weights as CIRIM 5 x F = 64, at
        the same time; ``"dose"``: one of the forms of data consistency.
    weighting
        Of the loss over steps, see `step_weights`: ATOMMIC's for RIM, IRIM and CIRIM, which are
        trained on all their steps; the last image alone for all others, as they are published.

    Examples
    --------
    >>> Entrant(name="unet", network=UNetConfig(features=8), views=("time",)).weighting
    'last'
    """

    name: str
    network: Architecture
    views: tuple[View, ...]
    weighting: Weighting = "last"

    def as_config(self) -> dict[str, object]:
        """Return what decides its training, as JSON takes it."""
        return {"network": stored_architecture(self.network), "weighting": self.weighting}


def parameters_of(config: Architecture) -> int:
    """Return the number of trainable parameters.

    Examples
    --------
    >>> parameters_of(CirimConfig())
    264960
    """
    with torch.device("meta"):
        return sum(weight.numel() for weight in make_network(config).parameters())


def _cirim(name: str, network: CirimConfig, *views: View) -> Entrant:
    return Entrant(name=name, network=network, views=views, weighting="logspace")


_SMALL = CirimConfig(steps=5, features=32)
_VARNET = VarNetConfig(cascades=4, features=8, pools=3)

ENTRANTS: Mapping[str, Entrant] = MappingProxyType(
    {
        one.name: one
        for one in (
            _cirim("cirim", _SMALL, "time", "dose"),
            _cirim("rim", CirimConfig(cascades=1, unit="gru"), "time"),
            _cirim("irim", CirimConfig(cascades=1), "time"),
            Entrant(name="varnet", network=_VARNET, views=("time", "dose")),
            Entrant(name="unet", network=UNetConfig(features=8), views=("time",)),
            Entrant(
                name="cascadenet",
                network=CascadeNetConfig(features=44),
                views=("time", "parameters"),
            ),
            Entrant(
                name="kikinet",
                network=KikiNetConfig(block="unet", features=12),
                views=("time", "parameters"),
            ),
            Entrant(
                name="lpdnet",
                network=LpdNetConfig(iterations=4, block="unet", features=8),
                views=("time", "parameters"),
            ),
            _cirim("cirim-265k", CirimConfig(steps=5), "parameters"),
            Entrant(
                name="varnet-265k",
                network=VarNetConfig(cascades=4, features=6, pools=3),
                views=("parameters",),
            ),
            Entrant(
                name="unet-265k", network=UNetConfig(features=12, pools=3), views=("parameters",)
            ),
            _cirim(
                "cirim-explicit", CirimConfig(steps=5, features=32, consistency="explicit"), "dose"
            ),
            _cirim(
                "cirim-weighted", CirimConfig(steps=5, features=32, consistency="weighted"), "dose"
            ),
            Entrant(
                name="varnet-implicit",
                network=VarNetConfig(cascades=4, features=8, pools=3, consistency="implicit"),
                views=("dose",),
            ),
            Entrant(
                name="varnet-weighted",
                network=VarNetConfig(cascades=4, features=8, pools=3, consistency="weighted"),
                views=("dose",),
            ),
        )
    }
)
"""By name. CPU-sized: 5 cascades of 5 steps and 32 features for CIRIM (published: 8 and 64), 4
U-Nets of 8 features for VarNet (12 of 18), 8 for the U-Net (64); RIM and IRIM as published. All
that carry the view ``"parameters"`` have 241 to 271 thousand weights, CIRIM 5 x F = 64 has 264,960
whatever its number of steps. VarNet's published form of data consistency is the explicit one."""

"""The networks inside KIKI-net and LPD-net: as published, or U-Nets as in ATOMMIC."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from medconsist.mri.comparators.comparator import Comparator
from medconsist.mri.comparators.conv_stack import ConvStack
from medconsist.mri.comparators.norm_unet import NormUnet
from medconsist.mri.comparators.settings import ComparatorConfig

__all__ = ["CrossDomain", "CrossDomainConfig"]

_RESIDUAL_GAIN = 0.1


@dataclass(frozen=True, kw_only=True)
class CrossDomainConfig(ComparatorConfig):
    """Settings of networks that work on k-space and image in turn.

    Parameters
    ----------
    iterations
        Times that both are visited.
    sharing
        ``"none"``: each iteration has weights of its own; ``"released"``: all have the same, as in
        ATOMMIC, whose list of networks is one network several times.
    block
        ``"cnn"``: see `ConvStack`; ``"unet"``: see `NormUnet`, ATOMMIC's.
    features
        Channels of a block, of a U-Net those of the finest level.
    depth
        Convolutions of a CNN.
    pools
        Halvings of a U-Net.
    phase
        See `ComparatorConfig`.
    """

    iterations: int = 1
    sharing: Literal["none", "released"] = "none"
    block: Literal["cnn", "unet"] = "cnn"
    features: int = 32
    depth: int = 3
    pools: int = 2

    @property
    def blocks(self) -> int:
        """Iterations with weights of their own."""
        return 1 if self.sharing == "released" else self.iterations

    def make_block(
        self,
        inputs: int,
        outputs: int,
        *,
        activation: str,
        adds: bool = False,
        generator: torch.Generator | None = None,
    ) -> ConvStack | NormUnet:
        """Return a block between complex channels; ``adds``: its output is added to its input."""
        if self.block == "unet":
            return NormUnet(
                inputs,
                outputs,
                features=self.features,
                pools=self.pools,
                adds=adds,
                generator=generator,
            )
        return ConvStack(
            inputs,
            outputs,
            features=self.features,
            depth=self.depth,
            activation=activation,
            gain=_RESIDUAL_GAIN if adds else 1.0,
            generator=generator,
        )


class CrossDomain(Comparator):
    """Iterations of which each has a part of its own, or all the same one."""

    config: CrossDomainConfig

    def _parts(self) -> Iterator[nn.Module]:
        parts = list(self.cascades)
        return iter(parts * (self.config.iterations // len(parts)))

    @abstractmethod
    def _part(self, generator: torch.Generator | None) -> nn.Module:
        """Return the networks of one iteration."""

    def _build(self, generator: torch.Generator | None) -> None:
        self.cascades = nn.ModuleList(self._part(generator) for _ in range(self.config.blocks))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stub

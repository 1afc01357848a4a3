"""One U-Net on the zero-filled image."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from medconsist.mri.comparators.comparator import Comparator, State
from medconsist.mri.comparators.norm_unet import NormUnet
from medconsist.mri.comparators.scan import Scan
from medconsist.mri.comparators.settings import ComparatorConfig

__all__ = ["UNet", "UNetConfig"]


@dataclass(frozen=True, kw_only=True)
class UNetConfig(ComparatorConfig):
    """The architecture of `UNet`; by default of ATOMMIC's, and Ronneberger's, size.

    Parameters
    ----------
    features
        Channels of the finest level, doubled at each halving.
    pools
        Halvings.
    phase
        See `ComparatorConfig`.

    Examples
    --------
    >>> UNetConfig().blocks
    1
    """

    kind: ClassVar[str] = "unet"

    features: int = 64
    pools: int = 4

    @property
    def blocks(self) -> int:
        """One U-Net."""
        return 1


class UNet(Comparator):
    """``x = U(A^H y)`` for each map set; what was measured is not looked at again.

    Zbontar et al. 2018, arXiv:1811.08839, on complex images as in ATOMMIC: real and imaginary parts
    are normalised on their own, see `NormUnet`. Coils meet in ``A^H y`` alone, so that any unitary
    mix of them gives the same image; a positive factor of the samples is a factor of the image. A
    global phase is not, unless it is removed (`ComparatorConfig`).

    Examples
    --------
    >>> net = UNet(UNetConfig(features=4, pools=2))
    >>> y = torch.ones(1, 4, 16, 16, dtype=torch.complex64)
    >>> net(y, y[:, 0].real > 0, y[:, None] / 2, torch.tensor([0.01])).shape
    torch.Size([1, 1, 1, 1, 16, 16])
    """

    def __init__(self, config: UNetConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config: UNetConfig = config
        unet = NormUnet(1, 1, features=config.features, pools=config.pools, generator=generator)
        self.cascades = nn.ModuleList([unet])
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stub

    def _start(self, scan: Scan) -> State:
        return (scan.zerofilled,)

    def _iterate(self, scan: Scan, part: nn.Module, *state: Tensor) -> State:  # noqa: ARG002
        (x,) = state
        found: Tensor = part(x.flatten(0, 1)[:, None])
        return (found.reshape(x.shape),)

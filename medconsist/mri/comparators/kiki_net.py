"""KIKI-net: convolutional networks on k-space and image in turn."""

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from medconsist.mri.comparators.blocks import CrossDomain, CrossDomainConfig
from medconsist.mri.comparators.comparator import State
from medconsist.mri.comparators.scan import Scan

__all__ = ["KikiNet", "KikiNetConfig"]


@dataclass(frozen=True, kw_only=True)
class KikiNetConfig(CrossDomainConfig):
    """The architecture of `KikiNet`; by default KIKI of its paper.

    Parameters
    ----------
    iterations, sharing, block, features, depth, pools, phase
        See `CrossDomainConfig`. K-I-K-I of CNNs of 25 layers with 32 features (unverified) and
        ReLU.
    consistency
        ``"interleaved"``: the samples are put into the k-space of the image,
        ``k' = E x + w M (y - E x)``, the paper's for w = 1; ``"released"``: ATOMMIC's
        ``E E^H (K - w M (k - y) - E x)`` with K the output of the k-space network, begun with
        ``k = y``, so that the first w has no gradient; ``"none"``: ``k' = E x``.

    Examples
    --------
    >>> KikiNetConfig.released().blocks
    1
    """

    kind: ClassVar[str] = "kikinet"

    iterations: int = 2
    depth: int = 25
    consistency: Literal["interleaved", "released", "none"] = "interleaved"

    @classmethod
    def released(cls) -> "KikiNetConfig":
        """Return ATOMMIC's KIKINet: 233,093 parameters."""
        return cls(sharing="released", block="unet", features=16, consistency="released")


class _Iteration(nn.Module):
    """The two networks of one iteration, and w where there is one."""

    def __init__(self, config: KikiNetConfig, generator: torch.Generator | None) -> None:
        super().__init__()
        self.kspace_net = config.make_block(1, 1, activation="relu", generator=generator)
        adds = config.block == "cnn"
        self.image_net = config.make_block(1, 1, activation="relu", adds=adds, generator=generator)
        if config.consistency != "none":
            self.dc_weight = nn.Parameter(torch.ones(1))


class KikiNet(CrossDomain):
    """``k -> E^H K(k) -> I -> data consistency``, again and again.

    Eo et al. 2018, doi:10.1002/mrm.27201, for one coil. With several, the k-space network K sees
    each coil on its own, with the same weights, and the image network I the combined image of each
    map set; the CNN I adds to its input, a U-Net replaces it. ATOMMIC's
    `KikiNetConfig.released` has U-Nets, one set of weights for both iterations and another form of
    data consistency. The image after an iteration is ``E^H k'``. Other than in the paper all is
    trained at once.

    K sees coil by coil: only the order of coils does not matter. With U-Nets a positive factor of
    the samples is a factor of the image; the CNNs have biases. A global phase is no phase of the
    image unless it is removed (`ComparatorConfig`).

    Examples
    --------
    >>> net = KikiNet(KikiNetConfig(features=4, depth=3))
    >>> y = torch.ones(1, 4, 16, 16, dtype=torch.complex64)
    >>> net(y, y[:, 0].real > 0, y[:, None] / 2, torch.tensor([0.01])).shape
    torch.Size([2, 1, 1, 1, 16, 16])
    """

    def __init__(self, config: KikiNetConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config: KikiNetConfig = config
        self._build(generator)

    def _part(self, generator: torch.Generator | None) -> nn.Module:
        return _Iteration(self.config, generator)

    def _start(self, scan: Scan) -> State:
        return scan.zerofilled, scan.samples

    def _iterate(self, scan: Scan, part: nn.Module, *state: Tensor) -> State:
        nets, before = cast("_Iteration", part), state[1]
        completed = nets.kspace_net(before.flatten(0, 1)[:, None]).reshape(before.shape)
        x = scan.coils.H(completed)
        refined = nets.image_net(x.flatten(0, 1)[:, None]).reshape(x.shape)
        if self.config.block == "cnn":
            refined = x + refined
        kspace = scan.coils(refined)
        match self.config.consistency:
            case "interleaved":
                kspace = scan.towards_samples(kspace, nets.dc_weight)
                return scan.coils.H(kspace), kspace
            case "released":
                change = scan.towards_samples(before, nets.dc_weight) - before
                image = scan.coils.H(completed + change - kspace)
                return image, scan.coils(image)
        return refined, kspace

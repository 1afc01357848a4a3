"""LPD-net: the learned primal-dual iteration for MRI."""

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from medconsist.mri.comparators.blocks import CrossDomain, CrossDomainConfig
from medconsist.mri.comparators.comparator import State
from medconsist.mri.comparators.scan import Scan

__all__ = ["LpdNet", "LpdNetConfig"]


@dataclass(frozen=True, kw_only=True)
class LpdNetConfig(CrossDomainConfig):
    """The architecture of `LpdNet`; by default that of Adler and Öktem.

    Parameters
    ----------
    iterations, sharing, block, features, depth, pools, phase
        See `CrossDomainConfig`. Ten iterations of CNNs of three layers with 32 features and PReLU
        (the paper's numbers unverified).
    primal, dual
        Images, and coil k-spaces, that are remembered from one iteration to the next.
    residual
        ``"adler"``: the blocks add to what is remembered; ``"released"``: they replace it, as in
        ATOMMIC.

    Examples
    --------
    >>> LpdNetConfig.released().iterations
    5
    """

    kind: ClassVar[str] = "lpdnet"

    iterations: int = 10
    primal: int = 5
    dual: int = 5
    residual: Literal["adler", "released"] = "adler"

    @classmethod
    def released(cls) -> "LpdNetConfig":
        """Return ATOMMIC's LPDNet: 236,532 parameters."""
        return cls(iterations=5, sharing="released", block="unet", features=16, residual="released")


class _Iteration(nn.Module):
    """The dual and the primal network of one iteration."""

    def __init__(self, config: LpdNetConfig, generator: torch.Generator | None) -> None:
        super().__init__()
        adds = config.residual == "adler"
        self.dual_net, self.primal_net = (
            config.make_block(
                remembered + seen, remembered, activation="prelu", adds=adds, generator=generator
            )
            for remembered, seen in ((config.dual, 2), (config.primal, 1))
        )


class LpdNet(CrossDomain):
    """``h <- h + D([h, A p_1, y])``, ``p <- p + P([p, A^H h_0])``; the image is ``p_0``.

    Adler & Öktem 2018, doi:10.1109/TMI.2018.2799231 (arXiv:1707.06474), with memories
    ``p_0 ... p_4`` of images and ``h_0 ... h_4`` of coil k-space; p_1 is what is measured anew,
    where there is only one p_0. As in ATOMMIC's MRI form the memories begin as copies of the
    zero-filled image and of the samples. The dual network D sees each coil on its own, the primal
    network P each map set, with the same weights. ATOMMIC's `LpdNetConfig.released` has U-Nets that
    replace the memories, and one set of weights for all iterations.

    D sees coil by coil: only the order of coils does not matter. With U-Nets a positive factor of
    the samples is a factor of the image; the CNNs have biases. A global phase is no phase of the
    image unless it is removed (`ComparatorConfig`).

    Examples
    --------
    >>> net = LpdNet(LpdNetConfig(iterations=2, features=4))
    >>> y = torch.ones(1, 4, 16, 16, dtype=torch.complex64)
    >>> net(y, y[:, 0].real > 0, y[:, None] / 2, torch.tensor([0.01])).shape
    torch.Size([2, 1, 1, 1, 16, 16])
    """

    def __init__(self, config: LpdNetConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config: LpdNetConfig = config
        self._build(generator)

    def _part(self, generator: torch.Generator | None) -> nn.Module:
        return _Iteration(self.config, generator)

    def _start(self, scan: Scan) -> State:
        x, y = scan.zerofilled, scan.samples
        primal = x[:, :, None].expand(-1, -1, self.config.primal, -1, -1)
        dual = y[:, :, None].expand(-1, -1, self.config.dual, -1, -1)
        return x, primal, dual

    def _iterate(self, scan: Scan, part: nn.Module, *state: Tensor) -> State:
        _, primal, dual = state
        nets = cast("_Iteration", part)
        measured = scan.operator(primal[:, :, min(1, self.config.primal - 1)])
        seen = torch.stack([measured, scan.samples], dim=2)
        dual = self._updated(nets.dual_net, dual, seen)
        back = scan.operator.H(dual[:, :, 0])[:, :, None]
        primal = self._updated(nets.primal_net, primal, back)
        return primal[:, :, 0], primal, dual

    def _updated(self, net: nn.Module, memory: Tensor, seen: Tensor) -> Tensor:
        """Return the memory after one visit; coils, or sets, count as slices."""
        found = net(torch.cat([memory, seen], dim=2).flatten(0, 1)).reshape(memory.shape)
        return memory + found if self.config.residual == "adler" else found

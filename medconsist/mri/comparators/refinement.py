"""Cascades of one refinement each, with data consistency in one of the forms in use."""

from abc import abstractmethod
from typing import Literal, cast

import torch
from torch import Tensor, nn

from medconsist.mri.comparators.comparator import Comparator, State
from medconsist.mri.comparators.scan import Scan
from medconsist.mri.comparators.settings import ComparatorConfig

__all__ = ["Consistency", "Refinement", "RefiningCascade"]

Consistency = Literal["kspace", "weighted", "varnet", "explicit", "implicit", "none"]
"""How a cascade with refinement G meets the data, w learned and 1 at first (`RefiningCascade`)."""


class Refinement(nn.Module):
    """The weights of one cascade: a network on complex images, and w where there is one.

    Examples
    --------
    >>> Refinement(nn.Identity(), "explicit").dc_weight
    Parameter containing:
    tensor([1.], requires_grad=True)
    """

    def __init__(self, net: nn.Module, consistency: Consistency) -> None:
        super().__init__()
        self.net = net
        if consistency not in ("implicit", "none"):
            self.dc_weight = nn.Parameter(torch.ones(1))


class RefiningCascade(Comparator):
    """Cascades ``x -> G(x)`` with data consistency.

    With ``E = F S`` to coil k-space, ``A = M E`` and the samples y:

    - ``"kspace"``: ``k' = k - w M (k - y) - E G(E^H k)``, ``x = E^H k``: Sriram et al. 2020
      (arXiv:2004.06688), also what ATOMMIC computes for its cascades of CNNs. It begins with
      ``k = y``, so that the first w has no gradient; and coil k-space keeps what no image explains.
    - ``"weighted"`` (ours): the same with ``w W M``; W falls with the local density of samples, see
      `data_weights`.
    - ``"varnet"``: ``"kspace"`` with an image as the state, ``x' = x - w A^H (A x - y) - G(x)``.
    - ``"explicit"``: refine, then a gradient step, ``z = x + G(x)``, ``x' = z - w A^H (A z - y)``.
      For one coil that is Schlemper's ``(k + lambda y) / (1 + lambda)`` on the mask with
      ``w = lambda / (1 + lambda)``; w = 1 gives back the samples.
    - ``"implicit"``: ``x' = x + G([x, A^H (A x - y)])``: the gradient of the data term is an input,
      and nothing else, as in CIRIM.
    - ``"none"``: ``x' = G(x)``: ATOMMIC's cascades with ``no_dc``.
    """

    config: ComparatorConfig

    @property
    @abstractmethod
    def consistency(self) -> Consistency:
        """Which of the forms."""

    @abstractmethod
    def _network(self, part: Refinement, x: Tensor) -> Tensor:
        """Return ``G(x)``, ``images channels height width`` to ``images 1 height width``."""

    def _start(self, scan: Scan) -> State:
        if self.consistency in ("kspace", "weighted"):
            return scan.zerofilled, scan.samples
        return (scan.zerofilled,)

    def _iterate(self, scan: Scan, part: nn.Module, *state: Tensor) -> State:
        refinement = cast("Refinement", part)
        x = state[0]
        match self.consistency:
            case "kspace" | "weighted":
                weight: Tensor = refinement.dc_weight
                if self.consistency == "weighted":
                    weight = weight * scan.density_weights
                before = scan.towards_samples(state[1], weight)
                kspace = before - scan.coils(self._refined(refinement, x))
                return scan.coils.H(kspace), kspace
            case "varnet":
                near = x - refinement.dc_weight * scan.gradient(x)
                return (near - self._refined(refinement, x),)
            case "explicit":
                z = x + self._refined(refinement, x)
                return (z - refinement.dc_weight * scan.gradient(z),)
            case "implicit":
                return (x + self._refined(refinement, x, scan.gradient(x)),)
        return (self._refined(refinement, x),)

    def _refined(self, part: Refinement, *channels: Tensor) -> Tensor:
        """Return G of each map set on its own."""
        stacked = torch.stack([one.flatten(0, 1) for one in channels], dim=1)
        return self._network(part, stacked).reshape(channels[0].shape)

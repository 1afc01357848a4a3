"""What every network that reconstructs is called with, and what it returns."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from jaxtyping import Complex, Float
from torch import Tensor, nn

from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask

__all__ = ["Architecture", "Predictions", "ReconstructionNetwork"]

Predictions = Complex[Tensor, "cascades steps slices sets height width"]


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """What a network is made of, as plain values; it is stored in every weight file.

    Examples
    --------
    >>> from medconsist.mri.cirim.config import CirimConfig
    >>> CirimConfig(cascades=1).as_dict()["cascades"]
    1
    """

    kind: ClassVar[str]
    """What weight files call the network, e.g. ``"cirim"``."""

    @property
    @abstractmethod
    def blocks(self) -> int:
        """Parts with weights of their own; a weight file holds at least as many tensors."""

    def as_dict(self) -> dict[str, Any]:
        """Return the values, as JSON takes them."""
        return asdict(self)


class ReconstructionNetwork(nn.Module, ABC):
    """From samples, mask, maps and noise level to images, differentiable in the weights.

    Parts with weights of their own, in the order in which they act, are in ``cascades``.
    """

    config: Architecture
    cascades: nn.ModuleList

    @abstractmethod
    def forward(
        self,
        samples: CoilKSpace,
        mask: SamplingMask,
        maps: CoilMaps,
        sigma: Float[Tensor, " slices"],
        *,
        low_memory: bool = False,
    ) -> Predictions:
        """Return every image that the loss may look at; the reconstruction is ``[-1, -1]``.

        Parameters
        ----------
        samples, mask, maps
            As in `Measurement`, divided by one scale so that images are of order one.
        sigma
            Standard deviation of the noise of one complex sample, ``E|n|^2 = sigma^2``, on the
            scale of the samples.
        low_memory
            Compute parts of the forward pass again in the backward pass, where the network can.
        """

"""What every network that reconstructs is called with, and what it returns."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask
from medconsist.training.settings import Precision

__all__ = ["Architecture", "Compiled", "Predictions", "ReconstructionNetwork"]

Predictions = Complex[Tensor, "cascades steps slices sets height width"]
Compiled = Literal["default", "reduce-overhead"] | None
"""Mode of ``torch.compile``; the second replays CUDA graphs."""


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

    @torch.no_grad()
    def reconstruct(
        self,
        samples: CoilKSpace,
        mask: SamplingMask,
        maps: CoilMaps,
        sigma: Float[Tensor, " slices"],
        *,
        precision: Precision = "32",
        compiled: Compiled = None,
    ) -> Complex[Tensor, "slices sets height width"]:
        """Return the last image alone, without a gradient: ``forward(...)[-1, -1]``.

        Parameters
        ----------
        samples, mask, maps, sigma
            As in `forward`.
        precision, compiled
            For networks with an inference of their own, such as `Cirim`.

        Raises
        ------
        RefusedInputError
            The network has no such precision, or cannot be compiled.
        """
        if precision != "32" or compiled is not None:
            msg = (
                f"{type(self).__name__} got precision {precision!r} and compiled {compiled!r}; "
                "allowed for it: '32' and None."
            )
            raise RefusedInputError(msg)
        return self(samples, mask, maps, sigma)[-1, -1]

"""Trained networks as reconstruction methods."""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from medconsist.errors import RefusedInputError
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.model import LearnedModel
from medconsist.mri.methods import Method, SetImages
from medconsist.mri.prepare import rss_scale
from medconsist.mri.reconstruction_network import ReconstructionNetwork
from medconsist.results.schema import ModelRecord

__all__ = ["LearnedMethod", "images_of"]


@dataclass(frozen=True)
class LearnedMethod(Method):
    """A network with trained weights.

    Slices are reconstructed one by one, with one scale for the volume: as it was trained, the 99th
    percentile of the zero-filled root sum of squares is 1.

    Parameters
    ----------
    model
        See `load_model`.
    scale
        What the samples are divided by, and the image multiplied by again, in the units of the
        samples; None estimates one for the volume by `rss_scale`.

    Raises
    ------
    RefusedInputError
        A scale that is not positive and finite, or samples that are all zero.

    Examples
    --------
    >>> from medconsist.mri.cirim.config import CirimConfig
    >>> from medconsist.mri.cirim.network import Cirim
    >>> small = Cirim(CirimConfig(cascades=1, steps=2, features=4))
    >>> method = LearnedMethod(LearnedModel(small, "small", "0" * 64, {}), scale=1.0)
    >>> ones = torch.ones(1, 2, 16, 16, dtype=torch.complex64)
    >>> method(Measurement(ones, ones[:, 0].real > 0, ones[:, None] / 2, sigma=0.1)).shape
    torch.Size([1, 16, 16])
    """

    model: LearnedModel
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale < float("inf"):
            msg = f"scale got {self.scale}; allowed: positive and finite, or None to estimate it."
            raise RefusedInputError(msg)

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model.name

    @property
    def learned(self) -> bool:
        """A network makes the image."""
        return True

    @property
    def weights(self) -> ModelRecord | None:
        """The weights of the model."""
        return self.model.record

    def fixed(self, measurement: Measurement) -> "LearnedMethod":
        """Return the method with the scale of this measurement."""
        return replace(self, scale=self._scale_of(measurement))

    def rescaled(self, factor: float) -> "LearnedMethod":
        """Return the method for samples multiplied by ``factor``; a given scale follows."""
        return self if self.scale is None else replace(self, scale=self.scale * factor)

    def as_config(self) -> dict[str, Any]:
        """Return model, hash and architecture: what decides the image."""
        return {
            "name": self.name,
            "weights_sha256": self.model.sha256,
            "architecture": self.model.network.config.as_dict(),
            "scale": self.scale,
        }

    def solve(self, measurement: Measurement) -> SetImages:
        """Return the image of each map set after the last step."""
        scale = self._scale_of(measurement)
        network = self._network_on(measurement.samples.device)
        return images_of(network, measurement, scale=scale)

    def _network_on(self, device: torch.device) -> ReconstructionNetwork:
        """Return the network there; the model's own stays where it is, others may share it."""
        network = self.model.network
        if next(network.parameters()).device == device:
            return network
        return copy.deepcopy(network).to(device)

    def _scale_of(self, measurement: Measurement) -> float:
        return self.scale or _estimated_scale(measurement)


@torch.no_grad()
def images_of(network: nn.Module, seen: Measurement, *, scale: float) -> SetImages:
    """Return the images after the last step of a network, in the units of the samples.

    Slice by slice; the measurement lies on the device of the network.
    """
    sigma = torch.tensor([seen.sigma / scale], device=seen.samples.device)
    masks = seen.mask.expand(len(seen.samples), -1, -1)
    places = (slice(index, index + 1) for index in range(len(masks)))
    images = [
        network(seen.samples[one] / scale, masks[one], seen.maps[one], sigma)[-1, -1]
        for one in places
    ]
    return torch.cat(images) * scale


def _estimated_scale(measurement: Measurement) -> float:
    scale = rss_scale(measurement.samples)
    if not 0 < scale < float("inf"):
        msg = (
            f"the samples give a scale of {scale}: they are zero or not finite, and there is "
            "nothing to reconstruct."
        )
        raise RefusedInputError(msg)
    return scale

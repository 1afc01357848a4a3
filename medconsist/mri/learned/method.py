"""Trained networks as reconstruction methods."""

import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args

import torch
from torch import nn

from medconsist.errors import RefusedInputError
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.model import LearnedModel
from medconsist.mri.learned.signal_blend import SignalBlend
from medconsist.mri.methods import Method, SetImages
from medconsist.mri.reconstruction_network import Compiled, ReconstructionNetwork
from medconsist.mri.volumes.volume import Measured
from medconsist.mri.zerofilled_rss import rss_scale
from medconsist.results.schema import ModelRecord
from medconsist.training.settings import Precision

__all__ = ["LearnedMethod", "images_of"]

_GPU_BATCH = 8


@dataclass(frozen=True)
class LearnedMethod(Method):
    """A network with trained weights.

    One scale serves the volume: as it was trained, the 99th percentile of the zero-filled root sum
    of squares is 1. Slices do not know each other.

    Parameters
    ----------
    model
        See `load_model`.
    scale
        What the samples are divided by, and the image multiplied by again, in the units of the
        samples; None estimates one for the volume by `rss_scale`.
    precision
        ``"32"``, or ``"bf16"``: convolutions in bfloat16, images and Fourier transforms as before.
    batch
        Slices that are reconstructed together; None: one on a CPU, whose caches hold no more, and
        8 on a GPU. No matter for the image but for rounding.
    compiled
        Mode of ``torch.compile`` for the network, for GPUs; None does without.

    Raises
    ------
    RefusedInputError
        A scale that is not positive and finite, samples that are all zero, a batch below 1, or a
        precision or mode that the network does not have.

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
    precision: Precision = field(default="32", kw_only=True)
    batch: int | None = field(default=None, kw_only=True)
    compiled: Compiled = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.scale is not None and not 0 < self.scale < float("inf"):
            msg = f"scale got {self.scale}; allowed: positive and finite, or None to estimate it."
            raise RefusedInputError(msg)
        if self.batch is not None and self.batch < 1:
            msg = f"batch got {self.batch}; allowed: at least 1, or None."
            raise RefusedInputError(msg)
        if self.precision not in get_args(Precision):
            msg = f"precision got {self.precision!r}; allowed: {', '.join(get_args(Precision))}."
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

    def fixed(self, measurement: Measured) -> "LearnedMethod":
        """Return the method with the scale of this measurement."""
        return replace(self, scale=self.scale_of(measurement))

    def rescaled(self, factor: float) -> "LearnedMethod":
        """Return the method for samples multiplied by ``factor``; a given scale follows."""
        return self if self.scale is None else replace(self, scale=self.scale * factor)

    def as_config(self) -> dict[str, Any]:
        """Return model, hash, architecture, scale and precision: what decides the image."""
        return {
            "name": self.name,
            "weights_sha256": self.model.sha256,
            "architecture": self.model.network.config.as_dict(),
            "scale": self.scale,
            "precision": self.precision,
        }

    def solve(self, measurement: Measurement) -> SetImages:
        """Return the image of each map set after the last step."""
        scale = self.scale_of(measurement)
        network = self._network_on(measurement.samples.device)
        images = images_of(
            network,
            measurement,
            scale=scale,
            batch=self.batch,
            precision=self.precision,
            compiled=self.compiled,
        )
        blend = self.blend_of(measurement)
        return images if blend is None else blend(images)

    def blend_of(self, measurement: Measurement) -> SignalBlend | None:
        """Return what is made of the images of the network; None: nothing."""
        del measurement  # an adapted network's image is moved towards, see `AdaptedMethod`
        return None

    def _network_on(self, device: torch.device) -> ReconstructionNetwork:
        """Return the network there; the model's own stays where it is, others may share it."""
        network = self.model.network
        if next(network.parameters()).device == device:
            return network
        return copy.deepcopy(network).to(device)

    def scale_of(self, measurement: Measured) -> float:
        """Return what the samples are divided by for the network: as given, else estimated."""
        return self.scale or _estimated_scale(measurement)


@torch.no_grad()
def images_of(
    network: nn.Module,
    seen: Measurement,
    *,
    scale: float,
    batch: int | None = None,
    precision: Precision = "32",
    compiled: Compiled = None,
) -> SetImages:
    """Return the images after the last step of a network, in the units of the samples.

    The measurement lies on the device of the network; for the rest see `LearnedMethod`. A module
    that is no `ReconstructionNetwork` is called as one, and has no precision or mode.
    """
    sigma = torch.full((len(seen.samples),), seen.sigma / scale, device=seen.samples.device)
    masks = seen.mask.expand(len(seen.samples), -1, -1)
    size = batch or (_GPU_BATCH if seen.samples.is_cuda else 1)
    parts = (slice(first, first + size) for first in range(0, len(masks), size))
    slices = ((seen.samples[at] / scale, masks[at], seen.maps[at], sigma[at]) for at in parts)
    if isinstance(network, ReconstructionNetwork):
        run = partial(network.reconstruct, precision=precision, compiled=compiled)
        return torch.cat([run(*shown) for shown in slices]) * scale
    return torch.cat([network(*shown)[-1, -1] for shown in slices]) * scale


def _estimated_scale(measurement: Measured) -> float:
    scale = rss_scale(measurement.samples, measurement.mask)
    if not 0 < scale < float("inf"):
        msg = (
            f"the samples give a scale of {scale}: they are zero or not finite, and there is "
            "nothing to reconstruct."
        )
        raise RefusedInputError(msg)
    return scale

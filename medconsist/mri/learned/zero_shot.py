"""Zero-shot: a network that is adapted to the one measurement which it reconstructs.

::

    Omega = Gamma + pairs (Theta, Lambda):  train Theta -> Lambda, select on Gamma, use Omega
"""

import copy
import logging
from dataclasses import asdict, dataclass, field
from typing import Any

import safetensors.torch
import torch

from medconsist._digests import sha256_of_bytes
from medconsist.consistency.splits import Split
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.adaptation import Adaptation, Run
from medconsist.mri.learned.method import LearnedMethod, images_of
from medconsist.mri.learned.model import LearnedModel
from medconsist.mri.learned.networks import make_network
from medconsist.mri.learned.sample_blocks import Parts, divide_by_blocks, sample_blocks
from medconsist.mri.learned.sample_splits import split_samples
from medconsist.mri.learned.signal_blend import SignalBlend
from medconsist.mri.learned.ssdu import Ssdu
from medconsist.mri.learned.zero_shot_settings import Trained, ZeroShot
from medconsist.mri.methods import Method, SetImages
from medconsist.mri.reconstruction_network import Architecture, ReconstructionNetwork
from medconsist.mri.volumes.volume import Measured
from medconsist.mri.zerofilled_rss import rss_scale
from medconsist.results.schema import ModelRecord
from medconsist.training.draws import generator_for
from medconsist.training.optimisation import trainable

__all__ = ["AdaptedMethod", "ZeroShot", "ZeroShotMethod"]

_BUILD, _GAMMA, _PARTS = 0, 1, 3  # places of random draws; 2 is of the steps

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdaptedMethod(LearnedMethod):
    """A network that was adapted to one measurement, and stays as it is from then on.

    Parameters
    ----------
    model, scale
        See `LearnedMethod`; the model's hash is that of its adapted weights.
    adaptation
        How they came about.
    origin
        ``as_config`` of the method that was adapted.
    start
        The model that was adapted; None from scratch.
    signal_level
        How much signal the image of the start needs to give way, see `ZeroShot`.

    Examples
    --------
    >>> AdaptedMethod.__mro__[1].__name__
    'LearnedMethod'
    """

    adaptation: Adaptation = field(kw_only=True)
    origin: dict[str, Any] = field(kw_only=True)
    start: LearnedModel | None = field(default=None, kw_only=True)
    signal_level: float | None = field(default=None, kw_only=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the image must know, as sentences."""
        return (self.adaptation.note,)

    def blend_of(self, measurement: Measurement) -> SignalBlend | None:
        """Return what moves the start's images where they show signal; None if they were kept.

        From scratch the images are those of the network, and 0 where no coil sees anything: what
        lies there is in no sample, and biases that move paint the air.
        """
        if not self.adaptation.kept_step:
            return None
        if self.start is None:
            nothing = torch.zeros_like(measurement.maps[:, :, 0])
            return SignalBlend.of(nothing, measurement.maps, scale=1.0, level=None)
        scale = self.scale_of(measurement)
        start = LearnedMethod(
            self.start, scale, precision=self.precision, batch=self.batch, compiled=self.compiled
        ).solve(measurement)
        return SignalBlend.of(start, measurement.maps, scale=scale, level=self.signal_level)

    def as_config(self) -> dict[str, Any]:
        """Return what the network started from, how it was adapted, and the hash it ended with."""
        return {**self.origin, "adapted_sha256": self.model.sha256, "scale": self.scale}


@dataclass(frozen=True)
class ZeroShotMethod(Method):
    """A reconstruction that adapts its network to each measurement, with no other data.

    Gamma is a fixed share of the samples; the rest is divided into pairs (Theta, Lambda), and the
    network learns to predict Lambda from Theta. From scratch, the weights of the least error on
    Gamma are kept. From a trained start, half of the blocks of Gamma choose the step, and the
    other half judge it: where the error there is not below the start's beyond its sampling noise
    over blocks, the start is kept bit by bit. The image is made from all samples, and what is
    judged is what is given: the start's image, moved where it shows signal (`SignalBlend`).
    Calibration samples are in every Theta.

    `fixed` adapts, once: what compares several calls on one measurement (inserted lesions, probes)
    takes the method that it returns, and nothing is trained again. `solve` adapts each time.

    Gamma's least error is smaller than the error on samples that selected nothing: never report
    it as withheld evidence.

    Parameters
    ----------
    start
        A trained network, which is not changed, or an architecture to be trained from scratch.
    settings
        See `ZeroShot`.
    seed
        Of Gamma, pairs, order, and of weights from scratch.

    Raises
    ------
    NothingToWithholdError
        The measurement has no samples to divide.
    ConvergenceError
        A loss or gradient is not finite.

    Examples
    --------
    >>> import torch
    >>> y = torch.ones(1, 1, 16, 16, dtype=torch.complex64)
    >>> scan = Measurement(y, y[:, 0].real > 0, y[:, None], sigma=0.1)
    >>> from medconsist.mri.cirim.config import CirimConfig
    >>> method = ZeroShotMethod(CirimConfig(features=4), ZeroShot(steps=2, calibration=4))
    >>> method.fixed(scan).adaptation.steps
    2
    """

    start: LearnedModel | Architecture
    settings: ZeroShot = field(default_factory=ZeroShot)
    seed: int = 0

    @property
    def name(self) -> str:
        """``"NAME-zero-shot"`` or ``"NAME-adapted"``; ``"scratch"`` instead of no name."""
        start = "scratch" if isinstance(self.start, Architecture) else self.start.name
        return f"{start}-{self.settings.label}"

    @property
    def learned(self) -> bool:
        """A network makes the image."""
        return True

    @property
    def weights(self) -> ModelRecord | None:
        """The weights that it starts from, under the name of this method; None from scratch."""
        if isinstance(self.start, Architecture):
            return None
        return self.start.record.model_copy(update={"name": self.name})

    def as_config(self) -> dict[str, Any]:
        """Return weights or architecture, settings and seed."""
        return {
            "name": self.name,
            "weights_sha256": None if self.weights is None else self.weights.sha256,
            "architecture": self._architecture.as_dict(),
            "zero_shot": asdict(self.settings),
            "seed": self.seed,
        }

    def solve(self, measurement: Measurement) -> SetImages:
        """Adapt, then reconstruct."""
        return self.fixed(measurement).solve(measurement)

    def fixed(self, measurement: Measured) -> AdaptedMethod:
        """Return the method with the network adapted to this measurement, frozen.

        Raises
        ------
        BudgetError
            A volume in slabs that takes too much memory at once: it trains on all slices.
        """
        measurement = measurement.whole()
        network, about = self._fresh()
        network.to(measurement.samples.device)
        gamma = split_samples(measurement, self.settings.gamma, generator_for(self.seed, _GAMMA))
        seen = measurement.visible(gamma.keep)
        task = Ssdu(self.settings.task(network.config, self.seed), [seen])
        parts = self._parts(measurement, gamma)
        scale = rss_scale(seen.samples)
        blend = self._blend(network, seen, scale)
        run = Run(network, task, measurement, gamma, parts, scale, blend)
        found = run.adapt(self.settings, self.seed)
        logger.info("%s", found.note)
        network.eval().requires_grad_(requires_grad=False)
        state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
        digest = sha256_of_bytes(safetensors.torch.save(state))
        model = LearnedModel(network, self.name, digest, about)
        start = None if isinstance(self.start, Architecture) else self.start
        # a start that is kept gives the very image that it gives unadapted
        return AdaptedMethod(
            model,
            scale if start is None else rss_scale(measurement.samples),
            adaptation=found,
            origin=self.as_config(),
            start=start,
            signal_level=self.settings.signal_level,
        )

    def _blend(
        self, network: ReconstructionNetwork, seen: Measurement, scale: float
    ) -> SignalBlend | None:
        """Return what becomes of images from the seen samples; None from scratch."""
        if isinstance(self.start, Architecture):
            return None
        images = images_of(network, seen, scale=scale)
        level = self.settings.signal_level
        return SignalBlend.of(images, seen.maps, scale=scale, level=level)

    def _parts(self, measurement: Measurement, gamma: Split) -> Parts:
        """Return what selects and what judges; from scratch there is no start to keep."""
        if isinstance(self.start, Architecture):
            return Parts(gamma.hold, None)
        blocks = sample_blocks(measurement.mask)
        return divide_by_blocks(gamma, blocks, generator_for(self.seed, _PARTS))

    @property
    def _architecture(self) -> Architecture:
        return self.start if isinstance(self.start, Architecture) else self.start.network.config

    def _fresh(self) -> tuple[ReconstructionNetwork, dict[str, str]]:
        """Return a network of its own to train, and what is known of it."""
        if isinstance(self.start, Architecture):
            network = make_network(self.start, generator=generator_for(self.seed, _BUILD))
            about = {"trained_on": "this scan"}
        else:
            network = copy.deepcopy(self.start.network)
            about = self.start.about
            about = about | {"trained_on": f"{about.get('trained_on', 'unknown')}, then this scan"}
        network.train().requires_grad_(requires_grad=False)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(_is_trained(name, self.settings.trained, network.config))
        trainable(network)  # refuses a network without any
        return network, about


def _is_trained(name: str, trained: Trained, config: Architecture) -> bool:
    match trained:
        case "per_channel":
            return name.endswith((".bias", ".recurrent"))
        case "last_cascade":
            return name.startswith(f"cascades.{config.blocks - 1}.")
    return True

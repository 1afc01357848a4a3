"""Supervised training on scans of the simulator."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from torch import Generator, Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.metrics.image import image_quality
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.learned.draws import Acquisition, MaskDraw, draw_acquisition, undersample
from medconsist.mri.learned.loss import Distance, Weighting, supervised_loss
from medconsist.mri.learned.networks import make_network, stored_architecture
from medconsist.mri.reconstruction_network import Architecture, ReconstructionNetwork
from medconsist.mri.scan_pool import ScanPool
from medconsist.mri.simulate import generator_hash
from medconsist.training.objective import Objective

__all__ = ["Supervised", "SupervisedConfig"]

_VALIDATION_SEED = 0


@dataclass(frozen=True, kw_only=True)
class SupervisedConfig:
    """How a network is trained against references.

    Parameters
    ----------
    network
        Its architecture.
    distance, weighting
        See `supervised_loss`.
    masks
        See `MaskDraw`.
    noise
        Least and largest noise of a draw, times that of its slice; see `draw_acquisition`.
    batch
        Slices a step.
    small, small_steps
        The first ``small_steps`` steps see slices at the lower resolution ``small``: a quarter of
        the work each at half the size. 0 leaves it out.
    low_memory
        See `ReconstructionNetwork.forward`.

    Raises
    ------
    RefusedInputError
        Fewer than 1 slice a step, a size below 1, steps below 0, or less noise than there is.

    Examples
    --------
    >>> SupervisedConfig().distance
    'l1_ssim'
    """

    network: Architecture = field(default_factory=CirimConfig)
    distance: Distance = "l1_ssim"
    weighting: Weighting = "logspace"
    masks: MaskDraw = field(default_factory=MaskDraw)
    noise: tuple[float | int, float | int] = (1.0, 2.0)
    batch: int = 1
    small: int = 64
    small_steps: int = 0
    low_memory: bool = False

    def __post_init__(self) -> None:
        if min(self.batch, self.small) < 1 or self.small_steps < 0:
            msg = (
                f"got batch {self.batch}, small {self.small} and small_steps {self.small_steps}; "
                "allowed: at least 1, 1 and 0."
            )
            raise RefusedInputError(msg)
        least, most = self.noise
        if not 1 <= least <= most < math.inf:
            msg = f"noise got {self.noise}; allowed: 1 <= least <= largest, both finite."
            raise RefusedInputError(msg)


class Supervised(Objective):
    """Scans of the simulator with their references; batch = f(seed, step).

    Parameters
    ----------
    config
        See `SupervisedConfig`.
    pool
        What is drawn from.
    validation
        What `evaluate` scores, each slice with one mask; None scores nothing.
    about
        What the weights file says beside what was trained on: the recipe, the model card.

    Raises
    ------
    RefusedInputError
        The lower resolution is no divisor of the pool's.

    Examples
    --------
    >>> from medconsist.mri.scan_pool import PoolConfig
    >>> pool = ScanPool.simulate(PoolConfig(scans=1, slices=1, size=32, coils=2))
    >>> tiny = SupervisedConfig(network=CirimConfig(cascades=1, steps=2, features=4), distance="l1")
    >>> task = Supervised(tiny, pool)
    >>> network = task.build(Generator().manual_seed(0))
    >>> batch = task.draw(Generator().manual_seed(1), 0)
    >>> sorted(task.losses(network, batch))
    ['loss']
    """

    def __init__(
        self,
        config: SupervisedConfig,
        pool: ScanPool,
        validation: ScanPool | None = None,
        *,
        about: Mapping[str, str] | None = None,
    ) -> None:
        plane = pool.reference.shape[-1]
        if config.small_steps and plane % config.small:
            msg = (
                f"small got {config.small} beside scans of {plane} x {plane}; allowed: a divisor "
                f"of {plane}, or small_steps 0, which leaves it out."
            )
            raise RefusedInputError(msg)
        self.config = config
        self._about = dict(about or {})
        self._pool = pool
        self._validation = None if validation is None else _validation(validation, config.masks)

    def build(self, generator: Generator) -> ReconstructionNetwork:
        """Return the untrained network."""
        return make_network(self.config.network, generator=generator)

    def draw(self, generator: Generator, step: int) -> Acquisition:
        """Return slices of the pool, turned, with noise and with masks of their own."""
        small = self.config.small if step < self.config.small_steps else None
        return draw_acquisition(
            self._pool,
            generator,
            batch=self.config.batch,
            size=small,
            masks=self.config.masks,
            noise=self.config.noise,
        )

    def losses(self, network: nn.Module, batch: Acquisition) -> dict[str, Tensor]:
        """Return the weighted distance of all steps to the reference."""
        predictions = network(
            batch.samples,
            batch.mask,
            batch.maps,
            batch.sigma,
            low_memory=self.config.low_memory,
        )
        loss = supervised_loss(
            predictions,
            batch.reference,
            distance=self.config.distance,
            weighting=self.config.weighting,
        )
        return {"loss": loss}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return mean SSIM, NMSE and PSNR over the validation slices."""
        if self._validation is None:
            return {}
        device = next(network.parameters()).device
        found = []
        for one in self._validation:
            seen = one.to(device)
            image = network(seen.samples, seen.mask, seen.maps, seen.sigma)[-1, -1, :, 0].abs()
            found.append(image_quality(image.cpu(), one.reference))
        return {name: fmean(values[name] for values in found) for name in found[0]}

    def architecture(self) -> dict[str, Any]:
        """Return what builds the network again."""
        return stored_architecture(self.config.network)

    def about(self) -> dict[str, str]:
        """Return what the weights have seen: scans of one generator, and of nobody."""
        return self._about | {"trained_on": "simulation", "generator": generator_hash()}


def _validation(pool: ScanPool, masks: MaskDraw) -> list[Acquisition]:
    """Return each slice with one mask, the same in every call."""
    generator = Generator().manual_seed(_VALIDATION_SEED)
    plane = (pool.reference.shape[-2], pool.reference.shape[-1])
    return [
        undersample(pool.at([index]), masks(plane, generator)[None]) for index in range(len(pool))
    ]

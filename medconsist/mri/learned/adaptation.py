"""The loop of a zero-shot adaptation: train on pairs, look at Gamma, keep the best."""

import logging
import math
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.consistency.adapt import improves_by
from medconsist.consistency.splits import Split
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.descent import descend
from medconsist.mri.learned.method import images_of
from medconsist.mri.learned.ssdu import Ssdu
from medconsist.mri.learned.zero_shot_settings import ZeroShot
from medconsist.mri.reconstruction_network import ReconstructionNetwork
from medconsist.training.draws import generator_for
from medconsist.training.optimisation import make_optimizer, trainable

__all__ = ["Adaptation", "Run"]

_STEP = 2  # place of random draws; 0 and 1 are of `ZeroShotMethod`

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What an adaptation did.

    Parameters
    ----------
    gamma
        Relative error on Gamma, ``||y - A x|| / ||y||``, before the first step and at each look.
    steps
        Steps done.
    kept_step
        Steps after which the kept weights were reached; 0 keeps the start.
    seconds
        Wall-clock time [s].

    Examples
    --------
    >>> Adaptation(gamma=(0.30, 0.29), steps=5, kept_step=0, seconds=1.0).note[:33]
    'Zero-shot: 5 steps did not lower '
    """

    gamma: tuple[float, ...]
    steps: int
    kept_step: int
    seconds: float

    @property
    def note(self) -> str:
        """What a reader must know."""
        before, after = self.gamma[0], min(self.gamma)
        if not self.kept_step:
            return (
                f"Zero-shot: {self.steps} steps did not lower the error on the samples that were "
                f"kept for selection, {before:.4f}, beyond its sampling noise (least: "
                f"{after:.4f}); the network was left as it was."
            )
        return (
            f"Zero-shot: the network was adapted to this scan in {self.kept_step} steps (of "
            f"{self.steps}); the error on the samples that were kept for selection fell from "
            f"{before:.4f} to {after:.4f}."
        )


@dataclass(frozen=True, eq=False)
class Run:
    """One adaptation.

    Parameters
    ----------
    network
        What is trained, in place.
    task
        Pairs of the samples that are not Gamma.
    measurement, gamma
        All samples, and which of them select.
    scale
        What samples are divided by; made without Gamma.

    Examples
    --------
    >>> list(Run.__dataclass_fields__)
    ['network', 'task', 'measurement', 'gamma', 'scale']
    """

    network: ReconstructionNetwork
    task: Ssdu
    measurement: Measurement
    gamma: Split
    scale: float

    def adapt(self, settings: ZeroShot, seed: int, *, cautious: bool) -> Adaptation:
        """Train, and leave the weights that are kept in the network.

        Parameters
        ----------
        settings, seed
            What is done, and where the order of the pairs comes from.
        cautious
            Keep the start unless the error on Gamma fell beyond its sampling noise.
        """
        begin = time.monotonic()
        optimizer, scheduler = make_optimizer(trainable(self.network), settings.optimiser)
        first = best = self._look(settings)
        start, steps, kept = _state(self.network), 0, (0, _state(self.network))
        errors = [self._nrmse(first)]
        for steps in range(1, settings.steps + 1):
            self._step(optimizer, settings, generator_for(seed, _STEP, steps))
            scheduler.step()
            if steps % settings.evaluate_every and steps != settings.steps:
                continue
            found = self._look(settings)
            errors.append(self._nrmse(found))
            logger.info("zero-shot: step %d, error on Gamma %.4f", steps, errors[-1])
            if errors[-1] < min(errors[:-1]):
                best, kept = found, (steps, _state(self.network))
            elif len(errors) - 1 - errors.index(min(errors)) >= settings.patience:
                break
        if cautious and not improves_by(se=2)(first, best):
            kept = (0, start)
        self.network.load_state_dict(kept[1])
        return Adaptation(
            gamma=tuple(errors),
            steps=steps,
            kept_step=kept[0],
            seconds=time.monotonic() - begin,
        )

    def _step(
        self, optimizer: torch.optim.Optimizer, settings: ZeroShot, generator: torch.Generator
    ) -> None:
        batch = self.task.draw(generator, 0)
        with self._precision(settings):
            loss = self.task.losses(self.network, batch)["loss"]
        descend(loss, self.network, optimizer, clip=settings.clip)

    def _look(self, settings: ZeroShot) -> Float[Tensor, " positions"]:
        """Return ``|y - A x|^2`` at each position of Gamma, x made without Gamma."""
        with self._precision(settings):
            seen = self.measurement.visible(self.gamma.keep)
            images = images_of(self.network, seen, scale=self.scale)
        asked = self.measurement.visible(self.gamma.hold)
        wrong = (asked.samples - asked.operator(images)).abs().square().sum(1)
        return wrong[asked.mask.expand_as(wrong)]

    def _nrmse(self, wrong: Tensor) -> float:
        power = self.measurement.visible(self.gamma.hold).samples.abs().square().sum()
        return math.sqrt(float(wrong.sum() / power))

    def _precision(self, settings: ZeroShot) -> torch.autocast:
        device = self.measurement.samples.device.type
        return torch.autocast(device, torch.bfloat16, enabled=settings.precision == "bf16")


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}

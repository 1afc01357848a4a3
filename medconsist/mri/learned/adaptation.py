"""The adaptation of a network to one scan: train on pairs, choose on Gamma, judge on the rest."""

import logging
import math
import sys
import time
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from medconsist._extras import require
from medconsist.consistency.adapt import Accept, Fall, Report, adapt_episode, improves_by
from medconsist.consistency.splits import Split
from medconsist.errors import RefusedInputError
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.descent import clip_before_steps
from medconsist.mri.learned.method import images_of
from medconsist.mri.learned.sample_blocks import Parts, sample_blocks
from medconsist.mri.learned.signal_blend import SignalBlend
from medconsist.mri.learned.ssdu import Ssdu
from medconsist.mri.learned.zero_shot_settings import ZeroShot
from medconsist.mri.reconstruction_network import ReconstructionNetwork
from medconsist.shapes import SamplingMask
from medconsist.training.draws import generator_for
from medconsist.training.optimisation import make_optimizer, trainable

__all__ = ["Adaptation", "Judgement", "Run"]

_STEP = 2  # place of random draws; 0, 1 and 3 are of `ZeroShotMethod`

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the samples said that judged: they trained nothing and chose no step.

    Parameters
    ----------
    before, after
        Relative error there, ``||y - A x|| / ||y||``, of the start and of the chosen step.
    fall, se
        Of the squared error, as a share of that of the start: mean over the samples, and its
        standard error over the blocks (`sample_blocks`, `Fall`).
    blocks
        How many.
    needed
        Standard errors that the fall must exceed; None: nothing was asked for.
    accepted
        Whether it does.

    Examples
    --------
    >>> Judgement(before=0.20, after=0.19, fall=0.0975, se=0.02, blocks=12, needed=2.7,
    ...           accepted=True).said
    'from 0.2000 to 0.1900, its square by 9.8 % (standard error 2.0 % over 12 blocks of k-space)'
    """

    before: float
    after: float
    fall: float
    se: float
    blocks: int
    needed: float | None
    accepted: bool

    def passes(self, level: float | None) -> bool:
        """Return whether the fall exceeds its sampling noise, at a level as of `ZeroShot`."""
        return level is None or self.fall > _needed(level, groups=self.blocks) * self.se

    @property
    def said(self) -> str:
        """The numbers, within a sentence."""
        return (
            f"from {self.before:.4f} to {self.after:.4f}, its square by {self.fall:.1%} (standard "
            f"error {self.se:.1%} over {self.blocks} blocks of k-space)"
        ).replace("%", " %")


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What an adaptation did.

    Parameters
    ----------
    gamma
        Relative error, ``||y - A x|| / ||y||``, on the samples of Gamma that select: before the
        first step and at each look.
    steps
        Steps done.
    kept_step
        Steps after which the kept weights were reached; 0 keeps the start.
    seconds
        Wall-clock time [s].
    judged
        What the other samples of Gamma said of the best look; None where no look was better than
        the start, or from scratch.

    Examples
    --------
    >>> Adaptation(gamma=(0.30, 0.29), steps=5, kept_step=0, seconds=1.0).note[:33]
    'Zero-shot: 5 steps did not lower '
    """

    gamma: tuple[float, ...]
    steps: int
    kept_step: int
    seconds: float
    judged: Judgement | None = None

    @property
    def note(self) -> str:
        """What a reader must know."""
        before, after = self.gamma[0], min(self.gamma)
        if self.judged is not None:
            way = "fell" if self.judged.fall >= 0 else "rose"
            told = f"the error on samples that had no part in it {way} {self.judged.said}"
            if self.judged.accepted:
                return (
                    f"Zero-shot: the network was adapted to this scan in {self.kept_step} steps "
                    f"(of {self.steps}); {told}."
                )
            return (
                f"Zero-shot: {self.steps} steps were tried and refused, and the network was left "
                f"as it was; {told}, and a fall of {self.judged.needed or 0:.1f} standard errors "
                "is needed."
            )
        if not self.kept_step:
            least = min(self.gamma[1:], default=before)
            return (
                f"Zero-shot: {self.steps} steps did not lower the error on the samples that were "
                f"kept for selection, {before:.4f} (least: {least:.4f}); the network was left as "
                "it was."
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
        All samples, and which of them are withheld from training.
    parts
        Which of those select, and which judge.
    scale
        What samples are divided by; made without Gamma.
    blend
        What is made of the images of the network from those samples; None: nothing.

    Examples
    --------
    >>> list(Run.__dataclass_fields__)
    ['network', 'task', 'measurement', 'gamma', 'parts', 'scale', 'blend']
    """

    network: ReconstructionNetwork
    task: Ssdu
    measurement: Measurement
    gamma: Split
    parts: Parts
    scale: float
    blend: SignalBlend | None = None

    def adapt(self, settings: ZeroShot, seed: int) -> Adaptation:
        """Train, and leave the weights that are kept in the network, bit by bit if the start's.

        Parameters
        ----------
        settings, seed
            What is done, and where the order of the pairs comes from.
        """
        begin = time.monotonic()
        judge = self.parts.judge
        ids = None if judge is None else self._blocks_of(judge)
        needed = None
        if ids is not None and settings.level is not None:
            needed = _needed(settings.level, groups=int(torch.unique(ids).numel()))

        def course(parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
            optimizer, scheduler = make_optimizer(parameters, settings.optimiser)
            clip_before_steps(optimizer, settings.clip)
            optimizer.register_step_post_hook(lambda *_: scheduler.step())
            return optimizer

        report = adapt_episode(
            self.network,
            trainable(self.network),
            lambda step: self._loss(settings, generator_for(seed, _STEP, step + 1)),
            lambda: self._errors(self.parts.select, settings.precision),
            lambda: {name: value.clone() for name, value in self.network.state_dict().items()},
            steps=settings.steps,
            patience=settings.patience,
            every=settings.evaluate_every,
            optimizer=course,
            judge_fn=None if judge is None else lambda: self._errors(judge, "32"),
            accept=_acceptance(needed, ids),
        )
        self.network.load_state_dict(report.output)
        return Adaptation(
            gamma=tuple(self._nrmse(error, self.parts.select) for error in report.errors),
            steps=report.steps,
            kept_step=report.kept_step if report.accepted else 0,
            seconds=time.monotonic() - begin,
            judged=None if ids is None else self._judgement(report, ids, needed),
        )

    def _loss(self, settings: ZeroShot, generator: torch.Generator) -> Float[Tensor, ""]:
        batch = self.task.draw(generator, 0)
        with self._computed_in(settings.precision):
            return self.task.losses(self.network, batch)["loss"]

    def _errors(self, part: SamplingMask, precision: str) -> Float[Tensor, " positions"]:
        """Return ``|y - A x|^2`` at each position of a part of Gamma, x made without Gamma."""
        with self._computed_in(precision):
            seen = self.measurement.visible(self.gamma.keep)
            images = images_of(self.network, seen, scale=self.scale)
        if self.blend is not None:
            images = self.blend(images)
        asked = self.measurement.visible(part)
        wrong = (asked.samples - asked.operator(images)).abs().square().sum(1)
        return wrong[asked.mask.expand_as(wrong)]

    def _blocks_of(self, part: SamplingMask) -> Tensor:
        """Return the block of each position, in the order of `_errors`."""
        mask = self.measurement.mask
        shape = (len(self.measurement.samples), *mask.shape[1:])
        return sample_blocks(mask).expand(shape)[(mask & part).expand(shape)]

    def _nrmse(self, mean: float, part: SamplingMask) -> float:
        """Return the relative error of a mean squared one."""
        return math.sqrt(mean / self._power(part))

    def _power(self, part: SamplingMask) -> float:
        asked = self.measurement.visible(part).samples.abs().square().sum(1)
        power = float(asked.sum(dtype=torch.float64))
        if power == 0:
            msg = (
                "the withheld samples are all zero: the mask marks samples that were not measured. "
                "Pass the mask of the acquisition."
            )
            raise RefusedInputError(msg)
        return power / int((self.measurement.mask & part).expand(asked.shape).sum())

    def _judgement(
        self, report: Report[dict[str, Tensor]], ids: Tensor, needed: float | None
    ) -> Judgement | None:
        if report.judged is None or self.parts.judge is None:
            return None
        before, after = report.judged
        fall, start = Fall.of(before, after, groups=ids), float(before.double().mean())
        share = max(start, sys.float_info.min)  # of a start that predicts them to the last bit
        return Judgement(
            before=self._nrmse(start, self.parts.judge),
            after=self._nrmse(float(after.double().mean()), self.parts.judge),
            fall=fall.mean / share,
            se=fall.se / share,
            blocks=fall.groups,
            needed=needed,
            accepted=report.accepted,
        )

    def _computed_in(self, precision: str) -> torch.autocast:
        device = self.measurement.samples.device.type
        return torch.autocast(device, torch.bfloat16, enabled=precision == "bf16")


def _needed(level: float, *, groups: int) -> float:
    """Return how many standard errors of so many groups chance exceeds with that probability."""
    return float(require("scipy.stats", extra="mri").t.isf(level, groups - 1))


def _acceptance(needed: float | None, ids: Int[Tensor, " samples"] | None) -> Accept:
    """Return the test of the chosen step; without a level it passes."""

    def accept(before: Tensor, after: Tensor) -> bool:
        return needed is None or improves_by(needed, groups=ids)(before, after)

    return accept

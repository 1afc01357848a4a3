"""COMET as a pretext task: the encoder, its views, and the weighted sum of four levels."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.consistency.contrast import multi_scale
from medconsist.networks.dilated import DilatedConfig, DilatedEncoder
from medconsist.timeseries.comet.config import FIXED, CometConfig, Level
from medconsist.timeseries.comet.levels import (
    group_loss,
    observation_loss,
    sample_loss,
    window_similarity,
)
from medconsist.timeseries.comet.relations import Relations
from medconsist.timeseries.masks import DETERMINISTIC, MaskKind, draw_mask
from medconsist.timeseries.pretext import DrawnWindows, Pretext

__all__ = ["Comet"]

Views = tuple[Tensor, Tensor]


class Comet(Pretext):
    """COMET (Wang et al. 2023, arXiv:2310.14017), as released or mended, see `CometConfig`.

    Sample and observation level are averaged over scales, max-pooled by 2 down to 2 steps.
    Views that nothing is drawn for but dropout share one pass through the encoder, whichever the
    setting: dropout is on its output alone, so that this changes nothing.

    Parameters
    ----------
    encoder
        Its sizes; ``recompute`` for long windows.
    config
        Of the loss.
    generator
        Draws the first weights.

    Examples
    --------
    >>> comet = Comet(DilatedConfig(channels=1, hidden=4, dim=8, depth=3))
    >>> number = torch.tensor([0, 0, 1])
    >>> windows = DrawnWindows(torch.randn(3, 16, 1), number, number, 16 * number, seed=0)
    >>> sorted(comet(windows))
    ['loss', 'observation', 'patient', 'sample', 'trial']
    """

    def __init__(
        self,
        encoder: DilatedConfig,
        config: CometConfig = FIXED,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = DilatedEncoder(encoder, generator=generator)
        self.dim = encoder.dim

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return each level's loss before its weight, and their weighted sum as ``"loss"``."""
        relations = Relations.of(batch)
        losses: dict[str, Tensor] = {}
        for levels, (z1, z2) in self._views(batch):
            losses |= self._of_groups(levels, z1, z2, relations)
            losses |= self._over_scales(levels, z1, z2, relations)
        weights = self.config.effective_weights
        total = torch.stack([weights[level] * losses[level] for level in weights]).sum()
        return losses | {"loss": total}

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the largest value over time of each feature."""
        return self.encoder(signals).amax(1)

    def _views(self, batch: DrawnWindows) -> Iterator[tuple[list[Level], Views]]:
        """Yield two views at a time, with the levels that compare them."""
        generator = batch.generator()
        known: dict[MaskKind, Tensor] = {}
        for kind, levels in self._pairs():
            if kind in DETERMINISTIC:
                if kind not in known:
                    known[kind] = self._features(batch.signals, kind, generator)
                first = second = known[kind]
            else:
                first = self._features(batch.signals, kind, generator)
                second = self._features(batch.signals, kind, generator)
            yield levels, (self._view(first), self._view(second))

    def _view(self, features: Tensor) -> Tensor:
        # once for all scales, where autocast left half precision
        view = self.encoder.dropped(features)
        return view.float() if view.dtype in (torch.float16, torch.bfloat16) else view

    def _pairs(self) -> list[tuple[MaskKind, list[Level]]]:
        levels = list(self.config.effective_weights)
        if self.config.views == "separate":
            return [(self.config.mask_of(level), [level]) for level in levels]
        kinds = dict.fromkeys(self.config.mask_of(level) for level in levels)
        return [(k, [level for level in levels if self.config.mask_of(level) == k]) for k in kinds]

    def _features(self, signals: Tensor, kind: MaskKind, generator: torch.Generator) -> Tensor:
        if kind == "all_true":
            return self.encoder.features(signals)
        batch, time, _ = signals.shape
        hidden = self.encoder.config.hidden
        mask = draw_mask(kind, batch=batch, time=time, hidden=hidden, generator=generator)
        return self.encoder.features(signals, mask.to(signals.device))

    def _of_groups(
        self, levels: list[Level], z1: Tensor, z2: Tensor, relations: Relations
    ) -> dict[str, Tensor]:
        wanted = [level for level in levels if level in ("patient", "trial")]
        if not wanted:
            return {}
        similarity = window_similarity(z1, z2, steps=self.config.steps) / self.config.tau
        left_out = torch.zeros_like(relations.same_trial)
        if self.config.positives == "apart":
            left_out = relations.overlapping
        other_trials = left_out
        if self.config.trial_negatives == "other patients":
            other_trials = left_out | (relations.same_patient & ~relations.same_trial)
        groups = {
            "patient": (relations.same_patient, left_out),
            "trial": (relations.same_trial, other_trials),
        }
        return {level: group_loss(similarity, *groups[level]) for level in wanted}

    def _over_scales(
        self, levels: list[Level], z1: Tensor, z2: Tensor, relations: Relations
    ) -> dict[str, Tensor]:
        apart = self.config.sample_negatives == "apart"
        exclude = relations.overlapping if apart else None
        known: dict[Level, Callable[[Tensor, Tensor], Tensor]] = {
            "sample": lambda a, b: sample_loss(a, b, exclude),
            "observation": observation_loss,
        }
        wanted = [level for level in levels if level in known]
        if not wanted:
            return {}

        def stacked(a: Tensor, b: Tensor) -> Tensor:
            return torch.stack([known[level](a, b) for level in wanted])

        return dict(zip(wanted, multi_scale(stacked, z1, z2, least=2), strict=True))

"""COMET's hierarchy as an order: view, same trial, same patient, anyone else.

One loss instead of four, two of which push apart what the others pull together; group ordering by
a soft sorting network is of Shvetsova et al. 2023, arXiv:2301.02009.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from medconsist.consistency.ordering import ordered_groups
from medconsist.errors import RefusedInputError
from medconsist.networks.dilated import DilatedConfig, DilatedEncoder
from medconsist.timeseries.comet.levels import window_similarity
from medconsist.timeseries.comet.relations import Relations
from medconsist.timeseries.masks import MaskKind, draw_mask
from medconsist.timeseries.pretext import DrawnWindows, Pretext

__all__ = ["OrderedComet", "OrderingConfig", "order_levels"]

_LEFT_OUT = -1


@dataclass(frozen=True, kw_only=True)
class OrderingConfig:
    """Settings of `OrderedComet`.

    Parameters
    ----------
    keep
        Windows of each level that an anchor is compared with at most: its view, same trial, same
        patient, others. The cost grows with the third power of their sum.
    steepness
        Of the soft swaps, see `soft_sort`.
    similarity
        ``"pooled"``: cosine of the largest value over time of each feature, what `encode` gives,
        less the mean over both views of the batch; ``"aligned"``: that of COMET's patient level.
    mask
        Kind of mask that makes the views.

    Raises
    ------
    RefusedInputError
        Not four numbers of at least 1, another similarity, or a steepness that is not positive.

    Examples
    --------
    >>> OrderingConfig(steepness=10).keep
    (1, 4, 4, 8)
    """

    keep: tuple[int, int, int, int] = (1, 4, 4, 8)
    steepness: float | int = 20
    similarity: Literal["pooled", "aligned"] = "pooled"
    mask: MaskKind = "continuous"

    def __post_init__(self) -> None:
        known = self.similarity in ("pooled", "aligned")
        if (
            not known
            or len(self.keep) != 4
            or min(self.keep) < 1
            or not 0 < self.steepness < math.inf
        ):
            msg = (
                f"got {self}; allowed: four of at least 1 to keep, a positive steepness, "
                "similarity 'pooled' or 'aligned'."
            )
            raise RefusedInputError(msg)


class OrderedComet(Pretext):
    """Ask that windows be the more similar, the more they share, and nothing else.

    Overlapping windows of one trial are left out: they are neither a view nor another window.
    Each view is the anchor once. Where a batch lacks a level, the others are ordered.

    Parameters
    ----------
    encoder
        Its sizes.
    config
        Of the loss.
    generator
        Draws the first weights.

    Examples
    --------
    >>> ordered = OrderedComet(DilatedConfig(channels=1, hidden=4, dim=8, depth=3))
    >>> number = torch.tensor([0, 0, 1])
    >>> windows = DrawnWindows(torch.randn(3, 16, 1), number, number, 16 * number, seed=0)
    >>> sorted(ordered(windows))
    ['loss']
    """

    def __init__(
        self,
        encoder: DilatedConfig,
        config: OrderingConfig | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.config = config or OrderingConfig()
        self.encoder = DilatedEncoder(encoder, generator=generator)
        self.dim = encoder.dim

    def forward(self, batch: DrawnWindows) -> dict[str, Tensor]:
        """Return the group-ordering loss, meaned over both views as anchors."""
        generator = batch.generator()
        z1, z2 = (self._view(batch.signals, generator) for _ in range(2))
        aligned = self.config.similarity == "aligned"
        similarity = window_similarity(z1, z2) if aligned else _pooled_cosine(z1, z2)
        level = order_levels(Relations.of(batch))
        losses = [
            ordered_groups(s, level, keep=self.config.keep, steepness=self.config.steepness)
            for s in (similarity, similarity.mT)
        ]
        return {"loss": torch.stack(losses).mean()}

    def encode(self, signals: Float[Tensor, "batch time channels"]) -> Float[Tensor, "batch dim"]:
        """Return the largest value over time of each feature."""
        return self.encoder(signals).amax(1)

    def _view(self, signals: Tensor, generator: torch.Generator) -> Tensor:
        batch, time, _ = signals.shape
        hidden = self.encoder.config.hidden
        kind = self.config.mask
        mask = draw_mask(kind, batch=batch, time=time, hidden=hidden, generator=generator)
        view: Tensor = self.encoder(signals, mask.to(signals.device))
        return view


def order_levels(relations: Relations) -> Int[Tensor, "batch batch"]:
    """Return 0 for a window itself, 1 for its trial, 2 for its patient, 3 for others; -1 left out.

    Parameters
    ----------
    relations
        Of a batch; overlapping windows are left out.
    """
    level = 3 - relations.same_patient.long() - relations.same_trial.long()
    level = level.masked_fill(relations.overlapping, _LEFT_OUT)
    return level.fill_diagonal_(0)


def _pooled_cosine(z1: Tensor, z2: Tensor) -> Tensor:
    with torch.autocast(z1.device.type, enabled=False):
        pooled = torch.stack([z1.amax(1), z2.amax(1)]).to(
            torch.promote_types(z1.dtype, torch.float32)
        )
        first, second = functional.normalize(pooled - pooled.mean((0, 1)), dim=-1, eps=1e-6)
        return first @ second.mT

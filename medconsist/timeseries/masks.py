"""Masks over time steps and hidden features, as TS2Vec and COMET draw them.

TS2Vec: Yue et al. 2022, arXiv:2106.10466; COMET: Wang et al. 2023, arXiv:2310.14017. True keeps.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.errors import RefusedInputError

__all__ = ["DETERMINISTIC", "MaskKind", "draw_mask"]

MaskKind = Literal[
    "all_true", "continuous", "binomial", "channel_binomial", "channel_continuous", "mask_last"
]

DETERMINISTIC: frozenset[MaskKind] = frozenset({"all_true", "mask_last"})

_SPANS = 5
_SPAN_SHARE = 0.1  # of the length of a window
_KEPT = 0.5  # of what binomial masks draw


def draw_mask(
    kind: MaskKind, *, batch: int, time: int, hidden: int, generator: torch.Generator
) -> Bool[Tensor, "batch time"] | Bool[Tensor, "batch time hidden"]:
    """Return a mask for each window, of time steps or of hidden features of time steps.

    Parameters
    ----------
    kind
        - ``"all_true"`` keeps everything;
        - ``"continuous"`` zeroes 5 spans of ``max(int(0.1 * time), 1)`` steps, which may overlap;
          fewer where ``time // 2`` is less, and one at least;
        - ``"binomial"`` keeps each step with probability 0.5;
        - ``"channel_binomial"`` keeps each feature of each step with probability 0.5;
        - ``"channel_continuous"`` zeroes in each span a half of the features, drawn for the span;
        - ``"mask_last"`` zeroes the last step.
    batch, time, hidden
        Sizes.
    generator
        On the CPU, where the mask is too.

    Raises
    ------
    RefusedInputError
        An unknown kind, or a size below 1.

    Examples
    --------
    >>> draw_mask("mask_last", batch=1, time=3, hidden=4, generator=torch.Generator())
    tensor([[ True,  True, False]])
    """
    if min(batch, time, hidden) < 1 or kind not in get_args(MaskKind):
        msg = (
            f"got the mask {kind!r} of {batch} windows, {time} steps and {hidden} features; "
            f"allowed: {', '.join(get_args(MaskKind))}, sizes of at least 1."
        )
        raise RefusedInputError(msg)
    match kind:
        case "binomial":
            return torch.rand(batch, time, generator=generator) < _KEPT
        case "channel_binomial":
            return torch.rand(batch, time, hidden, generator=generator) < _KEPT
        case "continuous":
            return ~_spans(batch, time, generator).any(1)
        case "channel_continuous":
            spans = _spans(batch, time, generator)
            order = torch.rand(*spans.shape[:2], hidden, generator=generator).argsort(-1)
            zeroed = (order < hidden // 2).to(torch.float32)
            return torch.einsum("bst,bsh->bth", spans.to(torch.float32), zeroed) == 0
        case _:
            mask = torch.ones(batch, time, dtype=torch.bool)
            mask[:, -1] = kind == "all_true"
            return mask


def _spans(batch: int, time: int, generator: torch.Generator) -> Bool[Tensor, "batch spans time"]:
    """Return where each span of each window lies."""
    length = max(int(_SPAN_SHARE * time), 1)
    number = max(1, min(_SPANS, time // 2))
    start = torch.randint(time - length + 1, (batch, number, 1), generator=generator)
    step = torch.arange(time)
    return (step >= start) & (step < start + length)

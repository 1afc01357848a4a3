"""Which rows of sets of any size are withheld by their score: top-k over ragged sets."""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from medconsist.consistency.splits import topk_hold
from medconsist.networks.ragged import Segments

__all__ = ["hold_top", "noise"]


def hold_top(
    scores: Shaped[Tensor, "rows columns"],
    segments: Segments,
    share: float | int,
    random_share: float | int = 1.0,
    generator: torch.Generator | None = None,
) -> Bool[Tensor, "rows columns"]:
    """Return `topk_hold` of each set and each column by itself.

    The sets are laid side by side, padded to the longest; a single one is not copied. No transfer
    from the device, once ``segments`` knows its owners and its longest set.

    Parameters
    ----------
    scores
        One row an instance.
    segments
        The sets.
    share, random_share, generator
        ``frac_hold``, ``random_frac`` and ``generator`` of `topk_hold`.

    Examples
    --------
    >>> two = Segments.of_sizes([2, 3])
    >>> hold_top(torch.tensor([[1.0], [2.0], [5.0], [3.0], [4.0]]), two, 0.4)[:, 0].tolist()
    [False, True, True, False, True]
    """
    columns = scores.shape[1]
    if len(segments) == 1:
        return topk_hold(scores.T, share, random_share, generator=generator).T
    owner = segments.owner
    place = torch.arange(len(scores), device=scores.device) - segments.offsets[:-1][owner]
    shape = (len(segments), segments.longest)
    side_by_side = scores.new_zeros(*shape, columns)
    side_by_side[owner, place] = scores
    valid = torch.arange(shape[1], device=scores.device) < segments.sizes[:, None]
    rows = side_by_side.movedim(2, 1).flatten(0, 1)
    valid = valid.repeat_interleave(columns, 0)
    held = topk_hold(rows, share, random_share, valid, generator)
    return held.view(len(segments), columns, -1)[owner, :, place]


def noise(segments: Segments, generator: torch.Generator) -> Float[Tensor, "rows 1"]:
    """Return one uniform number for each row."""
    return torch.rand(segments.rows, 1, generator=generator, device=generator.device)

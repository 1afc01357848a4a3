"""Blocks of k-space within which errors depend on each other; parts of withheld samples."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from medconsist.consistency.splits import Split
from medconsist.errors import NothingToWithholdError
from medconsist.mri.pattern import full_axis
from medconsist.shapes import SamplingMask

__all__ = ["Parts", "divide_by_blocks", "sample_blocks"]

_SECTORS = 24  # of half a turn: 2 samples wide at a radius of 16, where a calibration region ends


def sample_blocks(mask: SamplingMask) -> Int64[Tensor, "height width"]:
    """Return for each position the number of its block.

    The error of a reconstruction is an image of bounded support, weighted by smooth coils: in
    k-space neighbours one or two samples apart have errors that depend on each other, and so do
    k and -k where the phase of the image is smooth (nearly Hermitian). Errors fall with the radius
    too, and an adaptation may gain at one radius and lose at another. A block therefore holds k
    and -k, is wider than a sample, and reaches from the centre to the edge: where the mask is made
    of lines, a line along the readout with its mirror image; else one of 24 sectors with its
    opposite. What is left between neighbouring sectors, near the centre, is mostly calibration
    region, which is never withheld.

    Parameters
    ----------
    mask
        Of all acquired samples.
    """
    height, width = mask.shape[1:]
    rows = torch.arange(height, device=mask.device)[:, None] - height // 2
    columns = torch.arange(width, device=mask.device)[None] - width // 2
    axis = None if bool(mask.all()) else full_axis(mask)
    if axis is not None:
        return (columns if axis == "height" else rows).abs().expand(height, width)
    angle = torch.atan2(rows.double() / height, columns.double() / width).remainder(math.pi)
    return (angle * (_SECTORS / math.pi)).long().clamp_max(_SECTORS - 1)


@dataclass(frozen=True, eq=False)
class Parts:
    """Withheld samples by what they are for; no block is in both parts.

    Parameters
    ----------
    select
        Where an adaptation stops, and which of its steps is kept.
    judge
        Whether that step is kept at all; None where nothing is to be judged.

    Examples
    --------
    >>> Parts(torch.ones(1, 4, 4, dtype=torch.bool), None).judge is None
    True
    """

    select: SamplingMask
    judge: SamplingMask | None


def divide_by_blocks(gamma: Split, blocks: Tensor, generator: Generator) -> Parts:
    """Deal the blocks of Gamma to two parts, one of each pair of neighbouring blocks to either.

    Dealt in pairs, so that both parts have near and far lines, and sectors of all directions.

    Raises
    ------
    NothingToWithholdError
        Fewer than two blocks for each part: nothing could be judged.
    """
    present = torch.unique(blocks[gamma.hold.any(0)])
    if len(present) < 4:
        msg = (
            f"the withheld samples lie in {len(present)} blocks of k-space, and 4 are needed to "
            "choose a step on some and judge it on others; withhold more, or do not adapt."
        )
        raise NothingToWithholdError(msg)
    first = torch.rand(len(present) // 2, generator=generator) < 0.5
    heads = 2 * torch.arange(len(first)) + first
    judging = torch.isin(blocks, present[heads.to(present.device)])
    return Parts(gamma.hold & ~judging, gamma.hold & judging)

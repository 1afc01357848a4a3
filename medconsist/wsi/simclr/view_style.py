"""One style for all tiles of a view: drawn on the CPU, applied on the device of the tiles."""

from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor

from medconsist.consistency.style import batch_style

__all__ = ["StyleDraw", "draw_style"]

_WHITEST = 255.0


@dataclass(frozen=True)
class StyleDraw:
    """Which tile of the batch gives its style to all of them.

    Parameters
    ----------
    reference
        Its place in the batch.
    share
        Of the spectrum that it gives.

    Examples
    --------
    >>> tiles = torch.randint(256, (2, 8, 8, 3), dtype=torch.uint8)
    >>> bool((StyleDraw(reference=1, share=0.1).apply(tiles)[1] == tiles[1]).all())
    True
    """

    reference: int
    share: float

    def apply(
        self, tiles: UInt8[Tensor, "tiles rows columns 3"]
    ) -> UInt8[Tensor, "tiles rows columns 3"]:
        """Return the tiles in the style of the reference, at whole grey levels."""
        images = tiles.permute(0, 3, 1, 2).float()
        styled = batch_style(images, self.share, self.reference, clamp=(0, _WHITEST))
        return styled.round().byte().permute(0, 2, 3, 1).contiguous()


def draw_style(n_tiles: int, largest: float | int, generator: Generator) -> StyleDraw | None:
    """Return a tile and a share up to ``largest``, both uniform; None, and no draw, at 0."""
    if not largest:
        return None
    reference = torch.randint(n_tiles, (), generator=generator, device=generator.device)
    share = torch.rand((), generator=generator, device=generator.device)
    return StyleDraw(int(reference), float(largest * share))

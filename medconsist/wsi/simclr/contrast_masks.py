"""Which view is the partner of which, and which views are no negatives of each other."""

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from medconsist.wsi.simclr.config import SameSlide

__all__ = ["contrast_masks"]


def contrast_masks(
    tile: Int64[Tensor, " queries"],
    slide: Int64[Tensor, " queries"],
    key_tile: Int64[Tensor, " keys"],
    key_slide: Int64[Tensor, " keys"],
    *,
    same_slide: SameSlide,
) -> tuple[Bool[Tensor, "queries keys"], Bool[Tensor, "queries keys"]]:
    """Return which key each view is to find, and which keys take no part.

    Parameters
    ----------
    tile, slide
        Of 2 n views: first the n first views, then the n second ones.
    key_tile, key_slide
        Of the keys, of which the first 2 n are of the same views in the same order.
    same_slide
        Whether other tiles of the same slide are negatives.

    Returns
    -------
    tuple
        The partner view of each; and the view itself, every other view of the same tile, and with
        ``"exclude"`` every view of the same slide.
    """
    n_views = len(tile)
    view = torch.arange(n_views, device=tile.device)
    positive = torch.zeros(n_views, len(key_tile), dtype=torch.bool, device=tile.device)
    positive[view, view.roll(n_views // 2)] = True
    same = tile[:, None] == key_tile
    if same_slide == "exclude":
        same = same | (slide[:, None] == key_slide)
    return positive, same & ~positive

"""Bags of random features on a fractional grid, for examples and tests."""

import torch

from medconsist.wsi.bags.bag import Bag, make_bag
from medconsist.wsi.bags.header import BagGrid, BagHeader, EncoderRecord
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["simulated_bag"]

_COLUMNS = 50


def simulated_bag(*, tiles: int, dim: int, slide: str = "slide-1", seed: int = 0) -> Bag:
    """Return a bag of normal numbers on the first tiles of a grid 50 columns wide.

    Parameters
    ----------
    tiles, dim
        Shape of the features.
    slide
        Its name.
    seed
        Of the features.

    Examples
    --------
    >>> simulated_bag(tiles=52, dim=3).index[-1].tolist()
    [1, 1]
    """
    grid = TileGrid(
        width=52 * 511,
        height=(tiles // _COLUMNS + 2) * 513,
        mpp=Mpp(0.2501, 0.2499, "aperio.MPP"),
        target_mpp=0.5,
        tile_px=256,
        overlap_px=0,
        origin_x=100.25,
        origin_y=7.0,
    )
    header = BagHeader(
        slide=slide,
        slide_sha256="5" * 64,
        patient="patient-1",
        case="case-1",
        encoder=EncoderRecord(name="random", sha256="e" * 64, input_px=256, precision="fp32"),
        grid=BagGrid.of_tile_grid(grid),
        mpp_x=grid.mpp.x,
        mpp_y=grid.mpp.y,
        mpp_source=grid.mpp.source,
        bounds_x=100,
        engine="simulated",
    )
    numbers = torch.arange(tiles, dtype=torch.int32)
    index = torch.stack([numbers % _COLUMNS, numbers // _COLUMNS], dim=1)
    features = torch.randn(tiles, dim, generator=torch.Generator().manual_seed(seed))
    return make_bag(features, index, header=header)

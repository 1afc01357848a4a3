"""What a model says of single tiles, on the grid of their slide, with the one affine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import NoMppError, RefusedInputError, ShapeError
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.heatmap import HeatMap, heat_map
from medconsist.wsi.mil.output import BagOutput
from medconsist.wsi.regions import Region, contour_regions, tile_regions
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["MEANINGS", "TileValues", "attention_ratio", "tile_values"]

MEANINGS = {
    "attention": "share of the tile in the bag's attention, times the number of tiles: 1 is even",
    "instance_probability": "probability of the shown class that the model gives the tile alone",
    "prototype": "number of the nearest prototype, from 0",
    "disagreement": "difference of the attention of teacher and student, times the number of tiles",
    "novelty": "1 less the cosine to the nearest centre of the training tiles",
}
_TILES_IN_GEOJSON = 2000  # the highest and the lowest; QuPath becomes slow with more objects


@dataclass(frozen=True, eq=False)
class TileValues:
    """Numbers of the tiles of one slide, by name.

    Parameters
    ----------
    bag
        Of the slide.
    values
        Name to one number a tile, in the order of the bag; NaN is unknown.

    Raises
    ------
    ShapeError
        Not one number a tile.

    Examples
    --------
    >>> from medconsist.wsi.bags.simulate import simulated_bag
    >>> shown = TileValues(simulated_bag(tiles=3, dim=4), {"attention": np.array([0.2, 0.5, 2.3])})
    >>> shown.extremes("attention", 1)
    (array([2]), array([0]))
    """

    bag: Bag
    values: Mapping[str, npt.NDArray[Any]]

    def __post_init__(self) -> None:
        for name, one in self.values.items():
            if one.shape != (len(self.bag),):
                msg = f"{name} has the shape {one.shape}; the slide has {len(self.bag)} tiles."
                raise ShapeError(msg)

    @property
    def grid(self) -> TileGrid:
        """Where the tiles lie."""
        return self.bag.header.tile_grid

    @property
    def undrawn(self) -> str | None:
        """Why no map can be drawn, as for some bags of other programs; None if it can."""
        try:
            self.grid  # noqa: B018
        except (NoMppError, RefusedInputError) as error:
            return str(error)
        return None

    @property
    def items(self) -> npt.NDArray[np.int64]:
        """Number of each tile on the grid."""
        columns, rows = self.bag.index.numpy().astype(np.int64).T
        return rows * self.bag.header.grid.columns + columns

    def map(self, name: str) -> HeatMap:
        """Return one of them as a grid with its place on the slide."""
        return heat_map(self.grid, self.items, self.values[name])

    def extremes(
        self, name: str, count: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the tiles of the highest values, highest first, and of the lowest, lowest first.

        Among equal ones the earlier tile comes first; unknown ones are in neither.
        """
        values = self.values[name]
        known = np.flatnonzero(~np.isnan(values))
        down = known[np.argsort(-values[known], kind="stable")]
        up = known[np.argsort(values[known], kind="stable")]
        return down[:count], up[:count]

    def regions(self, name: str, *, threshold: float) -> list[Region]:
        """Return outlines of what is at a threshold or above, then tiles with their numbers.

        Of more than 2,000 tiles the 1,000 highest and the 1,000 lowest.
        """
        values = self.values[name]
        half = _TILES_IN_GEOJSON // 2
        chosen = np.arange(len(values))
        if len(values) > _TILES_IN_GEOJSON:
            chosen = np.sort(np.concatenate(self.extremes(name, half)))
        outlines = contour_regions(self.map(name), name=name, threshold=threshold)
        tiles = tile_regions(self.grid, self.items[chosen], values[chosen], name=name)
        return [*outlines, *tiles]

    def table(self) -> list[dict[str, float | int]]:
        """Return one row a tile: column, row, exact level-0 x and y, width, height, the values."""
        grid, index = self.bag.header.grid, self.bag.index.tolist()
        return [
            {
                "column": index[tile][0],
                "row": index[tile][1],
                "x": x,
                "y": y,
                "width": grid.tile_px * grid.scale_x,
                "height": grid.tile_px * grid.scale_y,
                **{name: float(one[tile]) for name, one in self.values.items()},
            }
            for tile, (x, y) in enumerate(self.bag.exact_coords().tolist())
        ]


def attention_ratio(output: BagOutput) -> Float[Tensor, " instances"] | None:
    """Return the attention of each instance over that of an even share, mean of the columns.

    1 is even, whatever the size of the bag; None where the model has no attention.
    """
    if output.attention is None:
        return None
    return output.attention.float().mean(1) * len(output.attention)


def tile_values(output: BagOutput, *, shown: int) -> dict[str, Float[Tensor, " instances"]]:
    """Return what one bag's output says of its instances, by the names of `MEANINGS`.

    Parameters
    ----------
    output
        Of one bag.
    shown
        The class that the instance probability is of.

    Raises
    ------
    RefusedInputError
        Several bags, or no such class.
    """
    bags, classes = output.logits.shape
    if bags != 1 or not 0 <= shown < classes:
        msg = f"got {bags} bags and class {shown} of {classes}; allowed: one bag, a class of it."
        raise RefusedInputError(msg)
    found = dict[str, Tensor]()
    ratio = attention_ratio(output)
    if ratio is not None:
        found["attention"] = ratio
    if output.instance_scores is not None:
        found["instance_probability"] = output.instance_scores.float().softmax(1)[:, shown]
    if "posterior" in output.extra:
        found["prototype"] = output.extra["posterior"].argmax(1).to(torch.float32)
    return found

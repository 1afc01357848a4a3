"""What a model would say of a case if some of its tiles were not there; never a result."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from medconsist.errors import RefusedInputError
from medconsist.wsi.bags.bag_store import CaseBag
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.predictor import Predictor
from medconsist.wsi.regions import items_inside

__all__ = ["WithoutTiles", "tiles_inside", "without_tiles"]


@dataclass(frozen=True, kw_only=True)
class WithoutTiles:
    """Probabilities of a case with all of its tiles and without some.

    Parameters
    ----------
    classes
        In the order of the probabilities.
    whole, without
        After the temperature of the card; each sums to 1.
    hidden, left
        Tiles.

    Examples
    --------
    >>> WithoutTiles(
    ...     classes=("a", "b"), whole=(0.5, 0.5), without=(0.9, 0.1), hidden=3, left=7).flips
    False
    """

    classes: tuple[str, ...]
    whole: tuple[float, ...]
    without: tuple[float, ...]
    hidden: int
    left: int

    @property
    def flips(self) -> bool:
        """Whether another class becomes the most probable."""
        first, second = (max(range(len(one)), key=one.__getitem__) for one in self._both)
        return first != second

    @property
    def _both(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return self.whole, self.without


def tiles_inside(
    case: CaseBag,
    slide: int,
    geometry: Any,  # noqa: ANN401  shapely is optional
) -> Bool[np.ndarray, " instances"]:
    """Return which tiles of a case have their centre in an outline on one of its slides.

    Parameters
    ----------
    case
        All of its slides.
    slide
        Number of the one that the outline lies on.
    geometry
        ``shapely.Polygon`` or ``MultiPolygon`` [level-0 px].

    Raises
    ------
    RefusedInputError
        The outline is empty or not simple, or the slide has no grid.
    """
    bag, first = case.bags[slide], int(case.offsets[slide])
    columns, rows = bag.index.numpy().astype(np.int64).T
    items = rows * bag.header.grid.columns + columns
    chosen = items_inside(bag.header.tile_grid, geometry, rule="center")
    inside = np.zeros(len(case), dtype=bool)
    inside[first : first + len(bag)] = np.isin(items, chosen)
    return inside


@torch.no_grad()
def without_tiles(
    predictor: Predictor, case: CaseBag, hidden: Bool[np.ndarray, " instances"]
) -> WithoutTiles:
    """Return what the model says of the case with and without its hidden tiles.

    The features are those that are stored; the tiles that are left are not embedded again.

    Parameters
    ----------
    predictor
        The model.
    case
        As it was predicted.
    hidden
        True for a tile that is left out.

    Raises
    ------
    RefusedInputError
        No tile is hidden, none is left, or the features are of another space than the model's.
    """
    if not hidden.any() or hidden.all():
        what = "no tile lies" if not hidden.any() else "all tiles of the case lie"
        msg = f"{what} in the outline, so that there is nothing to compare; draw another one."
        raise RefusedInputError(msg)
    predictor.card.space.require(case)
    keep = torch.from_numpy(np.flatnonzero(~hidden))
    said = []
    for chosen in (torch.arange(len(case)), keep):
        rows = case.rows(chosen).to(device=predictor.device, dtype=torch.float32)
        output = predictor.network(BagBatch.of([rows]))
        said.append(tuple(predictor.probabilities(output)[0].tolist()))
    return WithoutTiles(
        classes=predictor.card.classes,
        whole=said[0],
        without=said[1],
        hidden=int(hidden.sum()),
        left=len(keep),
    )

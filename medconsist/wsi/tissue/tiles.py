"""How much tissue, and how much of each flag, every tile of a grid holds; and which to keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.affine import Affine
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["TileChoice", "mask_shares", "tissue_tiles"]

Mask = Bool[np.ndarray, "rows columns"]
Items = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TileChoice:
    """Tiles that were kept, and a table of shares for every tile of the grid.

    Parameters
    ----------
    items
        Of the tiles kept, ascending.
    shares
        By name, one value in [0, 1] for each tile of the grid: ``"tissue"``, ``"usable"`` (tissue
        less what is excluded), and one for each flag.

    Examples
    --------
    >>> choice = TileChoice(items=np.array([1]), shares={"tissue": np.array([0.1, 0.8])})
    >>> choice.table()["tissue"]
    array([0.8])
    """

    items: Items
    shares: Mapping[str, npt.NDArray[np.float64]]

    def table(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return the shares of the tiles kept, row by row as in ``items``."""
        return {name: share[self.items] for name, share in self.shares.items()}


def mask_shares(
    grid: TileGrid, mask: Mask, affine: Affine, *, items: Items | None = None
) -> npt.NDArray[np.float64]:
    """Return the share of each tile's area that a mask covers, exactly, shape ``(n,)``.

    With the summed-area table ``S``, whose bilinear interpolation is the integral of the mask,
    ``share = (S(y1, x1) - S(y0, x1) - S(y1, x0) + S(y0, x0)) / (tile area)``; what lies outside
    the mask counts as not covered.

    Parameters
    ----------
    grid
        The tiles.
    mask
        On the grid of an overview.
    affine
        From (row, column) of the mask to (y, x) of level 0.
    items
        Which tiles; all if None.

    References
    ----------
    F. C. Crow, SIGGRAPH 1984, 207, doi:10.1145/800031.808600 (summed-area tables).
    """
    chosen = np.arange(len(grid), dtype=np.int64) if items is None else items
    x0, y0, x1, y1 = grid.boxes(chosen).T
    upper, left = affine.to_index(np.stack([y0, x0], -1)).T
    lower, right = affine.to_index(np.stack([y1, x1], -1)).T
    area = (lower - upper) * (right - left)
    table = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    table[1:, 1:] = mask.cumsum(0).cumsum(1)
    inner = _at(table, lower, right) - _at(table, upper, right)
    inner += _at(table, upper, left) - _at(table, lower, left)
    return (inner / area).clip(0.0, 1.0)  # the sum of four terms ends some 1e-12 outside


def tissue_tiles(
    grid: TileGrid,
    mask: Mask,
    affine: Affine,
    *,
    min_tissue: float | int = 0.25,
    flags: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    exclude: Sequence[str] = ("pen",),
) -> TileChoice:
    """Return the tiles whose share of usable tissue is ``min_tissue`` or more (and above 0).

    Usable is the tissue outside every flag named by ``exclude``; a flag that was not assessed
    (not in ``flags``) excludes nothing. Ink alone is left out unless asked for: healthy structures
    can look like folds and blur (see `fold_mask`, `blur_mask`).

    Raises
    ------
    RefusedInputError
        ``min_tissue`` is outside 0 to 1.
    ShapeError
        A flag lies on another grid than the mask.
    """
    if not 0 <= min_tissue <= 1:
        msg = f"min_tissue is a share of a tile within 0 to 1, got {min_tissue}."
        raise RefusedInputError(msg)
    flags = flags or {}
    usable = mask.copy()
    for name, flag in flags.items():
        if flag.shape != mask.shape:
            msg = f"the flag {name!r} has the shape {flag.shape}, the mask {mask.shape}."
            raise ShapeError(msg)
        if name in exclude:
            usable &= ~flag
    masks = {"tissue": mask, "usable": usable, **flags}
    shares = {name: mask_shares(grid, one, affine) for name, one in masks.items()}
    # a share that is equal but for rounding counts as equal
    kept = (shares["usable"] >= min_tissue - 1e-9) & (shares["usable"] > 1e-9)
    return TileChoice(items=np.flatnonzero(kept).astype(np.int64), shares=shares)


def _at(
    table: npt.NDArray[np.float64], rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Interpolate the table at fractional places, held within it."""
    rows = rows.clip(0, table.shape[0] - 1)
    columns = columns.clip(0, table.shape[1] - 1)
    r = np.minimum(rows.astype(np.int64), table.shape[0] - 2)
    c = np.minimum(columns.astype(np.int64), table.shape[1] - 2)
    down, right = rows - r, columns - c
    upper = table[r, c] * (1 - right) + table[r, c + 1] * right
    lower = table[r + 1, c] * (1 - right) + table[r + 1, c + 1] * right
    return upper * (1 - down) + lower * down

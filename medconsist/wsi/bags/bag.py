"""A bag: the features of the tiles of one slide, and where each tile lies."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float16, Float64, Int32
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.wsi.bags.header import BagHeader

__all__ = ["Bag", "half_features", "make_bag"]

LARGEST = torch.finfo(torch.float16).max


@dataclass(frozen=True, eq=False)
class Bag:
    """Features of one slide; they may lie in a file and be read when they are used.

    Parameters
    ----------
    features
        One row for each tile.
    coords
        Level-0 x, y of the top-left corner, rounded down; ``openslide.bounds-*`` included.
    index
        Column and row on the grid of the header.
    header
        What they belong to.

    Raises
    ------
    ShapeError
        The three do not have one row for each tile.

    Examples
    --------
    >>> from medconsist.wsi.bags.header import BagGrid, EncoderRecord
    >>> grid = BagGrid(tile_px=8, step_px=8, scale_x=2.5, scale_y=2.5, width=99, height=20,
    ...                columns=4, rows=1)
    >>> header = BagHeader(slide="a", encoder=EncoderRecord(name="mean"), grid=grid)
    >>> bag = make_bag(torch.ones(1, 5), torch.tensor([[3, 0]], dtype=torch.int32), header=header)
    >>> bag.features.dtype, bag.coords.tolist(), bag.exact_coords().tolist()
    (torch.float16, [[60, 0]], [[60.0, 0.0]])
    """

    features: Float16[Tensor, "tiles features"]
    coords: Int32[Tensor, "places 2"]
    index: Int32[Tensor, "indices 2"]
    header: BagHeader

    def __post_init__(self) -> None:
        shapes = [tuple(part.shape) for part in (self.features, self.coords, self.index)]
        n = shapes[0][0] if shapes[0] else 0
        if len(shapes[0]) != 2 or shapes[0][1] < 1 or shapes[1:] != [(n, 2), (n, 2)]:
            msg = (
                f"features, coords and index have the shapes {shapes[0]}, {shapes[1]} and "
                f"{shapes[2]}; allowed are (N, D), (N, 2) and (N, 2) with D at least 1."
            )
            raise ShapeError(msg)

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.features)

    @property
    def dim(self) -> int:
        """Length of a feature."""
        return int(self.features.shape[1])

    def exact_coords(self) -> Float64[Tensor, "tiles 2"]:
        """Return the level-0 x, y with their fractions, from the index and the affine."""
        return self.header.grid.exact_coords(self.index)

    def require_coords_of_grid(self) -> None:
        """Refuse coordinates that are not those of the index.

        Raises
        ------
        RefusedInputError
            Names the first tile.
        """
        wanted = self.header.grid.coords(self.index)
        wrong = (self.coords != wanted).any(dim=1).nonzero()
        if len(wrong):
            tile = int(wrong[0])
            msg = (
                f"Tile {tile} of {self.header.slide} is at x, y {self.coords[tile].tolist()}, but "
                f"its index {self.index[tile].tolist()} is at {wanted[tile].tolist()}. "
                "Make the coordinates with BagGrid.coords()."
            )
            raise RefusedInputError(msg)


def make_bag(
    features: Float[Tensor, "tiles features"],
    index: Int32[Tensor, "indices 2"],
    *,
    header: BagHeader,
) -> Bag:
    """Return a bag in fp16 with the coordinates of its grid.

    Parameters
    ----------
    features
        Any float type.
    index
        Column and row of each tile.
    header
        See its class.

    Raises
    ------
    RefusedInputError
        A feature does not fit fp16, or a tile is not on the grid.
    ShapeError
        Not one index for each feature.
    """
    return Bag(half_features(features), header.grid.coords(index), index, header)


def half_features(
    features: Float[Tensor, "tiles features"], *, first_tile: int = 0
) -> Float16[Tensor, "tiles features"]:
    """Return features in fp16, or refuse what fp16 cannot hold.

    A value keeps 11 bits, a relative error of at most 2^-11 from 6.1e-5 to 65504; below, the
    absolute error is at most 3.0e-8.

    Parameters
    ----------
    features
        Any float type.
    first_tile
        Number of the first row on its slide, for the sentence.

    Raises
    ------
    RefusedInputError
        Values are not finite, or round to more than 65504; says how many and where the first is.
    """
    half = features.detach().to("cpu", torch.float16)
    bad = ~torch.isfinite(half)
    if not bool(bad.any()):
        return half.contiguous()
    row, column = (int(part) for part in bad.nonzero()[0])
    value = float(features[row, column])
    finite = bool(torch.isfinite(features[row, column]))
    reason = (
        f"is beyond {LARGEST:.0f}, the largest number of fp16. Normalise the output of the encoder "
        "(e.g. to unit length)"
        if finite
        else "is not finite. Run the encoder in bf16 or fp32, and check its weights"
    )
    msg = (
        f"{int(bad.sum())} of {features.numel()} features cannot be stored; the first, {value:g} "
        f"at tile {first_tile + row}, feature {column}, {reason}."
    )
    raise RefusedInputError(msg)

"""Features as colours: the first three principal components of a slide's tiles, as a picture."""

import numpy as np
import torch
from jaxtyping import Float, Int32, UInt8
from torch import Tensor

from medconsist.errors import RefusedInputError

__all__ = ["feature_colours"]

_MOST_ROWS = 20_000  # components of more tiles look the same
_ENDS = (0.02, 0.98)  # of each component; beyond them the end colours
_EMPTY = 255


def feature_colours(
    features: Float[Tensor, "tiles dim"],
    index: Int32[Tensor, "tiles 2"],
    *,
    shape: tuple[int, int],
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Return a picture in which tiles of like features have like colours.

    Red, green and blue are the first three principal components, each from its 2nd to its 98th
    percentile. The colours of two slides do not compare.

    Parameters
    ----------
    features
        One row a tile, any float type.
    index
        Column and row of each tile.
    shape
        Rows and columns of the grid.

    Returns
    -------
    numpy.ndarray
        White where there is no tile, and grey everywhere else if all tiles are alike.

    Raises
    ------
    RefusedInputError
        There is no tile.
    """
    if len(features) == 0:
        msg = "colours need at least one tile, got none."
        raise RefusedInputError(msg)
    every = -(-len(features) // _MOST_ROWS)
    sample = features[::every].double()
    centre = sample.mean(0)
    # eigenvectors of D x D: a slide has more tiles than a feature has entries
    _, vectors = torch.linalg.eigh((sample - centre).T @ (sample - centre))
    axes = vectors[:, -3:].flip(1)
    # a component has no sign of its own: its largest entry is positive, so that runs agree
    largest = axes.abs().argmax(0)
    axes = axes * axes.gather(0, largest[None]).sign()
    places = (features.double() - centre) @ axes
    low, high = torch.quantile((sample - centre) @ axes, torch.tensor(_ENDS).double(), dim=0)
    span = (high - low).clamp(min=torch.finfo(torch.float32).eps)
    colours = ((places - low) / span).clamp(0, 1).where(high > low, torch.tensor(0.5).double())
    picture = np.full((*shape, 3), _EMPTY, np.uint8)
    column, row = index.numpy().T
    picture[row, column, : colours.shape[1]] = (colours * 255).round().to(torch.uint8).numpy()
    return picture

"""Whether views of one tile meet and tiles stay apart, in numbers that need no label."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from medconsist.errors import RefusedInputError

__all__ = ["view_scores"]

_UNIFORMITY = 2.0  # t of Wang and Isola


def view_scores(
    first: Float[Tensor, "tiles features"], second: Float[Tensor, "tiles features"]
) -> dict[str, float]:
    """Return how well views of one tile meet, and how far tiles spread, on the unit sphere.

    ``retrieval``
        Share of views whose nearest other view is their partner; by chance ``1 / (2 n - 1)``.
    ``alignment``
        Mean squared distance of partners, 0 to 4; lower is better alone only at equal uniformity.
    ``uniformity``
        ``log mean exp(-2 d^2)`` over pairs of different tiles, 0 when all are one point; lower is
        more spread (both: Wang and Isola 2020, arXiv:2005.10242).
    ``spread``
        Standard deviation over tiles, mean over features, times the root of their number: 1 on a
        uniform sphere, 0 when all are one point (Chen and He 2021, arXiv:2011.10566).

    Parameters
    ----------
    first, second
        Projections of two views of the same tiles, at least two tiles.

    Raises
    ------
    RefusedInputError
        Fewer than two tiles.
    """
    n_tiles = len(first)
    if n_tiles < 2:
        msg = f"got {n_tiles} tile; retrieval needs at least 2 tiles for validation."
        raise RefusedInputError(msg)
    views = normalize(torch.cat([first, second]).double(), dim=-1)
    similarity = (views @ views.T).fill_diagonal_(-math.inf)
    partner = torch.arange(2 * n_tiles, device=views.device).roll(n_tiles)
    found = (similarity.argmax(-1) == partner).double().mean()
    one, other = views.chunk(2)
    distance = torch.pdist(one).square()
    return {
        "retrieval": float(found),
        "alignment": float((one - other).square().sum(-1).mean()),
        "uniformity": float((-_UNIFORMITY * distance).exp().mean().log()),
        "spread": float(views.std(0).mean() * math.sqrt(views.shape[-1])),
    }

"""How much a straight cut through the features tells: a linear probe, scored slide by slide."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.metrics.localisation import areas_by_bag
from medconsist.wsi.encoders.encoder import Encoder
from medconsist.wsi.simclr.tile_pool import TilePool

__all__ = ["auc_by_slide", "embed_pool", "linear_probe"]

_ITERATIONS = 100


def embed_pool(
    encoder: Encoder, pool: TilePool, *, batch: int = 64
) -> Float[Tensor, "tiles features"]:
    """Return the features of all tiles of a pool in its order, on the CPU."""
    places = torch.split(torch.arange(len(pool)), batch)
    return torch.cat([encoder(pool.at(index).tiles).cpu() for index in places])


def linear_probe(
    train: Float[Tensor, "tiles features"],
    positive: Bool[Tensor, " tiles"],
    test: Float[Tensor, "others features"],
    *,
    penalty: float | int = 1.0,
) -> Float[Tensor, " others"]:
    r"""Return the scores of a logistic regression on frozen features; more is more positive.

    Features are standardised by the training tiles; then :math:`\sum_i \log(1 + e^{-y_i (w x_i +
    b)}) + \frac{\lambda}{2} \|w\|^2` is minimised in float64, with :math:`y = \pm 1`. The penalty
    is the usual 1 for every encoder; nothing is tuned on test tiles.

    Parameters
    ----------
    train
        Features of the training tiles.
    positive
        Their labels; both kinds must occur.
    test
        Features of tiles to score.
    penalty
        :math:`\lambda`, positive.

    Raises
    ------
    RefusedInputError
        One kind of label only, a penalty that is not positive, or features that are not finite.
    ConvergenceError
        The search for the minimum diverged.
    """
    _refuse_probe(train, positive, test, penalty)
    mean, spread = train.double().mean(0), train.double().std(0)
    spread = spread.where(spread > 0, 1.0)
    x, others = ((values.double() - mean) / spread for values in (train, test))
    sign = torch.where(positive, 1.0, -1.0).double()
    weight = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        margin = sign * (x @ weight[1:] + weight[0])
        loss = torch.nn.functional.softplus(-margin).sum()
        loss = loss + penalty / 2 * weight[1:].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]  # untyped in torch
    if not bool(weight.isfinite().all()):
        msg = "the linear probe diverged. Raise the penalty or look for constant features."
        raise ConvergenceError(msg)
    weight = weight.detach()
    return others @ weight[1:] + weight[0]


def auc_by_slide(
    score: Float[Tensor, " tiles"], positive: Bool[Tensor, " tiles"], slide: Int64[Tensor, " tiles"]
) -> dict[int, float]:
    """Return the area under the ROC curve of each slide that has tiles of both kinds.

    Scores of different slides are never compared, so a slide is one unit of analysis. The area is
    the share of pairs (positive, negative) in the right order, a tie counting half.

    Parameters
    ----------
    score
        More is more positive; finite.
    positive
        The truth.
    slide
        Number of the slide of each tile.

    Raises
    ------
    RefusedInputError
        No slide has both kinds, or a score is not finite.
    """
    return areas_by_bag(score, positive, slide, unit="slide")


def _refuse_probe(train: Tensor, positive: Tensor, test: Tensor, penalty: float | int) -> None:
    if not 0 < penalty < math.inf or bool(positive.all()) or not bool(positive.any()):
        msg = (
            f"got penalty {penalty} and {int(positive.sum())} positive of {len(positive)} tiles; "
            "allowed: a positive penalty, tiles of both kinds."
        )
        raise RefusedInputError(msg)
    if not bool(train.isfinite().all() and test.isfinite().all()):
        msg = "features hold NaN or infinity; look at the encoder before its probe."
        raise RefusedInputError(msg)

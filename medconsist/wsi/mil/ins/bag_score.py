"""From the probabilities of instances to one of their bag."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.output import BagOutput

__all__ = ["POOLINGS", "Pooling", "instance_probability", "pooled_probability"]

Pooling = Literal["mean", "max", "logsumexp"]
#: In the order in which INS reports them.
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


def instance_probability(output: BagOutput) -> Float[Tensor, " instances"]:
    """Return the probability of class 1 of each instance, from a two-class instance classifier.

    Raises
    ------
    RefusedInputError
        The model has no instance scores, or other than two classes.
    """
    scores = output.instance_scores
    if scores is None or scores.shape[1] != 2:
        got = "none" if scores is None else f"{scores.shape[1]} classes"
        msg = f"instance scores got {got}; allowed: negative and positive, as INS has them."
        raise RefusedInputError(msg)
    return scores.float().softmax(1)[:, 1]


def pooled_probability(
    probability: Float[Tensor, " instances"], segments: Segments, *, by: Pooling
) -> Float[Tensor, " bags"]:
    r"""Return one number in [0, 1] a bag.

    ``"mean"``, ``"max"``, or ``"logsumexp"``: :math:`\log \frac1n \sum_i e^{p_i}`, which lies
    between them. Without :math:`1 / n`, as the name says it, a bag would be ranked by its size.
    The mean is the share of the bag that is positive: it ranks bags, and 0.5 is no threshold.

    Raises
    ------
    RefusedInputError
        An unknown name.
    """
    if by not in POOLINGS:
        msg = f"by got {by!r}; allowed: {', '.join(POOLINGS)}."
        raise RefusedInputError(msg)
    if by == "mean":
        return segments.mean(probability)
    if by == "max":
        return segments.max(probability)
    return torch.log(segments.mean(probability.exp()))

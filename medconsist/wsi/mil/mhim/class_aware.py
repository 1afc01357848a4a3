"""MHIM-MIL v2's score: how surely the teacher's classifier names a class by one instance."""

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel
from medconsist.wsi.mil.output import BagOutput

__all__ = ["Bias", "class_aware_scores"]

Bias = Literal["classifier", "class_0"]


@torch.no_grad()
def class_aware_scores(
    model: MilModel, embedded: BagBatch, output: BagOutput, *, bias: Bias = "classifier"
) -> Float[Tensor, "instances 1"]:
    r"""Return :math:`s_i = \max_c \mathrm{softmax}_c(W_c \cdot (a_i h_i) + b)`.

    :math:`a_i h_i` is the instance's summand of the bag feature (``model.contributions``), W and b
    are the model's bag classifier. In float64: the summands of a bag of 100,000 differ in digits
    that a probability in float32 does not have.

    Parameters
    ----------
    model
        The teacher's.
    embedded, output
        What it says of the bags.
    bias
        ``"classifier"``: each class its own, as meant. ``"class_0"``: that of class 0 for every
        class, as released (``parameters()[-1].data[0]``); it cancels in the softmax, so the score
        is the CAM without bias.

    Raises
    ------
    RefusedInputError
        The model has no summands, no linear ``classifier`` over them, or another bias is asked for.

    References
    ----------
    Tang et al. 2025, arXiv:2509.11526; ``attn2score`` of the released code.

    Examples
    --------
    >>> from medconsist.wsi.mil.models.abmil import Abmil
    >>> from medconsist.wsi.mil.models.base import MilSize
    >>> model = Abmil(MilSize(dim=4, width=8), generator=torch.Generator()).eval()
    >>> embedded = model.embed(BagBatch.of([torch.ones(3, 4)]))
    >>> class_aware_scores(model, embedded, model.pool(embedded)).shape
    torch.Size([3, 1])
    """
    if bias not in get_args(Bias):
        msg = f"bias got {bias!r}; allowed: {' or '.join(get_args(Bias))}."
        raise RefusedInputError(msg)
    summands = model.contributions(embedded, output)
    classifier = getattr(model, "classifier", None)
    if not isinstance(classifier, nn.Linear) or classifier.in_features != summands.shape[1]:
        msg = (
            f"{type(model).__name__} has no linear classifier of {summands.shape[1]} numbers, its "
            'instances\' summands; take the scores "attention", or another model.'
        )
        raise RefusedInputError(msg)
    added = classifier.bias.double()
    logits = summands.double() @ classifier.weight.double().T
    logits = logits + (added if bias == "classifier" else added[0])
    return logits.softmax(1).amax(1, keepdim=True)

"""DSMIL: the most telling instance of each class asks all others how like it they are."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize, embedding, start_xavier
from medconsist.wsi.mil.output import BagOutput

__all__ = ["Dsmil"]

_QUERY = 128


class Dsmil(MilModel):
    r"""Two streams, one of instances and one of the bag.

    Instance logits :math:`c_i = W h_i + b`; critical instance of class c
    :math:`m_c = \arg\max_i c_{ic}`; queries :math:`q = \tanh(W_3 \mathrm{ReLU}(W_2 h))` of length
    128; attention :math:`A_{ic} = \mathrm{softmax}_i(q_i \cdot q_{m_c} / \sqrt{128})`; values
    :math:`v = \mathrm{ReLU}(W_4 \mathrm{Dropout}(h))`; branches :math:`B_c = \sum_i A_{ic} v_i`;
    bag logits: one linear layer on all of B (the ``Conv1d(C, C, width)`` of the released code is
    that layer). Loss 0.5 CE(bag logits) + 0.5 CE(:math:`\max_i c_i`).

    ``probabilities`` are the mean of the softmax of both streams, as in MHIM-MIL v1;
    ``averaged="logits"`` takes the softmax of their mean logits, as its v2 does. ``logits`` are the
    bag stream's alone. ``features`` are B, flat; ``extra["branches"]`` has one row a class.

    Parameters
    ----------
    size
        See `MilSize`.
    values
        ``"relu"`` as published, ``"identity"`` (v = h) as the released script has it by default.
    averaged
        See above.
    start
        First weights: ``"xavier"`` as all models here, ``"orthogonal"`` as released.
    generator
        Source of the first weights.

    Raises
    ------
    RefusedInputError
        Another name in one of the options.

    References
    ----------
    Li et al. 2021, arXiv:2011.08939. There the loss is binary, one output a label; here classes
    exclude each other, as in MHIM-MIL.

    Examples
    --------
    >>> model = Dsmil(MilSize(dim=4, width=8), generator=Generator())
    >>> model(BagBatch.of([torch.ones(3, 4)])).extra["branches"].shape
    torch.Size([1, 2, 8])
    """

    def __init__(
        self,
        size: MilSize,
        *,
        values: Literal["relu", "identity"] = "relu",
        averaged: Literal["probabilities", "logits"] = "probabilities",
        start: Literal["xavier", "orthogonal"] = "xavier",
        generator: Generator,
    ) -> None:
        _require_options(values, averaged, start)
        super().__init__(size)
        width = size.width
        self.averaged = averaged
        self.trunk = embedding(size)
        self.instances = nn.Linear(width, size.classes)
        self.query = nn.Sequential(
            nn.Linear(width, _QUERY), nn.ReLU(), nn.Linear(_QUERY, _QUERY), nn.Tanh()
        )
        published = (nn.Dropout(float(size.dropout)), nn.Linear(width, width), nn.ReLU())
        self.values = nn.Sequential(*(published if values == "relu" else ()))
        self.classifier = nn.Linear(size.classes * width, size.classes)
        start_xavier(self, generator)
        if start == "orthogonal":
            _start_orthogonal(self, generator)

    def embed(self, bags: BagBatch) -> BagBatch:
        """Return ``Dropout(ReLU(Linear(x)))`` of every instance."""
        return bags.with_features(self.trunk(bags.features))

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return what both streams say."""
        segments, scores = embedded.segments, self.instances(embedded.features)
        critical = segments.argmax(scores)
        attention = segments.softmax(self._likeness(embedded, critical))
        branches = segments.weighted_sum(attention, self.values(embedded.features))
        logits = self.classifier(branches.flatten(1))
        largest = scores.gather(0, critical)
        return BagOutput(
            logits=logits,
            features=branches.flatten(1),
            attention=attention,
            instance_scores=scores,
            probabilities=self._probabilities(logits, largest),
            extra={"branches": branches, "largest": largest, "critical": critical},
        )

    def losses(self, output: BagOutput, labels: Int64[Tensor, " bags"]) -> dict[str, Tensor]:
        """Return ``bag``, ``instance`` and their mean ``loss``."""
        bag = functional.cross_entropy(output.logits, labels)
        instance = functional.cross_entropy(output.extra["largest"], labels)
        return {"loss": 0.5 * bag + 0.5 * instance, "bag": bag, "instance": instance}

    def hardness(self, embedded: BagBatch, output: BagOutput) -> Float[Tensor, "instances 1"]:
        """Return the largest instance logit over classes, as MHIM-MIL v1 does (not A)."""
        del embedded
        assert output.instance_scores is not None  # noqa: S101  what pool returned
        return torch.Tensor.amax(output.instance_scores, 1, keepdim=True)

    def contributions(
        self, embedded: BagBatch, output: BagOutput
    ) -> Float[Tensor, "instances classes_x_width"]:
        """Return ``A_ic v_i`` of all classes, flat; in eval mode they add up to the feature."""
        assert output.attention is not None  # noqa: S101  what pool returned
        values = self.values(embedded.features)
        return torch.Tensor.flatten(output.attention[:, :, None] * values[:, None], 1)

    def _likeness(
        self, embedded: BagBatch, critical: Int64[Tensor, "bags classes"]
    ) -> Float[Tensor, "instances classes"]:
        segments = embedded.segments
        queries: Tensor = self.query(embedded.features)
        if len(segments) == 1:
            return queries @ queries[critical[0]].T / math.sqrt(_QUERY)
        asked = [segments.spread(queries[rows]) for rows in critical.unbind(1)]
        return torch.stack([(queries * each).sum(1) for each in asked], 1) / math.sqrt(_QUERY)

    def _probabilities(self, bag: Tensor, largest: Tensor) -> Tensor:
        bag, largest = bag.float(), largest.float()
        if self.averaged == "logits":
            return (0.5 * bag + 0.5 * largest).softmax(1)
        return 0.5 * bag.softmax(1) + 0.5 * largest.softmax(1)


@torch.no_grad()
def _start_orthogonal(module: nn.Module, generator: torch.Generator) -> None:
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.orthogonal_(part.weight, generator=generator)


def _require_options(values: str, averaged: str, start: str) -> None:
    allowed = {
        "values": (values, ("relu", "identity")),
        "averaged": (averaged, ("probabilities", "logits")),
        "start": (start, ("xavier", "orthogonal")),
    }
    for name, (got, choices) in allowed.items():
        if got not in choices:
            msg = f"{name} got {got!r}; allowed: {choices[0]!r} and {choices[1]!r}."
            raise RefusedInputError(msg)

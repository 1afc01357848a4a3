"""ACMIL: several attentions that must differ, and the most attended instances hidden by chance."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.networks.attention_pool import AttentionScore
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize, embedding, start_xavier
from medconsist.wsi.mil.output import BagOutput

__all__ = ["Acmil"]


class Acmil(MilModel):
    r"""Attention-challenging pooling: branches of gated attention, their mean for the bag.

    Branch :math:`m` has attention :math:`a_m`, feature :math:`z_m = \sum_i a_{mi} h_i` and a
    classifier of its own; the bag's attention is :math:`\bar a`, its feature
    :math:`\bar z = \sum_i \bar a_i h_i`, read by another classifier. The loss is

    .. math:: L = L_b + \frac1M \sum_m \mathrm{CE}(W_m z_m + b_m, y)
        + \frac{2}{M(M-1)} \sum_{m<k} \cos(a_m, a_k).

    In training (stochastic top-K instance masking) some of the ``top`` most attended instances of
    each bag and branch get attention 0, and the others share it in proportion, by draws of torch's
    own generator, which ``fit`` seeds by place. Attention, features and the cosines are those after
    the masking, as in the released code.

    ``attention`` has a column for each branch. The instance scores are the bag's classifier on one
    instance, so that the bag's logits are their mean under :math:`\bar a`.

    Parameters
    ----------
    size
        See `MilSize`. The released code has no dropout here, and widths of 128 to 384.
    branches
        M, at least 1; with 1 there is neither a branch classifier nor a cosine; the released code
        has the classifier, and trains it by nothing.
    top
        K; 0 hides none. The paper has 10. The released script passes the number of branches in its
        place, so that its option ``--n_masked_patch`` does nothing: ``top=branches`` is what it
        runs.
    share
        p, in [0, 1).
    masking
        ``"paper"`` (eq. 9): each of the top K with probability p. ``"released"``: a random
        ``int(K p)`` of them, where K is at most the instances of the bag.
    generator
        Source of the first weights.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Notes
    -----
    Where the paper's masking would hide all of a small bag from a branch, it hides none of it.
    Branches share V and U and differ in w, as in the released code; whether the paper's do is
    unverified. Its equations were read in transcriptions, the released code
    (``architecture/transformer.py`` at 0b79975, ``Step3_WSI_classification_ACMIL.py`` at 123a04b)
    itself; that script also scores the test set every epoch.

    References
    ----------
    Zhang et al. 2024 (ECCV), arXiv:2311.07125.

    Examples
    --------
    >>> model = Acmil(MilSize(dim=4, width=8), branches=3, generator=Generator())
    >>> model(BagBatch.of([torch.ones(5, 4)])).attention.shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        size: MilSize,
        *,
        branches: int = 5,
        top: int = 10,
        share: float | int = 0.6,
        masking: Literal["paper", "released"] = "paper",
        generator: Generator,
    ) -> None:
        super().__init__(size)
        if branches < 1 or top < 0 or not 0 <= share < 1 or masking not in ("paper", "released"):
            msg = (
                f"got {branches} branches, top {top}, share {share}, masking {masking!r}; allowed: "
                "1 branch or more, a top of 0 or more, a share in [0, 1), paper or released."
            )
            raise RefusedInputError(msg)
        self.top, self.share, self.masking = top, share, masking
        self.trunk = embedding(size)
        self.score = AttentionScore(size.width, gated=True, columns=branches)
        # One branch has no loss, and a parameter without a gradient stops a run of two processes.
        own = branches if branches > 1 else 0
        self.branches = nn.ModuleList(nn.Linear(size.width, size.classes) for _ in range(own))
        self.classifier = nn.Linear(size.width, size.classes)
        start_xavier(self, generator)

    def embed(self, bags: BagBatch) -> BagBatch:
        """Return ``Dropout(ReLU(Linear(x)))`` of every instance."""
        return bags.with_features(self.trunk(bags.features))

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return the bag's class from the mean of the branches."""
        segments, instances = embedded.segments, embedded.features
        scores = self.score(instances)
        if self.training and self.top and self.share:
            scores = scores.masked_fill(self._hidden(scores, segments), -torch.inf)
        attention = segments.softmax(scores)
        read = segments.weighted_sum(attention, instances)
        feature = read.mean(1)
        said = [branch(read[:, place]) for place, branch in enumerate(self.branches)]
        told = {"branch_logits": torch.stack(said, 1)} if said else {}
        return BagOutput(
            logits=self.classifier(feature),
            features=feature,
            attention=attention,
            instance_scores=self.classifier(instances),
            extra=told | {"likeness": _likeness(attention, segments)},
        )

    def losses(self, output: BagOutput, labels: Int64[Tensor, " bags"]) -> dict[str, Tensor]:
        """Return the three terms by name, and their sum as ``"loss"``."""
        bag = functional.cross_entropy(output.logits, labels)
        if not self.branches:
            return {"loss": bag}
        said = output.extra["branch_logits"]
        many = said.shape[1]
        branch = functional.cross_entropy(said.flatten(0, 1), labels.repeat_interleave(many))
        likeness = output.extra["likeness"].mean()
        total = bag + branch + likeness
        return {"loss": total, "bag": bag, "branches": branch, "likeness": likeness}

    def contributions(
        self, embedded: BagBatch, output: BagOutput
    ) -> Float[Tensor, "instances width"]:
        """Return the mean attention times the instance, whose sum is the bag feature."""
        assert output.attention is not None  # noqa: S101  what pool returned
        return torch.Tensor.mul(output.attention.mean(1, keepdim=True), embedded.features)

    def _hidden(self, scores: Tensor, segments: Segments) -> Tensor:
        """Return which instances a branch does not see."""
        hidden = torch.zeros_like(scores, dtype=torch.bool)
        sizes = segments.sizes.tolist()
        parts = torch.split(scores.detach(), sizes), torch.split(hidden, sizes)
        for bag, out in zip(*parts, strict=True):
            leading = bag.topk(min(self.top, len(bag)), dim=0).indices
            out.scatter_(0, leading, self._drawn(leading, len(bag)))
        return hidden

    def _drawn(self, leading: Tensor, count: int) -> Tensor:
        chance = torch.rand(leading.shape, device=leading.device)
        if self.masking == "released":
            return chance.argsort(0).argsort(0) < int(len(leading) * self.share)
        drawn = chance < self.share
        return drawn & ~(drawn.all(0) & (len(leading) == count))


def _likeness(attention: Tensor, segments: Segments) -> Tensor:
    """Return the mean cosine of the attentions of two branches, for each bag."""
    # Squares of shares of 1e-5 are zeros in half precision.
    wide = attention.to(torch.promote_types(attention.dtype, torch.float32))
    products = segments.sum(wide[:, :, None] * wide[:, None])
    lengths = products.diagonal(dim1=1, dim2=2).sqrt()
    cosines = products / (lengths[:, :, None] * lengths[:, None])
    many = cosines.shape[1]
    first, second = torch.triu_indices(many, many, offset=1, device=cosines.device)
    return cosines[:, first, second].sum(1) / max(1, len(first))

"""DTFD: pseudo-bags of a bag, and a second attention over what each of them distils."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.networks.attention_pool import AttentionScore
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize, start_xavier
from medconsist.wsi.mil.output import BagOutput

__all__ = ["Dtfd"]


class Dtfd(MilModel):
    r"""Double-tier feature distillation.

    Tier 1: each bag is split into pseudo-bags that carry its label; gated attention :math:`a` and a
    linear classifier :math:`W` on each. An instance's class activation is :math:`W (a_i h_i)`, its
    probability the softmax of that over classes. Tier 2: gated attention and a linear classifier on
    what the pseudo-bags distil, whose gradient stops there.

    In training the split is random, from torch's own generator, which ``fit`` seeds by place. In
    eval mode it is fixed: instance ``i`` of a bag goes to pseudo-bag ``i mod k``, so that each sees
    all of the slide. A bag of fewer instances than pseudo-bags gets one for each.

    ``attention`` is an instance's share of what tier 2 reads: tier 2's attention times, with
    ``"AFS"``, tier 1's; it sums to 1 over the bag, and the bag feature is ``sum_i attention_i
    h_i``. Tier 1 gets no gradient through it. The instance scores are the class activations.

    Parameters
    ----------
    size
        See `MilSize`. The released code has no dropout here.
    pseudo_bags
        Of each bag: 4 by default in the released code; 5 in the paper from memory, unverified.
    distillation
        ``"AFS"``: a pseudo-bag's attention-weighted mean. ``"MaxS"``: its instances of the highest
        probability of the LAST class. ``"MaxMinS"``: those of the highest and of the lowest.
    each
        Instances of either kind from a pseudo-bag, 1 by default in the released code; not for
        ``"AFS"``. An instance that is both is taken once (twice in the released code).
    generator
        Source of the first weights.

    Raises
    ------
    RefusedInputError
        Fewer than one pseudo-bag or instance, or a distillation of another name.

    Notes
    -----
    The paper has two optimisers. Here one does: the tiers share no parameter and, as what is
    distilled is detached, no gradient, so that Adam's steps are the same; a clip of the gradient's
    norm is over both. MHIM-MIL v2's copy leaves out tier 1's loss and does not shuffle: that is
    another model.

    References
    ----------
    Zhang et al. 2022, arXiv:2203.12081.

    Examples
    --------
    >>> model = Dtfd(MilSize(dim=4, width=8), generator=Generator())
    >>> model(BagBatch.of([torch.ones(9, 4)])).extra["tier1_logits"].shape
    torch.Size([4, 2])
    """

    permutation_invariant = False

    def __init__(
        self,
        size: MilSize,
        *,
        pseudo_bags: int = 4,
        distillation: Literal["AFS", "MaxS", "MaxMinS"] = "AFS",
        each: int = 1,
        generator: Generator,
    ) -> None:
        super().__init__(size)
        if pseudo_bags < 1 or each < 1 or distillation not in ("AFS", "MaxS", "MaxMinS"):
            msg = (
                f"got {pseudo_bags} pseudo-bags, distillation {distillation!r} of {each} each; "
                "allowed: 1 or more of both, AFS, MaxS or MaxMinS."
            )
            raise RefusedInputError(msg)
        self.pseudo_bags, self.distillation, self.each = pseudo_bags, distillation, each
        self.trunk = nn.Sequential(
            nn.Linear(size.dim, size.width, bias=False), nn.ReLU(), nn.Dropout(float(size.dropout))
        )
        self.first_score = AttentionScore(size.width, gated=True)
        self.first = nn.Linear(size.width, size.classes)
        self.second_score = AttentionScore(size.width, gated=True)
        self.second = nn.Linear(size.width, size.classes)
        start_xavier(self, generator)

    def embed(self, bags: BagBatch) -> BagBatch:
        """Return ``Dropout(ReLU(Linear(x)))`` of every instance; the layer has no bias."""
        return bags.with_features(self.trunk(bags.features))

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return both tiers' results; the bag's are those of tier 2."""
        order, pseudo, owner = self._split(embedded.segments)
        instances = embedded.features[order]
        shares = pseudo.softmax(self.first_score(instances))
        weighted = shares * instances
        means = pseudo.sum(weighted)
        activation = functional.linear(weighted.detach(), self.first.weight.detach())

        chosen = self._chosen(activation, pseudo)
        distilled = means if chosen is None else instances[chosen]
        bag_of = owner if chosen is None else owner[pseudo.owner[chosen]]
        read = BagBatch(distilled.detach(), Segments.of_sizes(bag_of.bincount()))
        weights = read.segments.softmax(self.second_score(read.features))
        feature = read.segments.sum(weights * read.features)
        if chosen is None:
            attention = pseudo.spread(weights) * shares.detach()
        else:
            attention = torch.zeros_like(shares).index_put((chosen,), weights)

        back = order.argsort()
        return BagOutput(
            logits=self.second(feature),
            features=feature,
            attention=attention[back],
            instance_scores=activation[back],
            extra={"tier1_logits": self.first(means), "tier1_bag": owner},
        )

    def losses(self, output: BagOutput, labels: Int64[Tensor, " bags"]) -> dict[str, Tensor]:
        """Return the cross-entropies of both tiers, and their sum as ``"loss"``.

        Tier 1's is the mean over the pseudo-bags of a bag, then over bags.
        """
        owner = output.extra["tier1_bag"]
        each = functional.cross_entropy(
            output.extra["tier1_logits"], labels[owner], reduction="none"
        )
        tier1 = Segments.of_sizes(owner.bincount()).mean(each[:, None]).mean()
        tier2 = functional.cross_entropy(output.logits, labels)
        return {"loss": tier1 + tier2, "tier1": tier1, "tier2": tier2}

    def contributions(
        self, embedded: BagBatch, output: BagOutput
    ) -> Float[Tensor, "instances width"]:
        """Return ``attention_i h_i``, whose sum is the bag feature."""
        assert output.attention is not None  # noqa: S101  what pool returned
        return torch.Tensor.mul(output.attention, embedded.features)

    def _split(self, bags: Segments) -> tuple[Tensor, Segments, Tensor]:
        """Return the rows in the order of the pseudo-bags, these, and the bag of each."""
        device = bags.offsets.device
        orders, sizes, owners = [], [], []
        for bag, count in enumerate(bags.sizes.tolist()):
            many = min(self.pseudo_bags, count)
            order = torch.arange(count)
            if self.training:
                order = torch.randperm(count)  # torch's own, see the docstring of the class
            orders += [order[first::many].to(device) + bags.offsets[bag] for first in range(many)]
            sizes += [len(range(first, count, many)) for first in range(many)]
            owners += [bag] * many
        return (
            torch.cat(orders),
            Segments.of_sizes(sizes, device=device),
            torch.tensor(owners, device=device),
        )

    def _chosen(self, activation: Tensor, pseudo: Segments) -> Tensor | None:
        """Return the rows that are distilled one by one; None where it is the means."""
        if self.distillation == "AFS":
            return None
        ranked = pseudo.ranking(activation.softmax(1)[:, -1])
        place = torch.arange(pseudo.rows, device=ranked.device) - pseudo.offsets[pseudo.owner]
        kept = place < self.each
        if self.distillation == "MaxMinS":
            kept |= place >= pseudo.sizes[pseudo.owner] - self.each
        return ranked[kept]

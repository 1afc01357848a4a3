"""TransMIL: self-attention between the instances of a bag, and a class token that reads them."""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from medconsist.errors import RefusedInputError
from medconsist.networks.nystrom import Attended, NystromAttention
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.models.base import MilModel, MilSize, embedding, start_xavier
from medconsist.wsi.mil.models.ppeg import Ppeg
from medconsist.wsi.mil.output import BagOutput

__all__ = ["TransMil"]

_PART = 8192  # instances


class TransMil(MilModel):
    """A class token reads the instances through two layers of Nystrom attention.

    Class token before the instances, ``x + attention(LayerNorm(x))``, `Ppeg` on the instances,
    the same layer again, LayerNorm; the class token is the bag's feature, a linear layer on it the
    logits. Of the second layer only the class token is computed; nothing else of it is read.

    The square of `Ppeg` takes the instances in the order given, and attention takes its landmarks
    from consecutive ones: the order of instances changes the result. Bags of a batch are read one
    after the other.

    ``attention`` is the class token's row of the FIRST layer without its own column, one column a
    head. It is an approximation with negative entries: those are set to 0 and the rest is divided
    by its sum. ``hardness`` is the row as it is, which MHIM-MIL ranks by (its layer index 0). The
    instance scores are the classifier on ``to_out(a_{h,i} v_{h,i})`` of that layer, as the
    class-aware scores of MHIM-MIL v2, before softmax and maximum: what an instance
    adds to the class token's first step, seen through a classifier that reads its last. Attention,
    hardness and instance scores carry no gradient.

    Parameters
    ----------
    size
        See `MilSize`; the width is a multiple of the heads.
    pad
        ``"repeat"`` (paper): the first instances stand a second time at the end, before the class
        token is put in front, so that there are ``ceil(sqrt(n))^2``; what falls on copies counts
        for the instance. ``"mhim"``: only within `Ppeg`, with zeros up to a square of 7.
    row
        ``"class"``: the class token's. ``"released"``: what an early release of MHIM-MIL took for
        it, the row of a zero token, see `NystromAttention`.
    landmarks
        256 in the released code at width 512, where it is half the width.
    heads
        Of both layers.
    generator
        Source of the first weights: Glorot's rule for linear layers as in MHIM-MIL (the released
        TransMIL has torch's), a standard normal class token.

    Raises
    ------
    RefusedInputError
        Heads that do not divide the width, or an option of another name.

    Notes
    -----
    Memory and time are linear in the instances; no matrix of instances by landmarks is ever formed.
    One step in float32 at width 512 holds about 25 numbers of that width for each instance:
    measured on CPU, 5 GiB at 100,000 instances of 1024 features, 1 GiB at 10,000.

    References
    ----------
    Shao et al. 2021, arXiv:2106.00908; MHIM-MIL, arXiv:2307.15254 and arXiv:2509.11526.

    Examples
    --------
    >>> model = TransMil(MilSize(dim=4, width=16), landmarks=4, generator=Generator())
    >>> model(BagBatch.of([torch.ones(3, 4)])).attention.shape
    torch.Size([3, 8])
    """

    permutation_invariant = False

    def __init__(
        self,
        size: MilSize,
        *,
        pad: Literal["repeat", "mhim"] = "repeat",
        row: Literal["class", "released"] = "class",
        landmarks: int = 256,
        heads: int = 8,
        generator: Generator,
    ) -> None:
        super().__init__(size)
        if pad not in ("repeat", "mhim") or row not in ("class", "released"):
            msg = f"got pad {pad!r}, row {row!r}; allowed: repeat or mhim, class or released."
            raise RefusedInputError(msg)
        self.pad, self.row = pad, row
        self.trunk = embedding(size)
        start = torch.empty(1, size.width).normal_(generator=generator)
        self.class_token = nn.Parameter(start)
        self.first = _Layer(size.width, heads=heads, landmarks=landmarks, generator=generator)
        self.positions = Ppeg(size.width, least_side=7 if pad == "mhim" else 1, generator=generator)
        self.second = _Layer(size.width, heads=heads, landmarks=landmarks, generator=generator)
        self.norm = nn.LayerNorm(size.width)
        self.classifier = nn.Linear(size.width, size.classes)
        start_xavier(self, generator)

    def embed(self, bags: BagBatch) -> BagBatch:
        """Return ``Dropout(ReLU(Linear(x)))`` of every instance."""
        return bags.with_features(self.trunk(bags.features))

    def pool(self, embedded: BagBatch) -> BagOutput:
        """Return what the class token of each bag has read."""
        bags = torch.split(embedded.features, embedded.segments.sizes.tolist())
        read = [self._read(bag) for bag in bags]
        features = self.norm(torch.cat([each.token for each in read]))
        rows = torch.cat([each.row for each in read])
        return BagOutput(
            logits=self.classifier(features),
            features=features,
            attention=_shares(rows, embedded.segments),
            instance_scores=self._scores(embedded.features, rows),
            extra={"class_row": rows},
        )

    def hardness(self, embedded: BagBatch, output: BagOutput) -> Float[Tensor, "instances columns"]:
        """Return the class token's row of the first layer, one column a head."""
        del embedded
        return output.extra["class_row"]

    def contributions(
        self, embedded: BagBatch, output: BagOutput
    ) -> Float[Tensor, "instances width"]:
        """Return ``to_out(a_{h,i} v_{h,i})`` of the first layer, heads merged, with the bias.

        These add up to what the class token gets in the first layer (but for the biases, its own
        column and the convolution), not to the bag feature.
        """
        return self.first.contributions(embedded.features, output.extra["class_row"])

    @torch.no_grad()
    def _scores(self, instances: Tensor, rows: Tensor) -> Tensor:
        # In parts: at the end of a forward pass all that the backward one needs is held as well.
        parts = zip(torch.split(instances, _PART), torch.split(rows, _PART), strict=True)
        return torch.cat([self.classifier(self.first.contributions(*part)) for part in parts])

    def _read(self, instances: Tensor) -> "_Read":
        count = len(instances)
        side = math.isqrt(count - 1) + 1
        copies = instances[: side**2 - count if self.pad == "repeat" else 0]
        tokens = torch.cat([self.class_token, instances, copies])
        of = "first" if self.row == "class" else "padded"
        said = self.first(tokens, row=of)
        row = said.row[:, 1:].mT.contiguous()
        row[: len(copies)] += row[count:]
        placed = torch.cat([said.tokens[:1], self.positions(said.tokens[1:])])
        return _Read(self.second(placed, asked=1).tokens, row[:count])


class _Read(NamedTuple):
    token: Tensor
    row: Tensor


class _Layer(nn.Module):
    def __init__(self, width: int, *, heads: int, landmarks: int, generator: Generator) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = NystromAttention(
            width, heads=heads, landmarks=landmarks, dropout=0.1, generator=generator
        )

    def forward(
        self,
        tokens: Tensor,
        *,
        row: Literal["first", "padded"] | None = None,
        asked: int | None = None,
    ) -> Attended:
        said: Attended = self.attention(self.norm(tokens), row=row, asked=asked)
        return Attended(tokens[:asked] + said.tokens, said.row)

    def contributions(self, instances: Tensor, row: Tensor) -> Tensor:
        return self.attention.contributions(self.norm(instances), row.mT)


def _shares(rows: Tensor, segments: Segments) -> Tensor:
    risen = rows.clamp(min=0)
    total = segments.spread(segments.sum(risen))
    alike = segments.spread(1 / segments.sizes.to(rows.dtype))[:, None]
    # A head may be negative on every instance of a small bag.
    return torch.where(total > 0, risen / total.clamp(min=torch.finfo(rows.dtype).tiny), alike)

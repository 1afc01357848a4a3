"""MHIM-MIL v2's global recycle: most survivors stay, the rest become a few tokens."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.networks.ragged import Segments
from medconsist.wsi.mil.bag_batch import BagBatch
from medconsist.wsi.mil.mhim.ragged_top import hold_top, noise

__all__ = ["GlobalMerge", "MergeConfig", "Merged"]

Order = Literal["ascending", "shuffled"]

# Fan-in that the released code takes for the start of its queries, whatever their width.
_RELEASED_FAN_IN = 768


@dataclass(frozen=True, kw_only=True)
class MergeConfig:
    """How survivors are merged.

    Parameters
    ----------
    keep
        Share in (0, 1) of the survivors that stay as they are, at random: ``int(L keep)`` of L;
        .8 or .9 in the runs of v2, where the option is called ``merge_ratio``.
    queries
        k, tokens that the others become; 1, 5 or 10 in the runs of v2.
    momentum
        Share of the old query that stays, in [0, 1]; .9999, the option's own default is .9998.
    heads, head_width
        Of the cross-attention.
    dropout
        Share of attention weights that training leaves out.
    order
        Of the instances that stay: ``"ascending"`` as in the bag, or ``"shuffled"`` as the released
        code gathers them, so that a model with positions sees them at other places.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> MergeConfig(keep=0.8).queries
    5
    """

    keep: float = 0.9
    queries: int = 5
    momentum: float | int = 0.9999
    heads: int = 8
    head_width: int = 64
    dropout: float | int = 0.1
    order: Order = "ascending"

    def __post_init__(self) -> None:
        counts = (self.queries, self.heads, self.head_width)
        shares = 0 < self.keep < 1 and 0 <= self.momentum <= 1 and 0 <= self.dropout < 1
        if min(counts) < 1 or not shares or self.order not in get_args(Order):
            msg = (
                f"keep, momentum and dropout got {self.keep}, {self.momentum} and {self.dropout}, "
                f"queries, heads and head_width {counts}, order {self.order!r}; allowed: (0, 1), "
                f"[0, 1], [0, 1), counts of 1 or more, {' or '.join(get_args(Order))}."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class Merged:
    """Bags after the merge.

    Parameters
    ----------
    bags
        What stays, then the tokens of its bag.
    tokens
        The tokens alone.

    Examples
    --------
    >>> Merged(BagBatch.of([torch.zeros(3, 4)]), torch.zeros(1, 1, 4)).tokens.shape
    torch.Size([1, 1, 4])
    """

    bags: BagBatch
    tokens: Float[Tensor, "bags queries width"]


class GlobalMerge(nn.Module):
    r"""Cross-attention of k global queries over the instances that are not kept.

    With x the L survivors of a bag, of which a random ``int(L keep)`` stay, R the others, g the
    queries and N one layer norm for both: tokens
    :math:`W_o\,\mathrm{softmax}(N(g) W_q (N(R) W_k)^T / \sqrt{64})\,N(R) W_v`, appended to what
    stays. No bias but in :math:`W_o`.

    The queries have no gradient. They are the running average of the tokens they gave,
    :math:`g \leftarrow m g + (1 - m) \bar t`, in training only and when :meth:`remember` is called,
    once a step; :math:`\bar t` is the mean over the bags (the released code has one bag a step).

    A bag of one survivor is merged as a whole; of two or more at least one stays.

    Parameters
    ----------
    width
        Of an embedded instance.
    config
        See `MergeConfig`.
    generator
        Source of the first weights and queries, uniform in :math:`\pm\sqrt{6 / (768 + width)}`.

    References
    ----------
    Tang et al. 2025, arXiv:2509.11526, and the released code.

    Examples
    --------
    >>> merge = GlobalMerge(8, MergeConfig(queries=2), generator=Generator())
    >>> merge(BagBatch.of([torch.ones(10, 8)]), Generator()).bags.features.shape
    torch.Size([11, 8])
    """

    queries: Tensor

    def __init__(self, width: int, config: MergeConfig, *, generator: Generator) -> None:
        super().__init__()
        self.config = config
        inner = config.heads * config.head_width
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width)
        for layer in (self.query, self.key_value, self.out):
            nn.init.xavier_normal_(layer.weight, generator=generator)
        nn.init.zeros_(self.out.bias)
        bound = math.sqrt(6 / (_RELEASED_FAN_IN + width))
        first = torch.rand(config.queries, width, generator=generator) * 2 * bound - bound
        self.register_buffer("queries", first)

    def forward(self, embedded: BagBatch, generator: Generator) -> Merged:
        """Return the merged bags; ``generator``, on their device, says what stays."""
        segments = embedded.segments
        drawn = noise(segments, generator)
        rest = hold_top(drawn, segments, 1 - self.config.keep)[:, 0]
        # int(1 keep) = 0 of one instance stay, where a split always leaves one
        rest = rest | segments.spread(segments.sizes == 1)
        tokens = self._tokens(embedded.keep(rest))
        return Merged(self._appended(embedded, ~rest, tokens, drawn[:, 0]), tokens)

    @torch.no_grad()
    def remember(self, tokens: Float[Tensor, "bags queries width"]) -> None:
        """Move the queries towards the tokens they gave; nothing happens in eval mode."""
        if self.training:
            self.queries.lerp_(tokens.mean(0).to(self.queries), 1 - self.config.momentum)

    def _tokens(self, rest: BagBatch) -> Tensor:
        heads = self.config.heads
        # a copy, as remember() changes in place what backward() still reads
        asked = self.query(self.norm(self.queries.clone()))
        keys, values = self.key_value(self.norm(rest.features)).chunk(2, 1)
        q, k, v = (x.unflatten(1, (heads, -1)).transpose(0, 1) for x in (asked, keys, values))
        dropout = float(self.config.dropout) if self.training else 0.0
        sizes = rest.segments.sizes.tolist()
        answers = [
            functional.scaled_dot_product_attention(q, k_bag, v_bag, dropout_p=dropout)
            for k_bag, v_bag in zip(k.split(sizes, 1), v.split(sizes, 1), strict=True)
        ]
        tokens: Tensor = self.out(torch.stack(answers).transpose(1, 2).flatten(2))
        return tokens

    def _appended(self, bags: BagBatch, kept: Tensor, tokens: Tensor, drawn: Tensor) -> BagBatch:
        segments, count = bags.segments, self.config.queries
        rows = kept.nonzero()[:, 0]
        if self.config.order == "shuffled":
            # what is kept drew the smaller numbers, in no order of the bag
            rows = rows[drawn[rows].argsort()]
        all_bags = torch.arange(len(bags), device=rows.device)
        owner = torch.cat([segments.owner[rows], all_bags.repeat_interleave(count)])
        features = torch.cat([bags.features[rows], tokens.flatten(0, 1)])
        sizes = torch.bincount(owner, minlength=len(bags))
        return BagBatch(features[owner.argsort(stable=True)], Segments.of_sizes(sizes))

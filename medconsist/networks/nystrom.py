"""Nystrom attention over one long sequence, in memory linear in its length.

The two softmax factors with as many rows or columns as tokens are never formed: both products are
ordinary softmax attention with few keys or few queries, which torch computes blockwise and
recomputes in the backward pass.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError

__all__ = ["Attended", "NystromAttention", "iterative_pinv", "nystrom_row"]

_ROW_BUDGET = 2**25  # numbers of a block of the row, 128 MiB in float32


@dataclass(frozen=True, eq=False)
class Attended:
    """What attention says of a sequence.

    Parameters
    ----------
    tokens
        Output of the tokens that were asked for.
    row
        One row of the approximated attention matrix for each head, a column for each token; None
        where none was asked for. It carries no gradient. An approximation: columns may be
        negative, and with those of the zero padding, which are left out, they sum to about 1.

    Examples
    --------
    >>> Attended(torch.zeros(3, 8)).row is None
    True
    """

    tokens: Float[Tensor, "asked dim"]
    row: Float[Tensor, "heads tokens"] | None = None


class NystromAttention(nn.Module):
    r"""Multi-head attention through landmarks.

    .. math:: \mathrm{softmax}(q\tilde k^T)\,\mathrm{softmax}(\tilde q\tilde k^T)^+
        \,\mathrm{softmax}(\tilde q k^T)\,v + \mathrm{conv}(v)

    with :math:`q` divided by the root of the head's length, the pseudo-inverse of `iterative_pinv`,
    and a depth-wise convolution of the values along the sequence, one kernel a head; then a linear
    layer and dropout. The sequence is filled up with zeros at the FRONT to a multiple of the number
    of landmarks; a landmark is the mean of ``ceil(tokens / landmarks)`` consecutive tokens. The
    zeros take part as keys and in landmarks, as in all released code.

    Parameters
    ----------
    dim
        Length of a token.
    heads
        Divide ``dim``; a head has ``dim / heads`` numbers (8 heads of 64 in TransMIL).
    landmarks
        256 in TransMIL; at least 1.
    dropout
        Of the output, in [0, 1).
    maxima
        Of the start of the pseudo-inverse: over the whole ``"tensor"`` as in all released code, or
        each ``"head"`` its own.
    generator
        Source of the first weights (uniform, Kaiming's rule as in torch).

    Raises
    ------
    RefusedInputError
        Sizes out of their ranges.

    References
    ----------
    Xiong et al. 2021, arXiv:2102.03902; TransMIL, Shao et al. 2021, arXiv:2106.00908.

    Examples
    --------
    >>> attention = NystromAttention(16, heads=2, landmarks=4, generator=Generator())
    >>> said = attention(torch.zeros(9, 16), row="first")
    >>> said.tokens.shape, said.row.shape
    (torch.Size([9, 16]), torch.Size([2, 9]))
    """

    steps = 6  # of the pseudo-inverse, "6 was recommended by the paper" (released code)
    kernel = 33  # tokens of the convolution

    def __init__(
        self,
        dim: int,
        *,
        heads: int = 8,
        landmarks: int = 256,
        dropout: float | int = 0.1,
        maxima: Literal["tensor", "head"] = "tensor",
        generator: Generator,
    ) -> None:
        super().__init__()
        if maxima not in ("tensor", "head"):
            msg = f"maxima got {maxima!r}; allowed: tensor, head."
            raise RefusedInputError(msg)
        if dim < 1 or heads < 1 or dim % heads or landmarks < 1 or not 0 <= dropout < 1:
            msg = (
                f"got dim {dim}, heads {heads}, landmarks {landmarks}, dropout {dropout}; allowed: "
                "heads that divide dim, 1 landmark or more, a dropout in [0, 1)."
            )
            raise RefusedInputError(msg)
        self.heads, self.landmarks, self.maxima = heads, landmarks, maxima
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(float(dropout))
        middle = (self.kernel // 2, 0)
        self.residual = nn.Conv2d(
            heads, heads, (self.kernel, 1), padding=middle, groups=heads, bias=False
        )
        _start(self, generator)

    def forward(
        self,
        tokens: Float[Tensor, "tokens dim"],
        *,
        row: Literal["first", "padded"] | None = None,
        asked: int | None = None,
    ) -> Attended:
        """Return the output, and on request the attention of one query.

        Parameters
        ----------
        tokens
            One sequence.
        row
            ``"first"``: the row of the first token, where a class token stands. ``"padded"``: row 0
            of the sequence after its filling, which is a zero unless the length is a multiple of
            the landmarks. An early release of MHIM-MIL took that one for the class token's
            (``modules/nystrom_attention.py`` at 65cec90; mended in its v2 at fba0f1c): a zero
            query attends all landmarks alike, whatever the class token asks.
        asked
            Output of the first so many tokens only; None for all. The others are then not computed.
        """
        group = -(-len(tokens) // self.landmarks)
        padding = group * self.landmarks - len(tokens)
        filled = functional.pad(tokens, (0, 0, padding, 0)) if padding else tokens
        q, k, v = self.to_qkv(filled).unflatten(1, (3, self.heads, -1)).permute(1, 2, 0, 3)
        scale = q.shape[-1] ** -0.5
        some_q, some_k = (x.unflatten(1, (-1, group)).mean(2) for x in (q, k))
        core = iterative_pinv(
            _softmax(scale * some_q @ some_k.mT), steps=self.steps, maxima=self.maxima
        )
        gathered = _attend(some_q, k, v)
        with torch.autocast(tokens.device.type, enabled=False):
            values = (core @ gathered.to(core.dtype)).to(v.dtype)
        end = padding + (len(tokens) if asked is None else asked)
        mixed = _attend(q[:, padding:end], some_k, values) + self._near(v, padding, end)
        out = self.dropout(self.to_out(mixed.transpose(0, 1).flatten(1)))
        if row is None:
            return Attended(out)
        query = q[:, 0 if row == "padded" else padding]
        shares = nystrom_row(scale * query, some_k, core, scale * some_q, k)
        return Attended(out, shares[:, padding:])

    def contributions(
        self, tokens: Float[Tensor, "tokens dim"], row: Float[Tensor, "heads tokens"]
    ) -> Float[Tensor, "tokens dim"]:
        """Return ``to_out(a_{h,i} v_{h,i})`` of every token, heads merged, without dropout.

        With the bias of ``to_out``, which is the same for every token.
        """
        last = self.to_qkv.weight[2 * self.to_out.in_features :]
        values = functional.linear(tokens, last).reshape(len(tokens), self.heads, -1)
        shared = values * row.mT[:, :, None].to(values.dtype)
        out: Tensor = self.to_out(shared.flatten(1))
        return out

    def _near(self, v: Tensor, first: int, end: int) -> Tensor:
        # What lies before `first` is zero, so that the convolution's own zeros stand for it.
        seen = v[:, first : end + self.kernel // 2].contiguous()
        near: Tensor = self.residual(seen[None])[0, :, : end - first]
        return near


def iterative_pinv(
    matrix: Float[Tensor, "heads size size"],
    *,
    steps: int = 6,
    maxima: Literal["tensor", "head"] = "tensor",
) -> Float[Tensor, "heads size size"]:
    r"""Return nearly the Moore-Penrose pseudo-inverse of softmax matrices, in float32 at least.

    :math:`z_0 = A^T / (\max_i \sum_j |A_{ij}| \cdot \max_j \sum_i |A_{ij}|)`, then
    :math:`z \leftarrow \frac14 z(13 I - Az(15 I - Az(7 I - Az)))`. Converges for a matrix that is
    not too badly conditioned; six steps leave directions of small singular values out.

    Parameters
    ----------
    matrix
        One for each head.
    steps
        6 in all released code.
    maxima
        Over the whole ``"tensor"`` (released code) or each ``"head"`` its own; a larger divisor
        converges more slowly.

    References
    ----------
    Xiong et al. 2021, arXiv:2102.03902, eq. 11; Razavi et al. 2014 therein.

    Examples
    --------
    >>> iterative_pinv(torch.eye(2)[None] / 2)[0].round(decimals=3).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    with torch.autocast(matrix.device.type, enabled=False):
        a = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
        rows, columns = a.abs().sum(-1), a.abs().sum(-2)
        if maxima == "tensor":
            divisor = rows.max() * columns.max()
        else:
            divisor = (rows.amax(-1) * columns.amax(-1))[:, None, None]
        z = a.mT / divisor
        eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
        for _ in range(steps):
            az = a @ z
            z = 0.25 * z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az)))
    return z


@torch.no_grad()
def nystrom_row(
    query: Float[Tensor, "heads length"],
    some_k: Float[Tensor, "heads landmarks length"],
    core: Float[Tensor, "heads landmarks landmarks"],
    some_q: Float[Tensor, "heads landmarks length"],
    keys: Float[Tensor, "heads tokens length"],
    *,
    budget: int = _ROW_BUDGET,
) -> Float[Tensor, "heads tokens"]:
    """Return one row of the approximated attention, without any matrix of tokens by tokens.

    Parameters
    ----------
    query
        Scaled; the row is this query's.
    some_k, some_q
        Landmarks, the queries scaled.
    core
        Pseudo-inverse of their softmax.
    keys
        Of all tokens.
    budget
        Most numbers held at a time; landmarks are taken in blocks that keep it.

    Examples
    --------
    >>> one = torch.ones(1, 1, 1)
    >>> nystrom_row(one[0], one, one, one, torch.zeros(1, 4, 1)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    with torch.autocast(keys.device.type, enabled=False):
        asks = _softmax(torch.einsum("hd,hmd->hm", query.to(core.dtype), some_k.to(core.dtype)))
        weights = torch.einsum("hm,hmk->hk", asks, core)
        keys = keys.to(core.dtype)
        row = keys.new_zeros(keys.shape[:2])
        block = max(1, budget // row.numel())
        blocks = zip(torch.split(some_q, block, 1), torch.split(weights, block, 1), strict=True)
        for few, share in blocks:
            row += torch.einsum("hm,hmn->hn", share, _softmax(few.to(core.dtype) @ keys.mT))
    return row


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    # The blockwise kernels take a batch axis and nothing less.
    return functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]


def _softmax(scores: Tensor) -> Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32)).softmax(-1)


@torch.no_grad()
def _start(attention: NystromAttention, generator: Generator) -> None:
    for part in (attention.to_qkv, attention.to_out, attention.residual):
        nn.init.kaiming_uniform_(part.weight, a=5**0.5, generator=generator)
    nn.init.zeros_(attention.to_out.bias)

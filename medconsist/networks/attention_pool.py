"""Attention-based pooling of sets: one score an instance, plain or gated."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from medconsist.errors import RefusedInputError

__all__ = ["AttentionScore"]


class AttentionScore(nn.Module):
    r"""One score an instance and column, before the softmax.

    Plain: :math:`w^T \mathrm{act}(V h)`. Gated: :math:`w^T(\tanh(V h) \odot \sigma(U h))`.

    Parameters
    ----------
    width
        Of an embedded instance.
    hidden
        Rows of V and U.
    gated
        Whether there is a U.
    activation
        Of the plain form: ``"tanh"`` as published, ``"relu"`` as in MHIM-MIL.
    bias
        Whether the layers have one.
    columns
        Columns of w; V and U are shared.

    Raises
    ------
    RefusedInputError
        Another activation, one of the gated form, or no row.

    References
    ----------
    Ilse et al. 2018, arXiv:1802.04712, eqs. 8 and 9.

    Examples
    --------
    >>> import torch
    >>> AttentionScore(8, hidden=4)(torch.zeros(3, 8)).shape
    torch.Size([3, 1])
    """

    def __init__(
        self,
        width: int,
        *,
        hidden: int = 128,
        gated: bool = False,
        activation: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        columns: int = 1,
    ) -> None:
        super().__init__()
        allowed = ("tanh",) if gated else ("tanh", "relu")
        if activation not in allowed or hidden < 1:
            msg = (
                f"got activation {activation!r} and {hidden} hidden rows, gated {gated}; allowed: "
                "1 row or more, tanh, or relu in the plain form."
            )
            raise RefusedInputError(msg)
        self.activation = activation
        self.values = nn.Linear(width, hidden, bias=bias)
        self.gates = nn.Linear(width, hidden, bias=bias) if gated else None
        self.weights = nn.Linear(hidden, columns, bias=bias)

    def forward(
        self, embedded: Float[Tensor, "instances width"]
    ) -> Float[Tensor, "instances columns"]:
        """Return the scores."""
        values: Tensor = self.values(embedded)
        values = values.relu() if self.activation == "relu" else values.tanh()
        if self.gates is not None:
            values = values * self.gates(embedded).sigmoid()
        scores: Tensor = self.weights(values)
        return scores

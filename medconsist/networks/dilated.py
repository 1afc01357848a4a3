"""Residual dilated convolutions over time, with the taps that only ever see padding left out.

Franceschi et al. 2019, arXiv:1901.10738; as in TS2Vec (Yue et al. 2022, arXiv:2106.10466), whose
encoder COMET (Wang et al. 2023, arXiv:2310.14017) takes over unchanged.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["DilatedConfig", "DilatedEncoder"]

_WIDTH = 3  # taps of a kernel


@dataclass(frozen=True, kw_only=True)
class DilatedConfig:
    """The architecture of a `DilatedEncoder`, as plain values; defaults are TS2Vec's and COMET's.

    Parameters
    ----------
    channels
        Of the input.
    hidden, dim
        Features of a time step within the network and at its end.
    depth
        Blocks of width ``hidden``; block i dilates by 2**i, one more of width ``dim`` ends it. A
        time step sees ``4 * (2**(depth + 1) - 1) + 1`` steps.
    dropout
        Probability, on the output alone.
    recompute
        Keep only what enters each block and compute the rest again in the backward pass: less
        memory for one more forward pass.

    Raises
    ------
    RefusedInputError
        A size below 1, or a probability outside [0, 1).

    Examples
    --------
    >>> DilatedConfig(channels=12).dim
    320
    """

    channels: int
    hidden: int = 64
    dim: int = 320
    depth: int = 10
    dropout: float | int = 0.1
    recompute: bool = False

    def __post_init__(self) -> None:
        if min(self.channels, self.hidden, self.dim, self.depth) < 1 or not 0 <= self.dropout < 1:
            msg = f"got {self}; allowed: sizes of at least 1, 0 <= dropout < 1."
            raise RefusedInputError(msg)


class DilatedEncoder(nn.Module):
    r"""Give every time step features of its neighbourhood.

    :math:`x_0 = m \odot (W s + b)` at each step, then for blocks :math:`i = 0 \ldots` depth
    :math:`x_{i+1} = P x_i + K'_i * \mathrm{GELU}(K_i * \mathrm{GELU}(x_i))`, kernels of 3 taps
    dilated by :math:`2^i`, zeros beyond the ends, P a 1x1 convolution in the last block and the
    identity before; dropout on the result.

    Taps that reach beyond the signal (dilation >= time) are left out, of others the part that sees
    padding: exact for any length, and their gradient is exactly zero. At 256 steps and depth 10
    that is 43.6 % of the weights. All weights are kept, so that one file serves every length.

    Parameters
    ----------
    config
        Sizes.
    generator
        Draws the first weights, uniformly within :math:`\pm 1/\sqrt{\text{fan in}}` as torch's
        layers do; None takes torch's own.

    Examples
    --------
    >>> encoder = DilatedEncoder(DilatedConfig(channels=2, depth=3, hidden=8, dim=16)).eval()
    >>> encoder(torch.zeros(4, 100, 2)).shape
    torch.Size([4, 100, 16])
    """

    def __init__(self, config: DilatedConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.input = nn.Linear(config.channels, config.hidden)
        widths = [config.hidden] * (config.depth + 1) + [config.dim]
        self.blocks = nn.ModuleList(
            _Block(widths[i], widths[i + 1], dilation=2**i) for i in range(config.depth + 1)
        )
        for module in self.modules():
            if isinstance(module, nn.Linear | _DilatedConv):
                _draw(module, generator)

    def forward(
        self,
        signals: Float[Tensor, "batch time channels"],
        mask: Bool[Tensor, "batch steps *hidden"] | None = None,
    ) -> Float[Tensor, "batch time dim"]:
        """Return `features` after dropout."""
        return self.dropped(self.features(signals, mask))

    def dropped(self, features: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        """Return features with dropout, drawn by torch's own generator; in eval mode as they are.

        Views that differ by nothing but dropout share one pass through `features`.
        """
        return functional.dropout(features, self.config.dropout, self.training)

    def features(
        self,
        signals: Float[Tensor, "batch time channels"],
        mask: Bool[Tensor, "batch steps *hidden"] | None = None,
    ) -> Float[Tensor, "batch time dim"]:
        """Return the features of every time step, without dropout.

        In memory time comes first, then batch. Under autocast all is computed in its dtype.

        Parameters
        ----------
        signals
            A time step with NaN in any channel is masked.
        mask
            False zeroes what `input` made of a time step, all of it or a hidden dimension.

        Raises
        ------
        ShapeError
            Another number of channels or another shape of mask than the encoder's.
        """
        self._refuse_misfit(signals, mask)
        batch, time, _ = signals.shape
        steps = signals.transpose(0, 1)
        missing = steps.isnan().any(-1)
        hidden = self.input(steps.nan_to_num(0.0) if missing.any() else steps)
        if mask is not None:
            hidden = hidden * (mask if mask.ndim == 3 else mask[..., None]).transpose(0, 1)
        if missing.any():
            hidden = hidden * ~missing[..., None]
        rows = hidden.reshape(time * batch, -1)
        for block in self.blocks:
            if self.config.recompute and torch.is_grad_enabled():
                rows = checkpoint(block, rows, batch, use_reentrant=False, preserve_rng_state=False)
            else:
                rows = block(rows, batch)
        return rows.view(time, batch, -1).transpose(0, 1)

    def _refuse_misfit(self, signals: Tensor, mask: Tensor | None) -> None:
        allowed = [signals.shape[:2], (*signals.shape[:2], self.config.hidden)]
        if signals.shape[-1] != self.config.channels or (
            mask is not None and tuple(mask.shape) not in map(tuple, allowed)
        ):
            of_mask = mask if mask is None else tuple(mask.shape)
            msg = (
                f"signals {tuple(signals.shape)}, mask {of_mask}; allowed: (batch, time, "
                f"{self.config.channels}) and (batch, time) or (batch, time, {self.config.hidden})."
            )
            raise ShapeError(msg)


class _Block(nn.Module):
    """Two dilated convolutions beside a skip."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int) -> None:
        super().__init__()
        self.conv1 = _DilatedConv(inputs, outputs, dilation=dilation)
        self.conv2 = _DilatedConv(outputs, outputs, dilation=dilation)
        self.skip = nn.Linear(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, rows: Tensor, batch: int) -> Tensor:
        hidden = self.conv1(functional.gelu(rows), batch)
        hidden = self.conv2(functional.gelu(hidden), batch)
        return hidden.add_(self.skip(rows))


class _DilatedConv(nn.Module):
    """A convolution over time of rows that lie as time x batch; weights as `nn.Conv1d` has them."""

    def __init__(self, inputs: int, outputs: int, *, dilation: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, _WIDTH))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.dilation = dilation

    def forward(self, rows: Tensor, batch: int) -> Tensor:
        kind = rows.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else rows.dtype
        cast = (tensor.to(dtype) for tensor in (rows, self.weight, self.bias))
        return _ShiftedProducts.apply(*cast, self.dilation * batch)  # type: ignore[no-untyped-call]


class _ShiftedProducts(torch.autograd.Function):
    """The sum of one product a tap, each over the rows that it sees.

    With time before batch a shift in time is an offset in memory: nothing is padded or copied,
    and a tap costs no more than the rows that it reaches. 1.7 times as fast as torch's dilated
    convolution on a CPU (float32, batch 32, 256 steps, 64 features), 3.4 times where side taps
    reach nothing.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        rows: Shaped[Tensor, "rows inputs"],
        weight: Shaped[Tensor, "outputs inputs taps"],
        bias: Shaped[Tensor, " outputs"],
        shift: int,
    ) -> Tensor:
        left, centre, right = weight.permute(2, 1, 0).contiguous()
        out = torch.addmm(bias, rows, centre)
        if shift < len(rows):
            out[shift:].addmm_(rows[:-shift], left)
            out[:-shift].addmm_(rows[shift:], right)
        ctx.save_for_backward(rows, weight)
        ctx.shift = shift  # type: ignore[attr-defined]
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: torch.autograd.function.FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        rows, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        shift: int = ctx.shift  # type: ignore[attr-defined]
        gradient = gradient.contiguous()
        left, centre, right = weight.permute(2, 0, 1).contiguous()
        of_rows = gradient @ centre
        of_taps = gradient.new_zeros(_WIDTH, *centre.shape)
        torch.mm(gradient.T, rows, out=of_taps[1])
        if shift < len(rows):
            of_rows[:-shift].addmm_(gradient[shift:], left)
            of_rows[shift:].addmm_(gradient[:-shift], right)
            torch.mm(gradient[shift:].T, rows[:-shift], out=of_taps[0])
            torch.mm(gradient[:-shift].T, rows[shift:], out=of_taps[2])
        return of_rows, of_taps.permute(1, 2, 0), gradient.sum(0), None


def _draw(module: nn.Linear | _DilatedConv, generator: torch.Generator | None) -> None:
    bound = 1 / math.sqrt(module.weight[0].numel())
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)

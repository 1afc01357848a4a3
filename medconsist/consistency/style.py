"""Style: one low-frequency amplitude for a whole batch, so that style tells no example apart."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["batch_style"]

_DIMS = {3: (-1,), 4: (-2, -1)}


def batch_style(
    x: Float[Tensor, "batch channels *grid"],
    share: float | int,
    reference: int,
    *,
    clamp: tuple[float | int, float | int] | None = None,
) -> Float[Tensor, "batch channels *grid"]:
    r"""Give every example the low-frequency amplitude of one of them, and leave its phase alone.

    With :math:`\hat x = |\hat x| e^{i\varphi}` the Fourier transform over the grid, channel by
    channel, and r the reference:

    .. math:: \hat x'_b(f) = |\hat x_r(f)| e^{i \varphi_b(f)} \text{ where }
              \max_a |f_a| \le \tfrac12 s^{1/d}, \quad \hat x_b(f) \text{ elsewhere}

    f in cycles per sample and d the number of grid axes, so that ``share`` s is the share of the
    spectrum. The region is symmetric about 0: a corner slice such as ``[:b]`` and ``[-b:]`` is not,
    and leaves an imaginary part that is then dropped. The mean is in the region always: where it
    is positive in all examples, as in pictures, they share it afterwards. The reference itself
    stays as it is (2e-7 relative in float32, the transform's rounding).

    Batch Styles Standardization draws one reference for each view, so that a view is of one style
    (Scalbert et al. 2023, arXiv:2303.06088). Its range of shares is not known here; amplitude also
    carries how dense a texture is, so keep it at 0.1 or below until shown harmless. An example
    without content as reference flattens the batch; not checked.

    Parameters
    ----------
    x
        ``batch channels height width`` or ``batch channels time``, real. Half precision is
        transformed in float32.
    share
        Of the spectrum that is replaced, in [0, 1]; 0 replaces the mean alone.
    reference
        Which example gives its amplitude.
    clamp
        Least and largest value of the output, e.g. (0, 1): amplitude and phase of two examples
        leave the range by some percent. None leaves them.

    Raises
    ------
    ShapeError
        Neither one nor two grid axes, or no example.
    RefusedInputError
        A share, reference or clamp out of its range.

    Examples
    --------
    >>> x = torch.stack([torch.ones(1, 8), torch.full((1, 8), 3.0)])
    >>> batch_style(x, 0.1, 1)[0].mean()
    tensor(3.)
    """
    _refuse(x, share, reference, clamp)
    dims = _DIMS[x.ndim]
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    spectrum = torch.fft.rfftn(wide, dim=dims)
    amplitude = spectrum.abs()
    # not by torch.polar: an angle in float32 costs more than the quotient does
    phase = spectrum / amplitude.where(amplitude > 0, 1.0)
    phase = phase.where(amplitude > 0, 1.0)
    low = _low_frequencies(wide, share, len(dims))
    styled = torch.where(low, phase * amplitude[reference], spectrum)
    out = torch.fft.irfftn(styled, s=[wide.shape[d] for d in dims], dim=dims)
    return (out if clamp is None else out.clamp(*clamp)).to(x.dtype)


def _low_frequencies(x: Tensor, share: float | int, axes: int) -> Tensor:
    """Return where ``max |f| <= share^(1/d) / 2``, on the half spectrum of `torch.fft.rfftn`."""
    half = share ** (1 / axes) / 2
    *rows, columns = x.shape[-axes:]
    grids = [torch.fft.fftfreq(n, device=x.device) for n in rows]
    grids.append(torch.fft.rfftfreq(columns, device=x.device))
    within = [grid.abs() <= half for grid in grids]
    return within[0] if axes == 1 else within[0][:, None] & within[1]


def _refuse(
    x: Tensor,
    share: float | int,
    reference: int,
    clamp: tuple[float | int, float | int] | None,
) -> None:
    if x.ndim not in _DIMS or not x.numel():
        msg = (
            f"x has the shape {tuple(x.shape)}; allowed: (batch, channels, height, width) or "
            "(batch, channels, time), none of length 0."
        )
        raise ShapeError(msg)
    if not 0 <= share <= 1 or not -len(x) <= reference < len(x):
        msg = (
            f"share and reference got {share} and {reference}; allowed: 0 to 1, and one of the "
            f"{len(x)} examples of the batch."
        )
        raise RefusedInputError(msg)
    if clamp is not None and not -math.inf <= clamp[0] < clamp[1] <= math.inf:
        msg = f"clamp got {clamp}; allowed: a least and a larger largest value, or None."
        raise RefusedInputError(msg)

"""Where the file puts the centre of k-space, and moving it to ``n // 2``."""

from math import pi

import torch
from torch import Tensor

from medconsist.shapes import Array

__all__ = ["centre_axis"]

_CLEAR = 4.0  # energy ratio that decides; in-vivo data show 10 to 1000


def centre_axis(samples: Array, *, axis: int, name: str) -> tuple[Tensor, tuple[str, ...]]:
    r"""Return k-space with its centre at ``n // 2`` of ``axis``, and notes on what was changed.

    The energy near ``n // 2`` is compared with the energy near index 0 (cyclically), each over a
    sixteenth of the axis. If the corner holds four times more, the samples were written by a plain
    transform, ``K[k] = sum_j x[j] exp(-2 pi i k j / n)``, and are moved by n // 2. Such a writer
    has put the image origin either at index 0 or, without a shift in image space either, at the
    first pixel. The second is known by its neighbours of opposite sign,

    .. math:: \mathrm{Re} \sum_k K_k \overline{K_{k+1}} = \sum_j |x_j|^2 \cos(2 \pi j / n) < 0

    (an object centred in the field of view), and then the linear phase of n // 2 pixels is
    applied, which leaves every pixel in its place. Where neither place holds clearly more, nothing
    is changed and a note says so.

    Parameters
    ----------
    samples
        K-space with any axes, zero where nothing was acquired.
    axis
        Axis to look at.
    name
        Its name in notes, e.g. ``"height"``.

    Returns
    -------
    tuple
        Samples in the same shape, and zero to two sentences.
    """
    n = samples.shape[axis]
    if n < 4:
        return samples, ()
    other = [d for d in range(samples.ndim) if d != axis % samples.ndim]
    energy = samples.abs().square().sum(other, dtype=torch.float64)
    index = torch.arange(n, device=samples.device)
    from_corner = torch.minimum(index, n - index)
    from_centre = (index - n // 2).abs()
    width = max(1, n // 32)
    centre = float(energy[from_centre <= width].sum())
    corner = float(energy[from_corner <= width].sum())
    if centre >= _CLEAR * corner:
        return samples, ()
    if corner < _CLEAR * centre:
        note = (
            f"The centre of k-space along {name} is not clear from the energy (near index {n // 2} "
            f"{centre:.3g}, near index 0 {corner:.3g}): taken as centred."
        )
        return samples, (note,)
    notes = [f"K-space was stored with its centre at index 0 along {name}: moved to {n // 2}."]
    moved = torch.fft.fftshift(samples, dim=axis)
    if _neighbour_product(moved, axis) < 0:
        ramp = torch.exp(2j * pi * (index - n // 2).to(energy.dtype) * (n // 2) / n)
        shape = [n if d == axis % samples.ndim else 1 for d in range(samples.ndim)]
        moved = moved * ramp.to(samples.dtype).reshape(shape)
        notes.append(f"Its image origin was the first pixel along {name}: taken as {n // 2}.")
    return moved, tuple(notes)


def _neighbour_product(samples: Tensor, axis: int) -> float:
    n = samples.shape[axis]
    here, after = samples.narrow(axis, 0, n - 1), samples.narrow(axis, 1, n - 1)
    return float((here * after.conj()).sum().real)

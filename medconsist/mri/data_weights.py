"""Data consistency weighted by how densely k-space was sampled.

A variable-density pattern has most of its samples near the centre, and ``A^H (A x - y)`` follows
them. With weights that fall as the local density rises, every region of k-space counts alike, as
in the density compensation of non-Cartesian gridding (Pipe and Menon 1999,
doi:10.1002/(SICI)1522-2594(199901)41:1<179::AID-MRM25>3.0.CO;2-V).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from medconsist.errors import RefusedInputError
from medconsist.mri.forward import sense_operator
from medconsist.shapes import Array, CoilKSpace, CoilMaps, SamplingMask

__all__ = ["DENSITY_WINDOW", "LARGEST", "WeightedGradient", "sampling_weights"]

DENSITY_WINDOW = 9  # k-space positions, in each direction: some samples at any usual acceleration
LARGEST = 2.0  # above it a gradient step of size 1 would overshoot


def sampling_weights(
    mask: SamplingMask, *, window: int = DENSITY_WINDOW
) -> Float[Tensor, "slices height width"]:
    """Return ``W = min((1 / d) / mean(1 / d), 2)`` on the samples of each slice, 0 elsewhere.

    d is the share of positions that were sampled in a square around a sample, cut at the edge of
    the plane. The mean over samples is 1 before the cut, so that a learned factor has about the
    scale that it has without weights; a fully sampled plane has weight 1 throughout. Uncut, W is up
    to 20 at lone samples of two-dimensional masks, and a step of w = 1 overshoots where
    ``w W > 2``: networks that start so are unstable.

    Parameters
    ----------
    mask
        True where sampled; at least one sample a slice.
    window
        Side of the square [k-space positions], odd.

    Raises
    ------
    RefusedInputError
        An even window or one below 1, or a slice without a sample.

    Examples
    --------
    >>> sampling_weights(torch.ones(1, 8, 8, dtype=torch.bool)).unique()
    tensor([1.])
    """
    if window < 1 or window % 2 == 0:
        msg = f"window got {window}; allowed: an odd number of at least 1. 9 is usual."
        raise RefusedInputError(msg)
    if not bool(mask.flatten(1).any(1).all()):
        msg = "a mask has no sample at all, so it has no density; give one that has some."
        raise RefusedInputError(msg)
    sampled = mask[:, None].to(torch.get_default_dtype())
    inside = _mean_around(torch.ones_like(sampled), window)
    density = _mean_around(sampled, window) / inside
    inverse = torch.where(mask[:, None], 1 / density.clamp_min(1 / window**2), 0)
    mean = inverse.sum((-2, -1), keepdim=True) / sampled.sum((-2, -1), keepdim=True)
    return (inverse / mean).clamp_max(LARGEST)[:, 0]


def _mean_around(values: Tensor, window: int) -> Tensor:
    edge = window // 2
    return avg_pool2d(pad(values, (edge, edge, edge, edge)), window, stride=1)


class WeightedGradient:
    """``A^H W (A x - y)``, the gradient of ``1/2 || W^(1/2) (A x - y) ||^2``.

    Differentiable in x; W of `sampling_weights`.

    Parameters
    ----------
    samples, mask, maps
        As in `Measurement`.

    Examples
    --------
    >>> ones = torch.ones(1, 1, 8, 8, dtype=torch.complex64)
    >>> WeightedGradient(ones, ones[0].real > 0, ones[:, None])(torch.zeros_like(ones)).abs().max()
    tensor(8.)
    """

    def __init__(self, samples: CoilKSpace, mask: SamplingMask, maps: CoilMaps) -> None:
        self._operator = sense_operator(mask, maps)
        self._weights = sampling_weights(mask)[:, None].to(samples.real.dtype)
        self._samples = torch.where(mask[:, None], samples, 0)

    def __call__(self, x: Array) -> Tensor:
        """Return the gradient at x, ``slices sets height width``."""
        return self._operator.H(self._weights * (self._operator(x) - self._samples))

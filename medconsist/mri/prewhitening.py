"""Noise of the receive coils: covariance, prewhitening, and its level without a noise scan."""

from math import log, sqrt

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.kspace import KSpace
from medconsist.shapes import Array, NoiseSamples

__all__ = [
    "apply_to_coils",
    "coil_sigmas",
    "estimate_sigma",
    "noise_covariance",
    "whitening_matrix",
]

_OUTER_SHARE = 0.1  # of the acquired positions; enough samples, least signal


def noise_covariance(noise: NoiseSamples) -> Complex[Tensor, "coils coils"]:
    r"""Return the covariance of the coils, ``Psi = n n^H / N``, Hermitian, in double precision.

    Noise has mean zero, so no mean is removed. ``Psi_cc = sigma_c^2 = E|n_c|^2`` is the variance
    of the complex sample (real and imaginary part have half each).

    Parameters
    ----------
    noise
        Noise-only samples, ``coils samples``.

    Raises
    ------
    RefusedInputError
        If there are fewer samples than coils: the covariance would be singular.
    """
    coils, samples = noise.shape
    if samples < coils:
        msg = (
            f"the noise scan has {samples} samples for {coils} coils; allowed: at least as many "
            "samples as coils. Record a longer noise scan."
        )
        raise RefusedInputError(msg)
    wide = noise.to(torch.complex128)
    return wide @ wide.mH / samples


def whitening_matrix(
    covariance: Complex[Tensor, "coils coils"],
) -> Complex[Tensor, "coils coils"]:
    """Return ``W = L^-1`` with ``Psi = L L^H`` (Cholesky), so that ``W Psi W^H = I``.

    That noise scan and image scan have the same receiver bandwidth is assumed, not checked:
    otherwise the level, not the correlation, is wrong by a factor.

    References
    ----------
    P. B. Roemer et al., "The NMR phased array", Magn Reson Med 16 (1990), 192-225,
    doi:10.1002/mrm.1910160203.

    Raises
    ------
    RefusedInputError
        If the covariance is not positive definite: a coil without noise, or two equal coils.
    """
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if int(failed) > 0:
        msg = (
            f"the noise of coil {int(failed) - 1} (counted from 0) is zero or a combination of the "
            "coils before it, so it cannot be whitened; remove that coil."
        )
        raise RefusedInputError(msg)
    identity = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
    inverse: Tensor = torch.linalg.solve_triangular(lower, identity, upper=False)
    return inverse


def apply_to_coils(matrix: Complex[Tensor, "outputs coils"], samples: Array) -> Tensor:
    """Return ``matrix`` times the coil axis, the third from the end, of k-space, images or maps.

    Whoever whitens the samples must whiten given coil maps too: ``W y = F (W S) x + W n``.
    """
    return torch.einsum("vc,...chw->...vhw", matrix.to(samples), samples)


def coil_sigmas(kspace: KSpace, *, share: float = _OUTER_SHARE) -> Float[Tensor, " coils"]:
    """Return the noise level of each coil from the outermost acquired samples.

    For complex Gaussian noise with ``E|n|^2 = sigma^2`` the magnitude is Rayleigh distributed and
    its median is ``sigma sqrt(ln 2)``; so ``sigma = median|k| / sqrt(ln 2)`` over the ``share`` of
    acquired positions farthest from the centre (elliptic radius, both half-axes 1), of all slices.
    Signal that is left there biases it upwards: at signal energy rho sigma^2 by about
    ``sqrt(1 + rho)``; zero-filled interpolation or a k-space filter biases it downwards.

    Parameters
    ----------
    kspace
        Samples and mask.
    share
        Share of acquired positions to use, in (0, 1].

    Raises
    ------
    RefusedInputError
        If ``share`` is out of range.
    """
    if not 0 < share <= 1:
        msg = f"share must lie in (0, 1], got {share}."
        raise RefusedInputError(msg)
    outer = kspace.mask & _outermost(kspace, share)
    slices, _, height, width = kspace.data.shape
    chosen = outer.expand(slices, height, width)
    # slice by slice: the magnitudes of all samples would take half as much memory again
    magnitudes = [one[:, place].abs() for one, place in zip(kspace.data, chosen, strict=True)]
    return torch.cat(magnitudes, dim=1).median(1).values / sqrt(log(2))


def estimate_sigma(kspace: KSpace, *, share: float = _OUTER_SHARE) -> float:
    """Return one noise level without a noise scan: the root mean square of `coil_sigmas`.

    ``E|n|^2 = sigma^2`` of a complex sample, averaged over the coils; the bias of `coil_sigmas`
    applies.

    Raises
    ------
    RefusedInputError
        If ``share`` is out of range, or every outer sample is zero.
    """
    sigma = float(coil_sigmas(kspace, share=share).square().mean().sqrt())
    if sigma == 0:
        msg = (
            "the outermost acquired samples are all zero, so the noise level cannot be estimated; "
            "pass a noise scan."
        )
        raise RefusedInputError(msg)
    return sigma


def _outermost(kspace: KSpace, share: float) -> Tensor:
    """Mark positions whose radius is in the top ``share`` of the acquired positions."""
    height, width = kspace.mask.shape[1:]
    rows = (torch.arange(height, device=kspace.mask.device) - height // 2) / (height / 2)
    columns = (torch.arange(width, device=kspace.mask.device) - width // 2) / (width / 2)
    radius = (rows[:, None].square() + columns.square()).sqrt()
    acquired = radius.expand_as(kspace.mask)[kspace.mask].sort(descending=True).values
    return radius >= acquired[max(0, min(len(acquired), round(share * len(acquired))) - 1)]

"""Geometric coil compression: fewer virtual coils, chosen at each readout position."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.kspace import KSpace
from medconsist.mri.pattern import full_axis
from medconsist.mri.prewhitening import noise_covariance
from medconsist.operators.fourier import Fourier
from medconsist.shapes import CoilMaps

__all__ = ["CompressedCoils", "along_readout", "compress_coils", "virtual_coils"]

_WHITE = 0.01  # largest entry of Psi - I that still counts as whitened; rounding gives 1e-6


@dataclass(frozen=True, eq=False)
class CompressedCoils:
    """Compressed k-space, how much energy it kept, and the matrices that did it.

    Parameters
    ----------
    kspace
        With ``n_coils`` virtual coils.
    energy_kept
        Share of the energy of all samples, in [0, 1].
    kind
        ``"gcc"``: one matrix per readout position; ``"scc"``: one per slice.
    readout
        Axis of the readout, or None for ``"scc"``.
    matrices
        Rows orthonormal, ``slices positions virtual coils``; one position for ``"scc"``.

    Examples
    --------
    >>> import torch
    >>> data = torch.ones(1, 3, 8, 8, dtype=torch.complex64)
    >>> scan = KSpace(data, torch.ones(1, 8, 8, dtype=torch.bool))
    >>> round(virtual_coils(scan, 1).energy_kept, 3)
    1.0
    """

    kspace: KSpace
    energy_kept: float
    kind: Literal["gcc", "scc"]
    readout: Literal["height", "width"] | None
    matrices: Complex[Tensor, "slices positions virtual coils"]

    def compress_maps(self, maps: CoilMaps) -> Complex[Tensor, "slices sets virtual height width"]:
        """Return maps of the virtual coils, ``S'_v(x) = sum_c A_x[v, c] S_c(x)``.

        Exact for the compressed samples, as the matrices depend on the readout position only.
        """
        hybrid = maps.movedim(-1, -2) if self.readout == "width" else maps
        matrices = self.matrices.to(maps.dtype).expand(-1, hybrid.shape[-2], -1, -1)
        virtual = torch.einsum("shvc,smchw->smvhw", matrices, hybrid)
        return (virtual.movedim(-1, -2) if self.readout == "width" else virtual).contiguous()


def compress_coils(
    kspace: KSpace, n_coils: int, *, calibration: Bool[Tensor, "height width"] | None = None
) -> KSpace:
    """Return the k-space of `virtual_coils`; its last note gives the energy that was kept.

    Raises
    ------
    RefusedInputError
        As `virtual_coils`.
    """
    return virtual_coils(kspace, n_coils, calibration=calibration).kspace


def along_readout(
    kspace: KSpace, calibration: Bool[Tensor, "height width"]
) -> Bool[Tensor, "height width"]:
    """Return the calibration with each of its lines complete, where the readout is complete."""
    readout = full_axis(kspace.mask)
    if readout is None:
        return calibration
    lines = calibration.any(0 if readout == "height" else 1, keepdim=True)
    return lines.expand_as(calibration) & kspace.mask.all(0)


def virtual_coils(
    kspace: KSpace, n_coils: int, *, calibration: Bool[Tensor, "height width"] | None = None
) -> CompressedCoils:
    r"""Compress to ``n_coils`` virtual coils (Zhang et al. 2013, doi:10.1002/mrm.24267).

    With a fully sampled readout the samples are taken to its image space; at each position x the
    first left singular vectors of the coils x (phase encodings) matrix give :math:`A_x`, and a
    rotation aligns each with its neighbour,

    .. math:: P_x = \arg\min_{P^H P = I} \| P A_x - \tilde A_{x-1} \|_F, \quad
        \tilde A_x = P_x A_x,

    so that virtual coils vary smoothly. Where no axis is fully sampled, one matrix per slice is
    used for all positions (SCC); a note says which. Rows are orthonormal: whitened noise stays
    white, and with as many virtual as real coils the root sum of squares does not change.

    Parameters
    ----------
    kspace
        Prewhitened if it has a noise scan.
    n_coils
        From 1 to the number of coils.
    calibration
        True where samples decide on the virtual coils, together with the rest of their lines
        (`along_readout`), so that other samples can be withheld as evidence; None takes all.

    Raises
    ------
    RefusedInputError
        If ``n_coils`` is out of range, or there is a noise scan that is not white.
    """
    coils = kspace.data.shape[1]
    if not 1 <= n_coils <= coils:
        msg = f"n_coils must lie in 1..{coils}, the coils of this k-space; got {n_coils}."
        raise RefusedInputError(msg)
    _refuse_coloured_noise(kspace)
    readout = full_axis(kspace.mask)
    chosen = kspace.data
    if calibration is not None:
        chosen = torch.where(along_readout(kspace, calibration), chosen, 0)
    if readout is None:
        matrices = _principal(chosen.flatten(2)[:, None], n_coils)
        data = torch.einsum("svc,schw->svhw", matrices[:, 0], kspace.data)
    else:
        axis = -2 if readout == "height" else -1
        matrices = _aligned(_principal(_hybrid(chosen, axis), n_coils))
        data = torch.einsum("sxvc,sxcp->sxvp", matrices, _hybrid(kspace.data, axis))
        data = Fourier(dims=(axis,))(data.movedim(1, axis))
    before = float(kspace.data.abs().square().sum(dtype=torch.float64))
    kept = float(data.abs().square().sum(dtype=torch.float64)) / before
    how = f"geometric, readout along {readout}" if readout else "one matrix per slice: no full axis"
    note = f"{coils} coils compressed to {n_coils} ({how}); {kept:.2%} of the energy kept."
    noise = kspace.noise
    if noise is not None:
        middle = matrices[0, matrices.shape[1] // 2]
        noise = middle.to(noise.dtype) @ noise
    compressed = replace(kspace, data=data.contiguous(), noise=noise).with_note(note)
    kind: Literal["gcc", "scc"] = "gcc" if readout else "scc"
    return CompressedCoils(compressed, kept, kind, readout, matrices)


def _hybrid(samples: Tensor, axis: int) -> Complex[Tensor, "slices positions coils points"]:
    """Return samples in the image space of the readout, its positions in front."""
    positions: Tensor = Fourier(dims=(axis,)).adjoint(samples).movedim(axis, 1)
    return positions


def _principal(
    samples: Complex[Tensor, "slices positions coils points"], n_coils: int
) -> Complex[Tensor, "slices positions virtual coils"]:
    """Return the leading left singular vectors, as rows, through the coils x coils Gram matrix."""
    gram = samples @ samples.mH
    vectors: Tensor = torch.linalg.eigh(gram.to(torch.complex128)).eigenvectors
    return vectors.flip(-1)[..., :n_coils].mH.to(samples.dtype)


def _aligned(
    matrices: Complex[Tensor, "slices positions virtual coils"],
) -> Complex[Tensor, "slices positions virtual coils"]:
    """Rotate each position's virtual coils towards those of its neighbour, from the centre out."""
    aligned = list(matrices.unbind(1))
    middle = len(aligned) // 2
    order = [(x, x - 1) for x in range(middle + 1, len(aligned))]
    order += [(x, x + 1) for x in range(middle - 1, -1, -1)]
    for x, neighbour in order:
        u, _, vh = torch.linalg.svd(aligned[neighbour] @ aligned[x].mH)
        aligned[x] = (u @ vh) @ aligned[x]
    return torch.stack(aligned, 1)


def _refuse_coloured_noise(kspace: KSpace) -> None:
    if kspace.noise is None:
        return
    covariance = noise_covariance(kspace.noise)
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    excess = float((covariance - identity).abs().max())
    if excess > _WHITE:
        msg = (
            f"the noise scan is not white (its covariance is {excess:.2g} away from the identity); "
            "allowed: prewhitened k-space. Call prewhiten first."
        )
        raise RefusedInputError(msg)

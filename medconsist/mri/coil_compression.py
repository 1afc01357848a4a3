"""Geometric coil compression: fewer virtual coils, chosen at each readout position."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.forward import of_slices
from medconsist.mri.kspace import KSpace
from medconsist.mri.pattern import full_axis
from medconsist.mri.volumes.overwrite import Slabs, apply
from medconsist.operators.fourier import Fourier
from medconsist.shapes import SamplingMask

__all__ = ["CoilCombinations", "along_readout"]

_AXIS = {"height": -2, "width": -1}


@dataclass(frozen=True, eq=False)
class CoilCombinations:
    r"""Which combinations of coils are kept: the same for every echo of a scan.

    With a fully sampled readout the samples are taken to its image space; at each position x the
    first left singular vectors of the coils x (phase encodings) matrix give :math:`A_x`, and a
    rotation aligns each with its neighbour,

    .. math:: P_x = \arg\min_{P^H P = I} \| P A_x - \tilde A_{x-1} \|_F, \quad
        \tilde A_x = P_x A_x,

    so that virtual coils vary smoothly (Zhang et al. 2013, doi:10.1002/mrm.24267). Where no axis is
    fully sampled, one matrix per slice serves all positions; the note of `compress` says which.
    Rows are orthonormal: whitened noise stays white, and with as many virtual as real coils the
    root sum of squares does not change.

    Parameters
    ----------
    matrices
        Rows orthonormal, ``slices positions virtual coils``; one position without a readout.
    readout
        Axis of the readout, or None where none is complete.

    Examples
    --------
    >>> data = torch.ones(1, 3, 8, 8, dtype=torch.complex64)
    >>> scan = KSpace(data, torch.ones(1, 8, 8, dtype=torch.bool))
    >>> CoilCombinations.of(scan, 1).matrices.shape
    torch.Size([1, 8, 1, 3])
    """

    matrices: Complex[Tensor, "slices positions virtual coils"]
    readout: Literal["height", "width"] | None

    @classmethod
    def of(
        cls,
        kspace: KSpace,
        n_coils: int,
        *,
        calibration: Bool[Tensor, "height width"] | None = None,
        slabs: Slabs | None = None,
    ) -> "CoilCombinations":
        """Return the combinations that keep most of the energy.

        Parameters
        ----------
        kspace
            Whitened if there is a noise scan.
        n_coils
            From 1 to the number of coils.
        calibration
            True where samples decide on the virtual coils, together with the rest of their lines
            (`along_readout`), so that other samples can be withheld as evidence; None takes all.
        slabs
            Which slices are looked at together.

        Raises
        ------
        RefusedInputError
            ``n_coils`` is out of range.
        """
        coils = kspace.data.shape[1]
        if not 1 <= n_coils <= coils:
            msg = f"n_coils must lie in 1..{coils}, the coils of this k-space; got {n_coils}."
            raise RefusedInputError(msg)
        readout, chosen = full_axis(kspace.mask), kspace.mask
        if calibration is not None:
            chosen = along_readout(kspace, calibration)[None]
        slabs = slabs or Slabs((slice(0, len(kspace.data)),), kspace.data.device)
        found = []
        for at in slabs.parts:
            kept = torch.where(of_slices(chosen, at)[:, None], kspace.data[at], 0).to(slabs.device)
            points = kept.flatten(2)[:, None] if readout is None else _hybrid(kept, _AXIS[readout])
            matrices = _principal(points, n_coils)
            found.append(matrices if readout is None else _aligned(matrices))
        return cls(torch.cat(found), readout)

    def fit(self, mask: SamplingMask) -> bool:
        """Return whether samples that were not acquired stay zero: its readout is complete too."""
        if self.readout is None:
            return True
        return bool((mask == mask.any(_AXIS[self.readout], keepdim=True)).all())

    def apply(self, samples: Tensor, at: slice) -> Tensor:
        """Return the virtual coils of the samples of some slices."""
        matrices = self.matrices[at]
        if self.readout is None:
            return torch.einsum("svc,schw->svhw", matrices[:, 0], samples)
        axis = _AXIS[self.readout]
        data = torch.einsum("sxvc,sxcp->sxvp", matrices, _hybrid(samples, axis))
        return Fourier(dims=(axis,))(data.movedim(1, axis)).contiguous()

    def compress(self, kspace: KSpace, slabs: Slabs | None = None) -> tuple[KSpace, float]:
        """Return k-space of virtual coils, with a note, and the share of the energy in it.

        ``slabs`` overwrites the samples slab by slab; None makes new ones.
        """
        before, after = list[float](), list[float]()

        def change(samples: Tensor, at: slice) -> Tensor:
            virtual = self.apply(samples, at)
            for energies, values in ((before, samples), (after, virtual)):
                energies.append(float(values.abs().square().sum(dtype=torch.float64)))
            return virtual

        coils = kspace.data.shape[1]
        data = apply(kspace.data, change, slabs)
        kept, found = sum(after) / sum(before), self.readout
        how = f"geometric, readout along {found}" if found else "one matrix per slice: no full axis"
        note = (
            f"{coils} coils compressed to {data.shape[1]} ({how}); {kept:.2%} of the energy kept."
        )
        return replace(kspace, data=data, noise=None).with_note(note), kept


def along_readout(
    kspace: KSpace, calibration: Bool[Tensor, "height width"]
) -> Bool[Tensor, "height width"]:
    """Return the calibration with each of its lines complete, where the readout is complete."""
    readout = full_axis(kspace.mask)
    if readout is None:
        return calibration
    lines = calibration.any(0 if readout == "height" else 1, keepdim=True)
    return lines.expand_as(calibration) & kspace.mask.all(0)


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

"""Readout oversampling: the scanner samples the readout twice as densely as the image needs."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.kspace import KSpace
from medconsist.mri.volumes.overwrite import Slabs, apply
from medconsist.operators.fourier import Fourier

__all__ = ["remove_readout_oversampling"]


def remove_readout_oversampling(
    kspace: KSpace, *, height: int | None = None, slabs: Slabs | None = None
) -> KSpace:
    """Return k-space of the central ``height`` rows of the field of view.

    Along the readout (height): inverse centred transform, keep rows ``[n//2 - height//2, ...)``,
    transform back. The field of view shrinks, the voxel size stays; white noise stays white with
    the same variance. A known affine follows: row 0 is another row of the scanner. Only for a
    fully sampled readout: every acquired column complete.

    Parameters
    ----------
    kspace
        K-space, oversampled or not.
    height
        Rows to keep. By default as many as the header asks for (``recon_matrix[0]``); where it
        does not say, asks for no fewer, or the readout is not fully sampled, k-space is returned
        as it is.
    slabs
        Overwrite the samples slab by slab; None makes new ones.

    Raises
    ------
    RefusedInputError
        If a given ``height`` is out of range, or the readout is then not fully sampled.
    """
    n = kspace.data.shape[-2]
    columns = kspace.mask.any(1, keepdim=True)
    complete = bool((kspace.mask == columns).all())
    asked = kspace.recon_matrix[0] if height is None else height
    if height is None and (asked is None or asked >= n or not complete):
        return kspace
    if asked is None or not 0 < asked <= n:
        msg = f"height must lie in 1..{n}, the rows of this k-space; got {asked}."
        raise RefusedInputError(msg)
    if not complete:
        msg = (
            "the readout (height) is not fully sampled, so oversampling cannot be removed; "
            "allowed: every acquired column complete. Reconstruct first and crop the image."
        )
        raise RefusedInputError(msg)
    readout, start = Fourier(dims=(-2,)), n // 2 - asked // 2
    rows = slice(start, start + asked)
    data = apply(kspace.data, lambda one, _: readout(readout.adjoint(one)[..., rows, :]), slabs)
    mask = columns.expand(-1, asked, -1).contiguous()
    note = f"Readout oversampling removed: central {asked} of {n} rows of the field of view kept."
    affine = None if kspace.affine is None else _shifted(kspace.affine, start)
    return replace(kspace, data=data, mask=mask, affine=affine).with_note(note)


def _shifted(affine: Float[Tensor, "4 4"], rows: int) -> Float[Tensor, "4 4"]:
    """Return the affine of images that begin ``rows`` rows later."""
    moved = affine.clone()
    moved[:3, 3] += rows * affine[:3, 1]
    return moved

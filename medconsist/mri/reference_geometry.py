"""Where a reconstruction lies: as its own file says, or as a reference series shows."""

from dataclasses import dataclass, replace
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.formats.dicom_in import DicomSeries

__all__ = ["Geometry", "beside_reference", "why_not_alike"]

_LEAST_CORRELATION = 0.7
_CLEARLY = 0.5  # of what another pose leaves unexplained; two halves of a head are nearly alike
_SAME_SPACING = 0.01  # headers round fields of view to whole millimetres


@dataclass(frozen=True, eq=False)
class Geometry:
    """Affine and voxel size of ``slices height width``, None where unknown, and what to say of it.

    ``affine`` maps voxel index (column, row, slice) to RAS [mm]; ``voxel_size_mm`` is slice, row,
    column.

    Examples
    --------
    >>> Geometry().affine is None
    True
    """

    affine: Float[Tensor, "4 4"] | None = None
    voxel_size_mm: tuple[float | None, float | None, float | None] = (None, None, None)
    notes: tuple[str, ...] = ()


def beside_reference(
    geometry: Geometry, image: Float[Tensor, "slices height width"], reference: DicomSeries
) -> Geometry:
    """Return the geometry of an image of which there is a reference series.

    A geometry that is known stays; it must overlap the reference. One that is not known is taken
    from the reference only if the pictures show that it holds (`why_not_alike`); else it stays
    unknown, with a note that says why.

    Raises
    ------
    RefusedInputError
        If both geometries are known and nowhere overlap.
    """
    if geometry.affine is not None:
        _refuse_elsewhere(geometry.affine, image, reference)
        return geometry
    reason = _other_spacing(geometry, reference) or why_not_alike(image, reference.image)
    if reference.affine is None:
        reason = "it says no orientation itself"
    if reason:
        note = f"Orientation stays unknown: that of the reference was not taken, as {reason}."
        return replace(geometry, notes=(*geometry.notes, note))
    note = "Orientation and spacing are those of the reference series, whose picture fits in place."
    return Geometry(reference.affine, reference.voxel_size_mm, (*geometry.notes, note))


def why_not_alike(
    image: Float[Tensor, "slices height width"], reference: Float[Tensor, "a b c"]
) -> str:
    r"""Say why an image does not lie on the grid of another in the same pose; empty if it does.

    By the correlation :math:`r` of the two over all voxels. It must be at least 0.7, not smaller
    than with the image shifted by one voxel along any axis, and leave at most half as much
    unexplained, :math:`1 - r`, as each mirrored, transposed or turned pose. The limits are chosen,
    not measured; a picture that is its own mirror image shows nothing and is refused.
    """
    if image.shape != reference.shape:
        return f"its matrix is {_sizes(reference)} and that of the image {_sizes(image)}"
    ours, theirs = _standardised(image), _standardised(reference)
    here = float((ours * theirs).mean())
    if not here >= _LEAST_CORRELATION:
        return f"its picture shows something else (correlation {here:.2f})"
    for axis, step in product(range(3), (-1, 1)):
        there = float((ours.roll(step, axis) * theirs).mean())
        if image.shape[axis] > 1 and there > here:
            return f"the image is shifted against it along {_AXES[axis]}"
    for name, posed in _poses(ours).items():
        there = float((posed * theirs).mean())
        if 1 - here > _CLEARLY * (1 - there):
            return f"the image {name} fits it as well (correlations {here:.3f} and {there:.3f})"
    return ""


_AXES = ("slices", "height", "width")


def _poses(image: Tensor) -> dict[str, Tensor]:
    """Return the 15 other ways to lay the axes of a stack of planes, where the shape allows."""
    found = {}
    for transposed, axes in product((False, True), _SUBSETS):
        posed = image.transpose(1, 2) if transposed else image
        mirrored = [axis for axis in axes if image.shape[axis] > 1]
        same = posed.shape == image.shape and len(mirrored) == len(axes)
        if same and (transposed or axes):
            words = [*(["transposed"] if transposed else []), *(_MIRRORED[a] for a in axes)]
            found[" and ".join(words)] = posed.flip(axes)
    return found


_SUBSETS = [tuple(a for a in range(3) if number >> a & 1) for number in range(8)]
_MIRRORED = ("with its slices reversed", "turned upside down", "mirrored left to right")


def _standardised(image: Tensor) -> Tensor:
    values = image.detach().cpu().double()
    spread = values.std(correction=0)
    return (values - values.mean()) / spread.clamp_min(torch.finfo(torch.float64).tiny)


def _sizes(image: Tensor) -> str:
    return " x ".join(map(str, image.shape))


def _other_spacing(geometry: Geometry, reference: DicomSeries) -> str:
    for ours, theirs in zip(geometry.voxel_size_mm, reference.voxel_size_mm, strict=True):
        known = ours is not None and theirs is not None
        if known and abs(ours - theirs) > _SAME_SPACING * theirs:  # type: ignore[operator]  # known
            return f"its spacing is {theirs:.4g} mm and that of the image {ours:.4g} mm"
    return ""


def _refuse_elsewhere(affine: Tensor, image: Tensor, reference: DicomSeries) -> None:
    if reference.affine is None:
        return
    to_theirs = torch.linalg.inv(reference.affine.double()) @ affine.double()
    corners = torch.cartesian_prod(
        *(torch.tensor([-0.5, n - 0.5], dtype=torch.float64) for n in image.shape[::-1])
    )
    there = corners @ to_theirs[:3, :3].T + to_theirs[:3, 3]
    ends = torch.tensor(reference.image.shape[::-1], dtype=torch.float64) - 0.5
    if ((there.amax(0) < -0.5) | (there.amin(0) > ends)).any():
        msg = (
            "the reference series lies elsewhere in the patient than the reconstruction: nothing "
            "of the two overlaps. Give the series of the same examination."
        )
        raise RefusedInputError(msg)

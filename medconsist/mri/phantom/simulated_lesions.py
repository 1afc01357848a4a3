"""MS-like lesions in the white matter beside the ventricles."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medconsist.mri.phantom.tissue import Anatomy, tissue_index

__all__ = ["Lesioned", "add_lesions"]

_HALF_AXES_MM = (2.0, 6.0)  # smallest and largest half axis in the plane
_HALF_HEIGHT_MM = (2.0, 6.0)
_REACH_MM = 7.0  # how far from the ventricles most lesions lie
_DEEP_MM = 22.0  # fluid this far inside the head is a ventricle, not a fold


@dataclass(frozen=True, eq=False)
class Lesioned:
    """An anatomy with lesions, and how much of each grid point is lesion.

    Examples
    --------
    >>> fractions = torch.zeros(10, 1, 8, 8)
    >>> fractions[7] = 1
    >>> grid = torch.zeros(1, 8, 8, 3)
    >>> add_lesions(Anatomy(fractions), grid, n_lesions=0, generator=torch.Generator()).cover.sum()
    tensor(0.)
    """

    anatomy: Anatomy
    cover: Float[Tensor, "slices height width"]


def add_lesions(
    anatomy: Anatomy,
    points: Float[Tensor, "slices height width 3"],
    *,
    n_lesions: int,
    generator: Generator,
) -> Lesioned:
    """Replace white matter in ``n_lesions`` ellipsoids by lesion tissue.

    Centres are drawn with a density that falls with the distance from the ventricles; half axes
    are 2 to 6 mm in the plane and 2 to 6 mm across it; the border is irregular. Lesions may
    touch, so fewer separate ones can be seen. Fewer than asked are placed only if there is no
    white matter at all.

    Parameters
    ----------
    anatomy
        Tissue shares on the grid.
    points
        Where the grid points are [mm], before any deformation.
    n_lesions
        How many to place, >= 0.
    generator
        Source of places, sizes and shapes.
    """
    cover = torch.zeros(anatomy.fractions.shape[1:], dtype=points.dtype, device=points.device)
    if n_lesions == 0:
        return Lesioned(anatomy, cover)
    density = _density(anatomy, points)
    if not bool(density.sum() > 0):
        return Lesioned(anatomy, cover)
    drawn = torch.multinomial(density.flatten(), n_lesions, replacement=True, generator=generator)
    spacing = float(torch.linalg.vector_norm(points[0, 0, 1] - points[0, 0, 0]))
    for center in points.reshape(-1, 3)[drawn]:
        inside = _ellipsoid(points, center, generator)
        cover = torch.maximum(cover, (0.5 + inside / spacing).clamp(0, 1))
    white, lesion = tissue_index("white"), tissue_index("lesion")
    cover = cover * anatomy.fractions[white]
    fractions = anatomy.fractions.clone()
    fractions[white] -= cover
    fractions[lesion] += cover
    return Lesioned(Anatomy(fractions), cover)


def _density(anatomy: Anatomy, points: Tensor) -> Tensor:
    """White matter times nearness of deep fluid, by blurring what lies deep inside the head."""
    spacing = float(torch.linalg.vector_norm(points[0, 0, 1] - points[0, 0, 0]))
    head = (anatomy.of("background") < 0.5).to(points.dtype)
    deep = (_blur(head, _DEEP_MM / spacing) > 0.93).to(points.dtype)
    near = _blur(anatomy.of("csf") * deep, _REACH_MM / spacing).clamp_min(0)
    white = anatomy.of("white")
    return torch.where(white > 0.9, white * deep * near, 0)


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Convolve each slice with a Gaussian of ``sigma`` pixels, periodic."""
    rows, columns = (torch.fft.fftfreq(n, device=image.device) for n in image.shape[-2:])
    squared = rows[:, None] ** 2 + columns[None, :] ** 2
    transfer = torch.exp(-2 * (math.pi * sigma) ** 2 * squared)
    blurred: Tensor = torch.fft.ifft2(torch.fft.fft2(image) * transfer).real
    return blurred


def _ellipsoid(points: Tensor, center: Tensor, generator: Generator) -> Tensor:
    """Signed depth inside an ellipsoid with a wavy border [mm]."""
    draws = torch.rand(6, generator=generator, device=generator.device).tolist()
    short, long = (_HALF_AXES_MM[0] + u * (_HALF_AXES_MM[1] - _HALF_AXES_MM[0]) for u in draws[:2])
    tall = _HALF_HEIGHT_MM[0] + draws[2] * (_HALF_HEIGHT_MM[1] - _HALF_HEIGHT_MM[0])
    x, y, z = (points - center).unbind(-1)
    turn = math.pi * draws[3]
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    level = torch.sqrt((u / short) ** 2 + (v / long) ** 2 + (z / tall) ** 2)
    angle = torch.atan2(v, u)
    two, three = (torch.cos(n * angle + 2 * math.pi * draws[2 + n]) for n in (2, 3))
    depth: Tensor = (1 + 0.12 * two + 0.10 * three - level) * min(short, long)
    return depth

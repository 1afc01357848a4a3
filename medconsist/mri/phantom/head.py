"""A generated head: anatomy from formulas and a generator, no file needed.

Coordinates are millimetres: x to the right of the person, y forward, z up, 0 between the
ventricles. The formulas are meant to look like a head above the tentorium (scalp, skull, folded
cortex, deep nuclei, ventricles), not to be one: no measured anatomy is in them.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.phantom.smooth_field import SmoothField
from medconsist.mri.phantom.tissue import TISSUES, Anatomy, tissue_index

__all__ = ["GeneratedHead"]

Points = Float[Tensor, "slices height width 3"]
_LOWEST_MM, _HIGHEST_MM = -25.0, 55.0  # below: cerebellum and face, which the formulas lack
_LATTICE_MM = 2.4  # fields vary over 17 mm and more, so they are computed this coarsely


@dataclass(frozen=True, kw_only=True)
class GeneratedHead:
    """A head that differs with every generator state: sizes, folds, ventricles, asymmetry.

    Parameters
    ----------
    variation
        Spread of sizes from head to head; 0 leaves only the folding random, 1 is the default.

    Examples
    --------
    >>> grid = torch.zeros(1, 4, 4, 3)
    >>> head = GeneratedHead()(grid, 0.6, torch.Generator().manual_seed(0))
    >>> head.fractions.shape
    torch.Size([10, 1, 4, 4])
    """

    variation: float = 1.0

    @property
    def name(self) -> str:
        """What a file says about the origin of its anatomy."""
        return f"generated head, variation {self.variation:g}"

    def __call__(self, points: Points, spacing_mm: float, generator: Generator) -> Anatomy:
        """Fill the grid ``points`` [mm] whose neighbours are ``spacing_mm`` apart.

        Raises
        ------
        RefusedInputError
            If a slice lies where the formulas describe no head.
        """
        heights = points[:, 0, 0, 2]
        low, high = float(heights.min()), float(heights.max())
        if low < _LOWEST_MM - 10 or high > _HIGHEST_MM + 10:
            msg = (
                f"slices reach from {low:.0f} to {high:.0f} mm, but the generated head is "
                f"described from {_LOWEST_MM:.0f} to {_HIGHEST_MM:.0f} mm. Ask for fewer or "
                "thinner slices."
            )
            raise RefusedInputError(msg)
        draw = _Draws(self.variation, spacing_mm, generator)
        canvas = _Canvas(points, spacing_mm)
        depth = _brain_depth(points, draw)
        _paint_shell(canvas, depth, draw)
        _paint_cortex(canvas, depth, draw)
        _paint_deep(canvas, draw)
        return Anatomy(canvas.fractions)


class _Draws:
    """Random sizes around a mean, and smooth fields."""

    def __init__(self, variation: float, spacing_mm: float, generator: Generator) -> None:
        self._variation = variation
        self._generator = generator
        self._stride = max(1, int(_LATTICE_MM / spacing_mm))

    def size(self, mean: float, spread: float) -> float:
        """Return a positive size, log-normal and cut at two spreads."""
        normal = torch.randn((), generator=self._generator, device=self._generator.device)
        return mean * math.exp(self._variation * spread * max(-2.0, min(2.0, float(normal))))

    def field(
        self, points: Points, wavelength_mm: float, *, n_waves: int = 10, spread: float = 2.0
    ) -> Tensor:
        """Return a new smooth field of unit variance on a grid of points."""
        field = SmoothField.draw(wavelength_mm, self._generator, n_waves=n_waves, spread=spread)
        return field.on_grid(points, self._stride)


class _Canvas:
    """Tissue shares, painted one structure over the other with soft edges of one grid step."""

    def __init__(self, points: Points, spacing_mm: float) -> None:
        self.points = points
        self.spacing_mm = spacing_mm
        self.fractions = points.new_zeros(len(TISSUES), *points.shape[:-1])
        self.fractions[0] = 1

    def paint(self, name: str, inside_mm: Tensor) -> None:
        """Cover with a tissue where the signed distance to its border is positive."""
        cover = (0.5 + inside_mm / self.spacing_mm).clamp(0, 1)
        self.fractions *= 1 - cover
        self.fractions[tissue_index(name)] += cover


def _brain_depth(points: Points, draw: _Draws) -> Tensor:
    """Distance below the surface of the brain along the ray from its middle [mm]."""
    x, y, z = (points - points.new_tensor([0.0, -6.0, 8.0])).unbind(-1)
    half = draw.size(68.0, 0.035), draw.size(85.0, 0.035), draw.size(62.0, 0.03)
    narrowing = draw.size(0.05, 0.3)
    x = x / (1 - narrowing * torch.tanh(y / 45))
    power = draw.size(2.25, 0.04)
    scaled = [axis.abs() / size for axis, size in zip((x, y, z), half, strict=True)]
    surface = sum((axis**power for axis in scaled), torch.zeros_like(x)) ** (1 / power)
    surface = (surface * (1 + 0.010 * draw.field(points, 70.0))).clamp_min(1e-3)
    radius = torch.sqrt(x**2 + y**2 + z**2)
    return radius * (1 - surface) / surface


def _paint_shell(canvas: _Canvas, depth: Tensor, draw: _Draws) -> None:
    """Skin, fat, temporal muscle, skull with marrow, and the fluid around the brain."""
    x, y, z = canvas.points.unbind(-1)
    fluid = draw.size(2.0, 0.35)
    bone = draw.size(6.0, 0.12) * (1 + 0.15 * draw.field(canvas.points, 60.0)).clamp(0.5, 1.5)
    fat = draw.size(3.6, 0.25) * (1 + 0.25 * draw.field(canvas.points, 70.0)).clamp(0.4, 1.8)
    side = torch.sigmoid((x.abs() - 42) / 5) * torch.sigmoid((16 - z) / 6)
    muscle = draw.size(6.0, 0.2) * side * torch.exp(-(((y - 22) / 24) ** 2))
    bone_edge = depth + fluid + bone
    canvas.paint("muscle", bone_edge + muscle + fat + 1.8)
    canvas.paint("fat", bone_edge + muscle + fat)
    canvas.paint("muscle", bone_edge + muscle)
    canvas.paint("bone", bone_edge)
    canvas.paint("marrow", torch.minimum(bone_edge - 1.9, -depth - fluid - 1.7))
    canvas.paint("csf", depth + fluid)


def _paint_cortex(canvas: _Canvas, depth: Tensor, draw: _Draws) -> None:
    """Grey ribbon along the surface, the folds and the fissures; white matter inside."""
    x, y, z = canvas.points.unbind(-1)
    width = draw.size(0.85, 0.3)
    core = _ellipsoid(canvas.points, (0.0, -6.0, 4.0), (30.0, 44.0, 24.0))
    midline = (x - 1.5 * draw.field(canvas.points, 40.0)).abs()
    fissure = torch.hypot(midline, (-core).clamp_min(0)) - 1.3 * width
    pial = torch.minimum(depth, fissure)
    pial = torch.minimum(pial, _folds(canvas, depth, pial, width, draw))
    for side in (-1.0, 1.0):
        wander = [2.0 * draw.field(canvas.points, 26.0) + draw.size(1.0, 0.5) for _ in range(2)]
        away = _polyline(x * side + wander[0], y + wander[1], _SYLVIAN)
        pial = torch.minimum(pial, torch.hypot(away, ((z - 2).abs() - 16).clamp_min(0)) - width)
    canvas.paint("grey", torch.minimum(pial, depth))
    ribbon = draw.size(3.1, 0.08) * (1 + 0.12 * draw.field(canvas.points, 25.0))
    canvas.paint("white", pial - ribbon)


def _folds(canvas: _Canvas, depth: Tensor, pial: Tensor, width: float, draw: _Draws) -> Tensor:
    """Distance to the nearest fold; folds are the zeros of a narrow-band random field.

    The field is stretched along the ray from the middle, so that its zeros run inwards.
    """
    middle = canvas.points.new_tensor([0.0, -6.0, 8.0])
    ray = canvas.points - middle
    radius = torch.linalg.vector_norm(ray, dim=-1, keepdim=True).clamp_min(1.0)
    stretched = ray * (1 + 0.6 * depth.unsqueeze(-1) / radius)
    wavelength = draw.size(17.0, 0.06)
    bend = torch.stack([draw.field(canvas.points, 35.0, n_waves=6) for _ in range(3)], dim=-1)
    field = draw.field(stretched + 2.0 * bend, wavelength, n_waves=40, spread=1.3)
    slopes = torch.gradient(field, spacing=canvas.spacing_mm, dim=(1, 2))
    slope = torch.hypot(slopes[0], slopes[1]).clamp_min(1.5 / wavelength)
    # rays crowd towards the middle, and so would folds of the medial surface
    pial = torch.maximum(pial, depth - 18)
    reach = draw.size(19.0, 0.1) * (1 + 0.3 * draw.field(canvas.points, 30.0))
    opening = width * (1 - pial / reach.clamp_min(1.0)).clamp(0, 1)
    return torch.hypot(field.abs() / slope, (pial - reach).clamp_min(0)) - opening


def _paint_deep(canvas: _Canvas, draw: _Draws) -> None:
    """Nuclei and ventricles, each side with its own sizes."""
    common = draw.size(1.15, 0.2)
    wander = canvas.points + torch.stack(
        [1.2 * draw.field(canvas.points, 28.0, n_waves=8) for _ in range(3)], dim=-1
    )
    for side in (-1.0, 1.0):
        mirrored = wander * wander.new_tensor([side, 1.0, 1.0])
        size, wide = draw.size(1.0, 0.05), common * draw.size(1.0, 0.10)
        for center, half, turn in _NUCLEI:
            scaled = tuple(size * length for length in half)
            canvas.paint("deep grey", -_ellipsoid(mirrored, center, scaled, turn=turn))
        canvas.paint("csf", _ventricle(mirrored, wide))
    third = _ellipsoid(wander, (0.0, -3.0, -4.0), (1.8 * common, 12.0, 11.0))
    canvas.paint("csf", -third)


# centre [mm], half axes [mm] and turn in the plane [rad] of caudate head, putamen, pallidum and
# thalamus on the right; sizes by eye from an atlas
_NUCLEI = (
    ((14.0, 17.0, 6.0), (5.0, 10.0, 11.0), 0.35),
    ((26.0, 4.0, 1.0), (5.0, 15.0, 11.0), 0.25),
    ((19.5, 0.0, -1.0), (3.6, 9.0, 7.0), 0.30),
    ((11.0, -13.0, 4.0), (8.0, 13.0, 10.0), -0.45),
)
# lateral fissure and insula on the right, x, y [mm]
_SYLVIAN = (
    (76.0, 3.0),
    (60.0, 9.0),
    (47.0, 13.0),
    (40.0, 11.0),
    (36.5, 4.0),
    (36.0, -4.0),
    (39.0, -13.0),
)
# centre line x, y, z [mm] and radius [mm] of the right lateral ventricle
_VENTRICLE = (
    (17.0, 33.0, 4.0, 2.2),
    (9.0, 22.0, 9.0, 4.0),
    (6.0, 4.0, 15.0, 4.5),
    (10.0, -16.0, 17.0, 5.0),
    (21.0, -34.0, 10.0, 6.0),
    (27.0, -48.0, 3.0, 3.2),
    (27.0, -60.0, 2.0, 1.5),
)


def _ventricle(points: Points, wide: float) -> Tensor:
    """Signed depth inside a chain of tapered segments, taller than wide [mm]."""
    depths = []
    squeezed = points * points.new_tensor([1.0, 1.0, 0.8])
    for start, end in pairwise(_VENTRICLE):
        first = points.new_tensor([start[0], start[1], 0.8 * start[2]])
        step = points.new_tensor([end[0], end[1], 0.8 * end[2]]) - first
        along = ((squeezed - first) @ step / step.square().sum()).clamp(0, 1)
        away = torch.linalg.vector_norm(squeezed - first - along.unsqueeze(-1) * step, dim=-1)
        depths.append(wide * (start[3] + along * (end[3] - start[3])) - away)
    return torch.stack(depths).amax(dim=0)


def _ellipsoid(
    points: Points,
    center: tuple[float, ...],
    half: tuple[float, ...],
    *,
    turn: float = 0.0,
) -> Tensor:
    """Signed distance to an ellipsoid, negative inside; exact only for a sphere [mm]."""
    x, y, z = (points - points.new_tensor(center)).unbind(-1)
    u, v = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
    scaled = torch.stack([u / half[0], v / half[1], z / half[2]], dim=-1)
    level: Tensor = torch.linalg.vector_norm(scaled, dim=-1)
    slope: Tensor = torch.linalg.vector_norm(scaled / points.new_tensor(half), dim=-1)
    return level * (level - 1) / slope.clamp_min(1e-4)


def _polyline(x: Tensor, y: Tensor, corners: tuple[tuple[float, float], ...]) -> Tensor:
    """Distance to a chain of segments in the plane [mm]."""
    nearest = torch.full_like(x, math.inf)
    for (x0, y0), (x1, y1) in pairwise(corners):
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = (((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length).clamp(0, 1)
        away = torch.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        nearest = torch.minimum(nearest, away)
    return nearest

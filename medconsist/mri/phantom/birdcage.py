"""Receive coils around a head, and the noise that they pick up together."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Generator, Tensor
from torch.nn.functional import interpolate

__all__ = ["CoilArray"]

_RADIUS_MM = 150.0  # of the ring that carries the loops
_SEGMENTS = 32  # straight pieces of a loop
_WIRE_MM = 12.0  # softens the field at the conductor, as its width does
_LATTICE_MM = 6.0  # the field is smooth: computed this coarsely and interpolated


@dataclass(frozen=True, eq=False)
class CoilArray:
    """A ring of loops around the z axis, as in a birdcage-like head array.

    The sensitivity is the receive field ``S = B_x - i B_y`` of a unit current by Biot and Savart
    (quasi-static, no load), times a complex gain of each channel. The maps are not normalised.

    Parameters
    ----------
    centers_mm, normals
        Centre and axis of each loop, ``coils 3``.
    radius_mm
        Radius of the loops [mm].
    gains
        Gain and phase of each channel, on signal and noise alike.
    coupling
        Matrix L that mixes independent noise, ``E n n^H = L L^H`` before the gains.

    References
    ----------
    P. B. Roemer et al., "The NMR phased array", Magn. Reson. Med. 16 (1990) 192,
    doi:10.1002/mrm.1910160203.

    Examples
    --------
    >>> coils = CoilArray.draw(4, torch.Generator().manual_seed(0))
    >>> coils.covariance.shape
    torch.Size([4, 4])
    """

    centers_mm: Float[Tensor, "coils 3"]
    normals: Float[Tensor, "coils 3"]
    radius_mm: float
    gains: Complex[Tensor, " coils"]
    coupling: Complex[Tensor, "coils coils"]

    @classmethod
    def draw(cls, n_coils: int, generator: Generator) -> "CoilArray":
        """Draw a ring of ``n_coils`` loops: places, gains and coupling vary."""

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, device=generator.device)

        turn = 2 * math.pi * torch.rand((), generator=generator, device=generator.device)
        steps = torch.arange(n_coils, device=generator.device) + 0.06 * normal(n_coils)
        angles = turn + 2 * math.pi * steps / n_coils
        out = torch.stack([angles.cos(), angles.sin(), 0.15 * normal(n_coils)], dim=-1)
        stretch = torch.tensor([0.9, 1.05, 0.0], device=generator.device)
        centers = _RADIUS_MM * stretch * out + torch.tensor([0.0, 0.0, 8.0]).to(stretch)
        centers[:, 2] += 10 * normal(n_coils)
        phase = 2 * math.pi * torch.rand(n_coils, generator=generator, device=generator.device)
        return cls(
            centers_mm=centers,
            normals=out / torch.linalg.vector_norm(out, dim=-1, keepdim=True),
            # neighbours of a ring overlap by about a tenth, which decouples them
            radius_mm=min(85.0, 1.1 * math.pi * _RADIUS_MM / n_coils),
            gains=torch.polar(torch.exp(0.15 * normal(n_coils)), phase),
            coupling=_coupling(n_coils, normal),
        )

    @property
    def covariance(self) -> Tensor:
        """Noise covariance ``E n n^H`` with unit scale, Hermitian, ``coils coils``."""
        mixed = self.gains[:, None] * self.coupling
        return mixed @ mixed.mH

    def maps(self, points: Float[Tensor, "slices height width 3"]) -> Tensor:
        """Return the sensitivities at grid points [mm], ``slices coils height width``."""
        _, height, width, _ = points.shape
        step = float(torch.linalg.vector_norm(points[0, 0, 1] - points[0, 0, 0]))
        rows, columns = (
            torch.linspace(0, n - 1, max(4, round(n * step / _LATTICE_MM)), device=points.device)
            for n in (height, width)
        )
        lattice = _at(points, rows, columns)
        field = torch.stack([self._field(lattice, coil) for coil in range(len(self.gains))], dim=1)
        parts = torch.view_as_real(field).permute(0, 1, 4, 2, 3).flatten(1, 2)
        smooth = interpolate(parts, (height, width), mode="bicubic", align_corners=True)
        real, imaginary = smooth.reshape(len(points), -1, 2, height, width).unbind(2)
        return torch.complex(real, imaginary) * self.gains[:, None, None].to(points.device)

    def _field(self, points: Tensor, coil: int) -> Tensor:
        normal = self.normals[coil]
        up = torch.tensor([0.0, 0.0, 1.0]).to(normal)
        first = torch.linalg.cross(up, normal)
        first = first / torch.linalg.vector_norm(first)
        second = torch.linalg.cross(normal, first)
        angles = 2 * math.pi * torch.arange(_SEGMENTS, device=normal.device) / _SEGMENTS
        cosine, sine = angles.cos()[:, None], angles.sin()[:, None]
        places = self.centers_mm[coil] + self.radius_mm * (cosine * first + sine * second)
        pieces = (cosine * second - sine * first) * (2 * math.pi * self.radius_mm / _SEGMENTS)
        b_x = torch.zeros(points.shape[:-1], dtype=points.dtype, device=points.device)
        b_y = torch.zeros_like(b_x)
        for place, piece in zip(places.to(points), pieces.to(points), strict=True):
            away = points - place
            cubed = (away.square().sum(-1) + _WIRE_MM**2) ** 1.5
            b_x += (piece[1] * away[..., 2] - piece[2] * away[..., 1]) / cubed
            b_y += (piece[2] * away[..., 0] - piece[0] * away[..., 2]) / cubed
        return torch.complex(b_x, -b_y)


def _coupling(n_coils: int, normal: Callable[..., Tensor]) -> Tensor:
    """Neighbours share some noise, and everybody a little with everybody."""
    shares = normal(n_coils)
    mixing = torch.eye(n_coils, dtype=torch.complex64, device=shares.device)
    if n_coils > 1:
        neighbours = torch.polar(torch.full_like(shares, 0.25), math.pi * shares)
        mixing += torch.diag(neighbours).roll(1, 0)
        mixing += 0.06 * torch.complex(normal(n_coils, n_coils), normal(n_coils, n_coils))
    return mixing


def _at(points: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sample an affine grid of points at fractional rows and columns."""
    origin = points[:, :1, :1]
    down = points[:, 1:2, :1] - origin
    right = points[:, :1, 1:2] - origin
    return origin + rows[:, None, None] * down + columns[None, :, None] * right

"""Sampling masks of Cartesian k-space: a Generator in, the same mask out.

Every kind is a frozen dataclass that is called with the plane and a generator,
``mask = Gaussian2D(acceleration=8)((230, 180), generator)``, and returns a boolean ``height
width`` mask, True where a sample is acquired, with DC at ``n // 2``. The acceleration asked for
counts the fully sampled centre, and holds to 2 % or half a line or sample, whichever is larger;
a kind that cannot keep that refuses and says what is reachable. The seeds of the code that these
kinds come from were without effect (ATOMMIC draws from the global NumPy state); here the
generator is the only source of randomness.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.poisson_disc import poisson_disc

__all__ = [
    "Equispaced1D",
    "Gaussian1D",
    "Gaussian2D",
    "MaskKind",
    "PartialFourier",
    "PlaneMask",
    "Poisson2D",
    "Random1D",
    "effective_acceleration",
]

Plane = tuple[int, int]
PlaneMask = Bool[Tensor, "height width"]
MaskKind = Callable[[Plane, Generator], Tensor]

_TOLERANCE = 0.02  # of the acceleration asked for


def effective_acceleration(mask: Bool[Tensor, "*batch height width"]) -> float:
    """Return the number of k-space positions over the number of acquired ones."""
    return mask.numel() / max(int(mask.sum()), 1)


@dataclass(frozen=True, kw_only=True)
class _Lines(ABC):
    """Whole lines along one axis, with a fully sampled block around DC."""

    acceleration: float | int
    center_lines: int = 16
    axis: Literal[-2, -1] = -1

    def __call__(self, shape: Plane, generator: Generator) -> PlaneMask:
        """Draw a mask of the plane ``(height, width)`` on the device of ``generator``."""
        n_lines = shape[self.axis]
        center = _central(n_lines, self.center_lines, generator.device)
        self._check(n_lines)
        lines = self._draw(center, generator)
        along = lines[:, None] if self.axis == -2 else lines[None, :]
        return along.expand(shape).clone()

    @abstractmethod
    def _draw(self, center: Bool[Tensor, " lines"], generator: Generator) -> Tensor:
        """Return the acquired lines, the centre among them."""

    def _check(self, n_lines: int) -> None:
        _check_reachable(self.acceleration, n_lines, self.center_lines, "lines")


@dataclass(frozen=True, kw_only=True)
class Random1D(_Lines):
    """Lines drawn uniformly outside the centre, without replacement.

    fastMRI takes every outer line with probability ``(N/R - n_low) / (N - n_low)``; given the
    number of lines taken, both draws have the same distribution, and here that number is
    ``round(N/R)`` always.

    Parameters
    ----------
    acceleration
        Number of lines over number of acquired lines, the centre counted, >= 1.
    center_lines
        Fully sampled lines around DC.
    axis
        The axis that is undersampled: -1 takes whole columns, -2 whole rows.

    References
    ----------
    J. Zbontar et al., "fastMRI: an open dataset and benchmarks for accelerated MRI",
    arXiv:1811.08839.

    Examples
    --------
    >>> mask = Random1D(acceleration=4)((192, 160), torch.Generator().manual_seed(0))
    >>> effective_acceleration(mask)
    4.0
    """

    def _draw(self, center: Bool[Tensor, " lines"], generator: Generator) -> Tensor:
        uniform = torch.zeros(center.shape, dtype=torch.float64, device=center.device)
        return _draw_outside(uniform, center, self.acceleration, generator)


@dataclass(frozen=True, kw_only=True)
class Gaussian1D(_Lines):
    """Lines drawn without replacement, Gaussian density around DC.

    ``p(i) ~ g(x_i)``, ``g(x) = exp(-x^2 / (2 s^2))``, ``s = fwhm / sqrt(8 ln 2)``, where x runs
    from -1 to 1 over the axis and is 0 at DC.

    Parameters
    ----------
    acceleration, center_lines, axis
        As in `Random1D`.
    fwhm
        Full width at half maximum of g; the axis has length 2.
    density
        ``"plain"``: p ~ g, as ATOMMIC's 1-D mask; ``"sqrt"``: p ~ sqrt(g), as its 2-D mask.

    References
    ----------
    D. Karkalousos et al., CIRIM, Phys. Med. Biol. 67 (2022) 124001,
    doi:10.1088/1361-6560/ac6cc2; densities as in the released code of ATOMMIC, whose own 1-D mask
    comes back uncentred (ours is centred).

    Examples
    --------
    >>> mask = Gaussian1D(acceleration=4)((192, 160), torch.Generator().manual_seed(0))
    >>> int(mask[0].sum())
    40
    """

    fwhm: float | int = 0.7
    density: Literal["plain", "sqrt"] = "plain"

    def _draw(self, center: Bool[Tensor, " lines"], generator: Generator) -> Tensor:
        log_density = _log_gaussian(center.shape[0], self.fwhm, self.density, center.device)
        return _draw_outside(log_density, center, self.acceleration, generator)


@dataclass(frozen=True, kw_only=True)
class Equispaced1D(_Lines):
    """Lines at a constant distance, from a random offset, and the centre.

    With a constant whole spacing only some accelerations exist; the others are refused and the
    message names those beside the one asked for. fastMRI instead rounds a fractional grid, so that
    its spacing is not constant (facebookresearch/fastMRI#54): ``form="fastmri"``. Its number of
    lines depends on the offset; offsets outside the tolerance are not drawn.

    Parameters
    ----------
    acceleration, center_lines, axis
        As in `Random1D`.
    form
        ``"constant"``: one whole spacing; ``"fastmri"``: offset in ``[0, round(a))`` and lines
        ``round(offset + k a)``, ``a = R (n_low - N) / (n_low R - N)``.

    References
    ----------
    J. Zbontar et al., arXiv:1811.08839; fastMRI `EquispacedMaskFractionFunc`.

    Examples
    --------
    >>> mask = Equispaced1D(acceleration=4, form="fastmri")((8, 320), torch.Generator())
    >>> bool(abs(effective_acceleration(mask) - 4) < 0.08)
    True
    """

    form: Literal["constant", "fastmri"] = "constant"

    def _draw(self, center: Bool[Tensor, " lines"], generator: Generator) -> Tensor:
        grids = self._constant(center) if self.form == "constant" else self._fastmri(center)
        masks = [grid | center for grid in grids]
        counts = torch.tensor([int(mask.sum()) for mask in masks])
        good = [
            mask
            for mask, count in zip(masks, counts.tolist(), strict=True)
            if _within(count, center.shape[0], self.acceleration)
        ]
        if not good:
            raise RefusedInputError(self._unreachable(center.shape[0], counts))
        choice = torch.randint(len(good), (), generator=generator, device=generator.device)
        return good[int(choice)]

    def _constant(self, center: Bool[Tensor, " lines"]) -> list[Tensor]:
        n_lines = center.shape[0]
        index = torch.arange(n_lines, device=center.device)
        outer = n_lines / self.acceleration - self.center_lines
        # the spacing whose count fits lies beside (N - n_low) / outer; its neighbours are the
        # reachable values that an error message names
        guess = n_lines if outer <= 0 else int((n_lines - self.center_lines) / outer)
        spacings = range(max(1, guess - 1), min(n_lines, guess + 2) + 1)
        return [index % spacing == offset for spacing in spacings for offset in range(spacing)]

    def _fastmri(self, center: Bool[Tensor, " lines"]) -> list[Tensor]:
        n_lines, n_low = center.shape[0], self.center_lines
        if n_low * self.acceleration >= n_lines:
            return [torch.zeros_like(center)]
        spacing = self.acceleration * (n_low - n_lines) / (n_low * self.acceleration - n_lines)
        grids = []
        for offset in range(max(1, round(spacing))):
            # numpy's arange, as theirs: torch's differs in the last bit, which decides x.5
            steps = np.around(np.arange(offset, n_lines - 1, spacing)).astype(np.int64)
            grid = torch.zeros_like(center)
            grid[torch.from_numpy(steps).to(center.device)] = True
            grids.append(grid)
        return grids

    def _unreachable(self, n_lines: int, counts: Tensor) -> str:
        wanted = n_lines / self.acceleration
        nearest = sorted({int(count) for count in counts}, key=lambda n: abs(n - wanted))[:2]
        values = " or ".join(f"{n_lines / n:.3g}" for n in nearest)
        advice = "form='fastmri'" if self.form == "constant" else "another center_lines"
        return (
            f"acceleration {self.acceleration} cannot be reached by equispaced lines "
            f"(form={self.form!r}) on {n_lines} lines with {self.center_lines} in the centre; "
            f"nearest reachable: {values}. Ask for one of these, or use {advice} or Random1D."
        )


@dataclass(frozen=True, kw_only=True)
class _Points(ABC):
    """Single points of a plane, with a fully sampled region around DC."""

    acceleration: float | int
    center: tuple[int, int] = (24, 24)
    center_shape: Literal["rectangle", "ellipse"] = "rectangle"

    def __call__(self, shape: Plane, generator: Generator) -> PlaneMask:
        """Draw a mask of the plane ``(height, width)`` on the device of ``generator``."""
        center = self._center(shape, generator.device)
        _check_reachable(self.acceleration, center.numel(), int(center.sum()), "samples")
        return self._draw(center, generator)

    @abstractmethod
    def _draw(self, center: PlaneMask, generator: Generator) -> Tensor:
        """Return the acquired samples, the centre among them."""

    def _center(self, shape: Plane, device: torch.device) -> Tensor:
        rows = _central(shape[0], self.center[0], device)
        columns = _central(shape[1], self.center[1], device)
        rectangle = rows[:, None] & columns[None, :]
        if self.center_shape == "rectangle":
            return rectangle
        y, x = (
            _from_dc(n, device) * n / max(c, 1) for n, c in zip(shape, self.center, strict=True)
        )
        return rectangle & (y[:, None] ** 2 + x[None, :] ** 2 <= 1)


@dataclass(frozen=True, kw_only=True)
class Gaussian2D(_Points):
    """Points drawn without replacement, Gaussian density around DC.

    ``p(i, j) ~ sqrt(g(y_i) g(x_j))`` with g of `Gaussian1D`. The square root is in the released
    code (ATOMMIC) and doubles the variance: its FWHM of 0.7 is 0.99 in truth. ATOMMIC draws
    ``HW/R`` points and adds the centre afterwards, hence 7.95 where 8 is asked; here the centre
    counts.

    Parameters
    ----------
    acceleration
        Number of positions over number of acquired ones, the centre counted, >= 1.
    center
        Rows and columns of the fully sampled region around DC.
    center_shape
        ``"rectangle"``, or the ``"ellipse"`` of these full axes; ATOMMIC's ellipse has axes of
        0.04 H and 0.04 W.
    fwhm
        Full width at half maximum of g; each axis has length 2.
    density
        ``"sqrt"`` as released, or ``"plain"`` without the root.

    References
    ----------
    D. Karkalousos et al., CIRIM, Phys. Med. Biol. 67 (2022) 124001,
    doi:10.1088/1361-6560/ac6cc2.

    Examples
    --------
    >>> mask = Gaussian2D(acceleration=8)((192, 160), torch.Generator().manual_seed(0))
    >>> effective_acceleration(mask)
    8.0
    """

    fwhm: float | int = 0.7
    density: Literal["sqrt", "plain"] = "sqrt"

    def _draw(self, center: PlaneMask, generator: Generator) -> Tensor:
        rows, columns = (
            _log_gaussian(n, self.fwhm, self.density, center.device) for n in center.shape
        )
        return _draw_outside(rows[:, None] + columns, center, self.acceleration, generator)


@dataclass(frozen=True, kw_only=True)
class Poisson2D(_Points):
    """Variable-density Poisson disc: random points that keep a distance growing from DC.

    The radius is ``s (1 + (spread - 1) r)``, r the distance from DC (1 at the middle of the
    edges), with s found so that the number of points is exact; see `poisson_disc`. SigPy instead
    searches the slope at radius 1 and stops 0.3 away from the acceleration.

    Parameters
    ----------
    acceleration, center, center_shape
        As in `Gaussian2D`.
    spread
        Radius at the edge over radius at DC, >= 1; 1 is uniform density.
    corners
        ``"sampled"``, or ``"cropped"``: nothing outside the ellipse that touches the edges.

    References
    ----------
    M. Lustig et al., "Sparse MRI", Magn. Reson. Med. 58 (2007) 1182, doi:10.1002/mrm.21391.

    Examples
    --------
    >>> mask = Poisson2D(acceleration=8)((96, 80), torch.Generator().manual_seed(0))
    >>> effective_acceleration(mask)
    8.0
    """

    spread: float | int = 4.0
    corners: Literal["sampled", "cropped"] = "sampled"

    def _draw(self, center: PlaneMask, generator: Generator) -> Tensor:
        if self.spread < 1:
            msg = f"spread must be at least 1 (uniform density), got {self.spread}."
            raise RefusedInputError(msg)
        y, x = (_from_dc(n, center.device) for n in center.shape)
        distance = torch.sqrt(y[:, None] ** 2 + x[None, :] ** 2)
        candidates = ~center
        if self.corners == "cropped":
            candidates = candidates & (distance <= 1)
        n_samples = round(center.numel() / self.acceleration) - int(center.sum())
        if n_samples > int(candidates.sum()):
            reachable = center.numel() / int((candidates | center).sum())
            msg = (
                f"acceleration {self.acceleration} cannot be reached with cropped corners; "
                f"reachable: {reachable:.3g} and above, or corners='sampled'."
            )
            raise RefusedInputError(msg)
        profile = 1 + (self.spread - 1) * distance
        points = poisson_disc(profile, candidates, n_samples=n_samples, generator=generator)
        return center | points


@dataclass(frozen=True, kw_only=True)
class PartialFourier:
    """Drop an edge of k-space, alone or after another kind of mask.

    The acceleration of ``base`` counts before the edge is dropped; `effective_acceleration` of
    the mask says what both give together.

    Parameters
    ----------
    kept
        Fraction of the axis that is acquired, in (0.5, 1]; ``round(kept * N)`` lines stay.
    axis
        The axis that is shortened.
    edge
        ``"low"`` drops small indices, ``"high"`` large ones.
    base
        Any other kind of mask, or None for full sampling of what is kept.

    Examples
    --------
    >>> kind = PartialFourier(kept=0.75, base=Gaussian2D(acceleration=4))
    >>> round(effective_acceleration(kind((96, 80), torch.Generator().manual_seed(0))), 1)
    4.5
    """

    kept: float | int = 0.75
    axis: Literal[-2, -1] = -2
    edge: Literal["low", "high"] = "low"
    base: MaskKind | None = None

    def __call__(self, shape: Plane, generator: Generator) -> PlaneMask:
        """Draw a mask of the plane ``(height, width)`` on the device of ``generator``."""
        if not 0.5 < self.kept <= 1:
            msg = f"kept must be in (0.5, 1], so that DC stays, got {self.kept}."
            raise RefusedInputError(msg)
        n_lines = shape[self.axis]
        lines = torch.arange(n_lines, device=generator.device) < round(self.kept * n_lines)
        lines = lines if self.edge == "high" else lines.flip(0)
        if not bool(lines[n_lines // 2]):
            msg = (
                f"kept {self.kept} leaves {int(lines.sum())} of {n_lines} lines, DC not among "
                f"them; allowed: at least {(n_lines // 2 + 1) / n_lines:.4g}."
            )
            raise RefusedInputError(msg)
        along = lines[:, None] if self.axis == -2 else lines[None, :]
        if self.base is None:
            return along.expand(shape).clone()
        return self.base(shape, generator) & along


def _draw_outside(
    log_density: Float[Tensor, "*plane"],
    center: Bool[Tensor, "*plane"],
    acceleration: float | int,
    generator: Generator,
) -> Tensor:
    """Add to the centre points drawn one after another, without replacement, p ~ density.

    The largest keys ``log p - log E``, E exponential, are such a draw (Efraimidis and Spirakis
    2006, doi:10.1016/j.ipl.2005.11.003); they need one sort and no Python loop. The logarithm is
    given, since a narrow density itself is 0 in the corners.
    """
    n_samples = round(center.numel() / acceleration) - int(center.sum())
    uniform = torch.rand(
        center.shape, dtype=torch.float64, generator=generator, device=generator.device
    )
    keys = log_density - torch.log(-torch.log1p(-uniform))
    drawn = torch.where(center, -torch.inf, keys).flatten().topk(n_samples).indices
    mask = center.flatten().clone()
    mask[drawn] = True
    return mask.reshape(center.shape)


def _from_dc(n: int, device: torch.device) -> Tensor:
    """Positions relative to DC at n // 2 in units of half the axis."""
    return (torch.arange(n, dtype=torch.float64, device=device) - n // 2) / (n / 2)


def _log_gaussian(n: int, fwhm: float | int, density: str, device: torch.device) -> Tensor:
    if fwhm <= 0:
        msg = f"fwhm must be positive (the axis has length 2), got {fwhm}."
        raise RefusedInputError(msg)
    exponent = 4 * torch.log(torch.tensor(2.0)).item() * (_from_dc(n, device) / fwhm) ** 2
    return -exponent / (2 if density == "sqrt" else 1)


def _central(n: int, size: int, device: torch.device) -> Tensor:
    """Mark ``size`` indices around DC at n // 2, the odd one out below it."""
    if not 0 <= size <= n:
        msg = f"a centre of {size} does not fit an axis of {n}; allowed: 0 to {n}."
        raise RefusedInputError(msg)
    distance = torch.arange(n, device=device) - n // 2
    return (distance >= -(size // 2)) & (distance < size - size // 2)


def _check_reachable(acceleration: float | int, n_total: int, n_center: int, unit: str) -> None:
    if not acceleration >= 1:
        msg = f"acceleration must be at least 1, got {acceleration}."
        raise RefusedInputError(msg)
    if round(n_total / acceleration) < max(n_center, 1):
        msg = (
            f"acceleration {acceleration} leaves {n_total / acceleration:.4g} of {n_total} {unit}, "
            f"but the centre alone has {n_center}; reachable: 1 to "
            f"{n_total / max(n_center, 1):.4g}. Ask for less, or for a smaller centre."
        )
        raise RefusedInputError(msg)


def _within(n_acquired: int, n_total: int, acceleration: float | int) -> bool:
    """Tell whether a count keeps to 2 % or half a line of the acceleration asked for."""
    relative = abs(n_total / max(n_acquired, 1) - acceleration) <= _TOLERANCE * acceleration
    return relative or abs(n_acquired - n_total / acceleration) <= 0.5

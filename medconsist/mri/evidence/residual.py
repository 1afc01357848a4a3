"""The residual of a reconstruction beside what it should be: 1 - (degrees of freedom)/n, not 1."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from medconsist.mri.forward import Measurement
from medconsist.shapes import CoilKSpace

__all__ = ["BANDS", "GroupResidual", "degrees_of_freedom", "residual_groups"]

BANDS = (0.2, 0.4, 0.6, 0.8)  # inner edges, in half-axes of k-space: the same for every matrix
_STEP = 0.1  # of sigma: far above rounding in single precision, below a noise-sized change


@dataclass(frozen=True)
class GroupResidual:
    """The residual of a group of samples.

    Parameters
    ----------
    name
        ``"all"``, ``"coil_0"`` ..., or ``"band_0"`` (centre) ... ``"band_4"`` (edge and corners).
    chi_square
        ``sum |y - A x|^2 / (n sigma^2)``.
    expectation
        ``1 - dof / n`` of the group.
    n
        Samples, all slices.

    Examples
    --------
    >>> GroupResidual(name="all", chi_square=0.6, expectation=0.55, n=41184).n
    41184
    """

    name: str
    chi_square: float
    expectation: float
    n: int


def degrees_of_freedom(
    fit: Callable[[CoilKSpace], CoilKSpace],
    measurement: Measurement,
    fitted: CoilKSpace,
    *,
    probes: int,
    generator: torch.Generator,
) -> Float[Tensor, "slices coils height width"]:
    """Return each sample's share of the effective degrees of freedom of ``h(y) = A x(y)``.

    ``dof_i = Re conj(b_i) (h(y + eps b) - h(y))_i / eps``, averaged over probes ``b`` of random
    quarter turns on the mask (Monte-Carlo divergence, Ramani et al. 2008,
    doi:10.1109/TIP.2008.2001404; Hutchinson 1989 for the trace). Sums over a group estimate its
    part of the trace: exact in expectation for linear methods; for others it is the divergence
    smoothed over ``eps = 0.1 sigma``. Single entries are noise, only sums mean anything.

    Parameters
    ----------
    fit
        Samples to fitted samples; each probe costs one call.
    measurement
        Samples, mask and ``sigma``.
    fitted
        ``h(y)`` for the samples as they are.
    probes
        Number of probes; the error of a sum falls with its root.
    generator
        Draws the probes on its own device, so that they are the same wherever the samples live.
    """
    step = _STEP * measurement.sigma
    total = torch.zeros_like(fitted.real)
    for _ in range(probes):
        turns = torch.randint(4, fitted.shape, generator=generator, device=generator.device)
        probe = torch.polar(torch.ones_like(total), turns.to(total) * (math.pi / 2))
        probe = torch.where(measurement.mask[:, None], probe, 0)
        change = fit(measurement.samples + step * probe) - fitted
        total = total + (probe.conj() * change).real / step
    return total / probes


def residual_groups(
    measurement: Measurement,
    fitted: CoilKSpace,
    dof: Float[Tensor, "slices coils height width"],
) -> tuple[GroupResidual, ...]:
    """Return the residual of all samples, of each coil, and of each band of k-space radius.

    The expectation ``1 - dof/n`` is exact for unbiased fits by projection (unregularised least
    squares) and for the Wiener filter, whose weight matches the signal; a method that smooths more
    than that lies above it. It is an **alarm for wrong coil maps, spikes and shift, and never a
    measure of image quality**: on real data the worst image can have the lowest residual. Bands
    are at 0.2, 0.4, 0.6, 0.8 of ``hypot(ky / (height/2), kx / (width/2))``; groups without samples
    are left out.

    Parameters
    ----------
    measurement
        Samples, mask and ``sigma``.
    fitted
        ``A x``.
    dof
        See `degrees_of_freedom`.
    """
    squared = (measurement.samples - fitted).abs().square().double() / measurement.sigma**2
    mask = measurement.mask[:, None].expand(fitted.shape)
    squared = torch.where(mask, squared, 0)
    groups = {"all": torch.ones_like(mask[:1, :1])}
    for coil in range(mask.shape[1]):
        chosen = torch.arange(mask.shape[1], device=mask.device) == coil
        groups[f"coil_{coil}"] = chosen[None, :, None, None]
    for band, place in enumerate(_bands(mask)):
        groups[f"band_{band}"] = place[None, None]
    found = [_group(name, mask & place, squared, dof) for name, place in groups.items()]
    return tuple(group for group in found if group.n)


def _group(name: str, place: Tensor, squared: Tensor, dof: Tensor) -> GroupResidual:
    n = int(place.sum())
    share = float(dof[place].double().sum()) / max(n, 1)
    mean = float(squared[place].sum()) / max(n, 1)
    return GroupResidual(name=name, chi_square=mean, expectation=1 - share, n=n)


def _bands(mask: Tensor) -> Bool[Tensor, "bands height width"]:
    rows, columns = (
        (torch.arange(n, device=mask.device) - n // 2) / (n / 2) for n in mask.shape[-2:]
    )
    radius = torch.hypot(rows[:, None], columns[None, :])
    band = torch.bucketize(radius, torch.tensor(BANDS, device=mask.device), right=True)
    return torch.stack([band == number for number in range(len(BANDS) + 1)])

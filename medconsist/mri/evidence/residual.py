"""The residual of a reconstruction beside what it should be: 1 - (degrees of freedom)/n, not 1."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from medconsist.mri.forward import Measurement
from medconsist.shapes import CoilKSpace

__all__ = ["BANDS", "GroupResidual", "ResidualSums", "degrees_of_freedom"]

BANDS = (0.2, 0.4, 0.6, 0.8)  # inner edges, in half-axes of k-space: the same for every matrix
Integers = Int[Tensor, "slices coils height width"]

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
    turns: Iterable[Integers],
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
    turns
        For each probe how many quarter turns at each sample, see `quarter_turns`; the error of a
        sum falls with the root of their number.
    """
    step = _STEP * measurement.sigma
    total, probes = torch.zeros_like(fitted.real), 0
    for probes, turned in enumerate(turns, start=1):  # noqa: B007  counted for the mean
        probe = torch.polar(torch.ones_like(total), turned.to(total) * (math.pi / 2))
        probe = torch.where(measurement.mask[:, None], probe, 0)
        change = fit(measurement.samples + step * probe) - fitted
        total = total + (probe.conj() * change).real / step
    return total / probes


class ResidualSums:
    """The residual of all samples, of each coil, and of each band of k-space radius.

    The expectation ``1 - dof/n`` is exact for unbiased fits by projection (unregularised least
    squares) and for the Wiener filter, whose weight matches the signal; a method that smooths more
    than that lies above it. It is an **alarm for wrong coil maps, spikes and shift, and never a
    measure of image quality**: on real data the worst image can have the lowest residual. Bands
    are at 0.2, 0.4, 0.6, 0.8 of ``hypot(ky / (height/2), kx / (width/2))``; groups without samples
    are left out. Slabs of a volume are added one after another: sums, so that their sizes do not
    matter.

    Examples
    --------
    >>> ones = torch.ones(1, 1, 8, 8, dtype=torch.complex64)
    >>> sums = ResidualSums()
    >>> scan = Measurement(ones, ones[0].real > 0, ones[:, None], sigma=1.0)
    >>> sums.add(scan, 0 * ones, torch.zeros(1, 1, 8, 8))
    >>> sums.groups()[0]
    GroupResidual(name='all', chi_square=1.0, expectation=1.0, n=64)
    """

    def __init__(self) -> None:
        self._n = dict[str, int]()
        self._squares = dict[str, float]()
        self._dof = dict[str, float]()

    def add(
        self,
        measurement: Measurement,
        fitted: CoilKSpace,
        dof: Float[Tensor, "slices coils height width"],
    ) -> None:
        """Count the samples of some slices.

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
        for name, place in _groups(mask).items():
            chosen = mask & place
            self._n[name] = self._n.get(name, 0) + int(chosen.sum())
            self._squares[name] = self._squares.get(name, 0.0) + float(squared[chosen].sum())
            self._dof[name] = self._dof.get(name, 0.0) + float(dof[chosen].double().sum())

    def groups(self) -> tuple[GroupResidual, ...]:
        """Return the groups that have samples."""
        return tuple(
            GroupResidual(
                name=name,
                chi_square=self._squares[name] / n,
                expectation=1 - self._dof[name] / n,
                n=n,
            )
            for name, n in self._n.items()
            if n
        )


def _groups(mask: Tensor) -> dict[str, Tensor]:
    groups = {"all": torch.ones_like(mask[:1, :1])}
    coils = torch.arange(mask.shape[1], device=mask.device)
    for coil in range(mask.shape[1]):
        groups[f"coil_{coil}"] = (coils == coil)[None, :, None, None]
    for band, place in enumerate(_bands(mask)):
        groups[f"band_{band}"] = place[None, None]
    return groups


def _bands(mask: Tensor) -> Bool[Tensor, "bands height width"]:
    rows, columns = (
        (torch.arange(n, device=mask.device) - n // 2) / (n / 2) for n in mask.shape[-2:]
    )
    radius = torch.hypot(rows[:, None], columns[None, :])
    band = torch.bucketize(radius, torch.tensor(BANDS, device=mask.device), right=True)
    return torch.stack([band == number for number in range(len(BANDS) + 1)])

"""The forward model of Cartesian parallel imaging: y = M F S x + n."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.operators.base import LinearOperator
from medconsist.operators.fourier import Fourier
from medconsist.operators.sampling import Sampling
from medconsist.operators.weighting import SumAxis, WeightAndSum
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask

__all__ = ["Measurement", "of_slices", "sense_operator"]


def sense_operator(mask: SamplingMask, maps: CoilMaps) -> LinearOperator:
    """Return ``A = M F (sum over sets) S``: images of each map set to masked coil k-space.

    The domain is ``slices sets height width`` and the range ``slices coils height width``; with
    one map set this is SENSE, with several soft SENSE (Uecker et al. 2014,
    doi:10.1002/mrm.24751, section "ESPIRiT"). With maps of unit norm the largest eigenvalue of
    ``A^H A`` is at most 1.
    """
    coils = SumAxis(-4, size=maps.shape[1]) @ WeightAndSum(maps)
    return Sampling(mask[:, None]) @ Fourier(dims=(-2, -1)) @ coils


def of_slices(mask: SamplingMask, at: slice) -> SamplingMask:
    """Return the mask of some slices; one for all stays one for all."""
    return mask if len(mask) == 1 else mask[at]


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a reconstruction sees: samples, where they are, the coils, and the noise.

    Parameters
    ----------
    samples
        Coil k-space, zero outside the mask, divided by one positive scale per volume.
    mask
        True where a sample is to be used.
    maps
        Coil sensitivities with ``sum_c |S_c|^2 = 1`` inside the object, 0 outside.
    sigma
        Standard deviation of the noise of one complex sample, ``E|n|^2 = sigma^2``, in the units
        of ``samples``, the same for every coil (after prewhitening).

    Examples
    --------
    >>> import torch
    >>> ones = torch.ones(1, 1, 8, 8, dtype=torch.complex64)
    >>> Measurement(ones, torch.ones(1, 8, 8, dtype=torch.bool), ones[:, None], 1.0).n_samples
    64
    """

    samples: CoilKSpace
    mask: SamplingMask
    maps: CoilMaps
    sigma: float

    def __post_init__(self) -> None:
        slices, coils, height, width = self.samples.shape
        if self.maps.shape != (slices, self.maps.shape[1], coils, height, width):
            msg = (
                f"maps of shape {tuple(self.maps.shape)} do not fit samples of shape "
                f"{tuple(self.samples.shape)}; allowed: (slices, sets, coils, height, width) with "
                "the same slices, coils and plane. Pass maps of this acquisition."
            )
            raise ShapeError(msg)
        if self.mask.shape[0] not in (1, slices) or self.mask.shape[1:] != (height, width):
            msg = (
                f"mask of shape {tuple(self.mask.shape)} does not fit samples of shape "
                f"{tuple(self.samples.shape)}; allowed: ({slices} or 1, {height}, {width})."
            )
            raise ShapeError(msg)

    @property
    def operator(self) -> LinearOperator:
        """The forward operator ``A``; see `sense_operator`."""
        return sense_operator(self.mask, self.maps)

    @property
    def n_samples(self) -> int:
        """Number of complex samples, all coils and slices."""
        slices, coils = self.samples.shape[:2]
        per_slice = self.mask.sum() * (1 if self.mask.shape[0] == slices else slices)
        return int(per_slice) * coils

    def visible(self, keep: SamplingMask) -> "Measurement":
        """Return the measurement in which only samples of ``mask & keep`` were taken."""
        mask = self.mask & keep
        samples = torch.where(mask[:, None], self.samples, 0)
        return replace(self, mask=mask, samples=samples)

    def slabs(self, what: str) -> Iterator[tuple[slice, "Measurement"]]:
        """Return all slices and this measurement: a volume of one slab."""
        del what  # one slab has no progress to tell of
        yield slice(0, len(self.samples)), self

    def whole(self) -> "Measurement":
        """Return this measurement, which holds all slices."""
        return self

    @property
    def parts(self) -> tuple[slice, ...]:
        """The slices of each slab: all of them."""
        return (slice(0, len(self.samples)),)

    def with_samples(self, samples: Tensor) -> "Measurement":
        """Return the measurement with other values at the same positions."""
        return replace(self, samples=torch.where(self.mask[:, None], samples, 0))

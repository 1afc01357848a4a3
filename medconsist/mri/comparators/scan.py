"""A scan as an unrolled network meets it: samples, and the operators between its two worlds."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from medconsist.mri.data_gradient import DataGradient
from medconsist.mri.data_weights import sampling_weights
from medconsist.mri.forward import sense_operator
from medconsist.operators.base import LinearOperator
from medconsist.operators.data_consistency import soft_dc
from medconsist.operators.fourier import Fourier
from medconsist.operators.sampling import Sampling
from medconsist.operators.weighting import SumAxis, WeightAndSum
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask

__all__ = ["Scan", "to_kspace"]


def to_kspace(maps: CoilMaps) -> LinearOperator:
    """Return ``F (sum over sets) S``: all of coil k-space, not only what was sampled."""
    return Fourier() @ SumAxis(-4, size=maps.shape[1]) @ WeightAndSum(maps)


@dataclass(frozen=True, eq=False)
class Scan:
    """Samples with their operators; parts are computed when they are asked for.

    Parameters
    ----------
    samples, mask, maps
        As in `Measurement`.

    Examples
    --------
    >>> import torch
    >>> ones = torch.ones(1, 2, 8, 8, dtype=torch.complex64)
    >>> Scan(ones, ones[:, 0].real > 0, ones[:, None]).zerofilled.shape
    torch.Size([1, 1, 8, 8])
    """

    samples: CoilKSpace
    mask: SamplingMask
    maps: CoilMaps

    @cached_property
    def operator(self) -> LinearOperator:
        """``A``."""
        return sense_operator(self.mask, self.maps)

    @cached_property
    def coils(self) -> LinearOperator:
        """``F S``, the images of each set to coil k-space."""
        return to_kspace(self.maps)

    @cached_property
    def gradient(self) -> DataGradient:
        """``A^H (A x - y)``."""
        return DataGradient(self.samples, self.mask, self.maps)

    @cached_property
    def zerofilled(self) -> Tensor:
        """``A^H y``."""
        return self.operator.H(self.samples)

    @cached_property
    def density_weights(self) -> Tensor:
        """W of `sampling_weights`, ``slices 1 height width``."""
        return sampling_weights(self.mask)[:, None].to(self.samples.real.dtype)

    def towards_samples(self, kspace: CoilKSpace, weight: Tensor) -> Tensor:
        """Return ``k - w M (k - y)``: with w = 1 the samples where there are any."""
        return soft_dc(Sampling(self.mask[:, None]), kspace, self.samples, weight)

"""The gradient of the data term, which a recurrent inference machine is shown at each step."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.data_weights import WeightedGradient
from medconsist.mri.forward import sense_operator
from medconsist.mri.normal_operator import SenseNormal
from medconsist.operators.base import LinearOperator
from medconsist.shapes import Array, CoilKSpace, CoilMaps, SamplingMask

__all__ = ["DataGradient"]


class _Hermitian(torch.autograd.Function):
    """``A^H A x``, whose backward pass is itself: nothing multi-coil is saved."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, normal: LinearOperator) -> Tensor:  # noqa: ANN401 - torch's
        ctx.normal = normal
        return normal(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - torch's
        return ctx.normal(grads[0]), None


class DataGradient:
    """``A^H (A x - y)``, the gradient of ``1/2 ||A x - y||^2`` (spec of RIM: Lønning 2019, eq. 5).

    Computed as ``A^H A x - A^H y`` with the second term once. Differentiable in x alone: samples
    and maps are data; with maps that require a gradient it is refused.

    Parameters
    ----------
    samples, mask, maps
        As in `Measurement`.

    Raises
    ------
    RefusedInputError
        The maps require a gradient.

    Examples
    --------
    >>> import torch
    >>> ones = torch.ones(1, 1, 8, 8, dtype=torch.complex64)
    >>> DataGradient(ones, ones[0].real > 0, ones[:, None])(torch.zeros_like(ones)).abs().max()
    tensor(8.)
    """

    def __init__(self, samples: CoilKSpace, mask: SamplingMask, maps: CoilMaps) -> None:
        if maps.requires_grad:
            msg = "the maps require a gradient, which is not computed; pass maps.detach()."
            raise RefusedInputError(msg)
        self._normal = SenseNormal(mask, maps)
        self.zerofilled = sense_operator(mask, maps).H(samples)
        self._scan = (samples, mask, maps)

    @cached_property
    def weighted(self) -> WeightedGradient:
        """``A^H W (A x - y)`` of the same scan, every region of k-space counting alike."""
        return WeightedGradient(*self._scan)

    def __call__(self, x: Array) -> Tensor:
        """Return the gradient at x, ``slices sets height width``."""
        return _Hermitian.apply(x, self._normal) - self.zerofilled  # type: ignore[no-untyped-call]

"""The axis grammar, and the array types that are written in it.

Axes, always in this order and with these words::

    batch        independent examples            sets      map sets of one image (soft SENSE)
    slices       slices of one volume            coils     receive channels
    height width rows and columns of an image    samples   points of a noise scan

MRI arrays are ``slices coils height width``; images ``slices height width``; row index grows
downwards, column index to the right, and index ``n // 2`` is the centre of k-space. Complex data
stay complex (no trailing axis of two). The aliases are executed by beartype under pytest; they
name no precision, so that complex128 tests pass through the same code as complex64 data.
"""

from jaxtyping import Bool, Complex, Float, Shaped
from torch import Tensor

__all__ = [
    "Array",
    "CoilImages",
    "CoilKSpace",
    "CoilMaps",
    "ComplexImages",
    "NoiseSamples",
    "RealImages",
    "SamplingMask",
]

Array = Shaped[Tensor, "..."]
CoilKSpace = Complex[Tensor, "slices coils height width"]
CoilImages = Complex[Tensor, "slices coils height width"]
CoilMaps = Complex[Tensor, "slices sets coils height width"]
ComplexImages = Complex[Tensor, "slices height width"]
RealImages = Float[Tensor, "slices height width"]
NoiseSamples = Complex[Tensor, "coils samples"]
SamplingMask = Bool[Tensor, "#slices height width"]

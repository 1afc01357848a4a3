"""Complex images as real channels, and back."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

__all__ = ["ComplexChannels", "MadeChannels", "RealChannels", "as_channels", "as_complex"]

ComplexChannels = Complex[Tensor, "images channels height width"]
MadeChannels = Complex[Tensor, "images made height width"]
RealChannels = Float[Tensor, "images parts height width"]


def as_channels(x: ComplexChannels, dtype: torch.dtype) -> RealChannels:
    """Return all real parts, then all imaginary parts, in the precision of the weights.

    Examples
    --------
    >>> as_channels(torch.tensor([1 + 2j, 3 + 4j]).reshape(1, 2, 1, 1), torch.float32).flatten()
    tensor([1., 3., 2., 4.])
    """
    return torch.cat([x.real, x.imag], dim=1).to(dtype)


def as_complex(x: RealChannels, dtype: torch.dtype) -> ComplexChannels:
    """Return the complex channels of `as_channels`; ``dtype`` is that of their parts."""
    real, imaginary = x.to(dtype).chunk(2, dim=1)
    return torch.complex(real, imaginary)

"""Positions of tokens from convolutions over the square that they fill (PPEG)."""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional

__all__ = ["Ppeg"]

_SIDES = (7, 5, 3)


class Ppeg(nn.Module):
    r"""Pyramid position encoding: :math:`x + \sum_{k \in 7, 5, 3} \mathrm{dwconv}_k(x)`.

    The tokens are laid out row by row in a square of side ``ceil(sqrt(tokens))``, its last places
    filled with the first tokens once more; what was filled in is cut off again. The square knows
    nothing of coordinates: neighbours are those of the order given.

    The three convolutions run as one of side 7, whose kernel is their sum: the same numbers.

    Parameters
    ----------
    width
        Of a token.
    least_side
        Smaller squares get so many zeros at the END of the sequence that it fills this side, and
        are laid out anew: 7 in MHIM-MIL; 1 adds none.
    generator
        Source of the first weights (uniform, as torch's convolutions start).

    References
    ----------
    TransMIL, Shao et al. 2021, arXiv:2106.00908.

    Examples
    --------
    >>> Ppeg(8, generator=Generator())(torch.zeros(5, 8)).shape
    torch.Size([5, 8])
    """

    def __init__(self, width: int, *, least_side: int = 1, generator: Generator) -> None:
        super().__init__()
        self.least_side = least_side
        self.kernels = nn.ParameterList(nn.Parameter(torch.empty(width, 1, k, k)) for k in _SIDES)
        self.bias = nn.Parameter(torch.zeros(width))
        with torch.no_grad():
            for kernel in self.kernels:
                nn.init.kaiming_uniform_(kernel, a=5**0.5, generator=generator)

    def forward(self, tokens: Float[Tensor, "tokens width"]) -> Float[Tensor, "tokens width"]:
        """Return the tokens with their positions."""
        side = math.isqrt(len(tokens) - 1) + 1
        square = torch.cat([tokens, tokens[: side**2 - len(tokens)]])
        if side < self.least_side:
            square = functional.pad(square, (0, 0, 0, self.least_side**2 - side**2))
            side = self.least_side
        image = square.reshape(side, side, -1).permute(2, 0, 1)[None]
        kernel, reach = self._kernel(), _SIDES[0] // 2
        placed = functional.conv2d(image, kernel, self.bias, padding=reach, groups=len(kernel))
        return placed[0].flatten(1).T[: len(tokens)]

    def _kernel(self) -> Tensor:
        total = sum(
            functional.pad(kernel, [(_SIDES[0] - side) // 2] * 4)
            for kernel, side in zip(self.kernels, _SIDES, strict=True)
        )
        assert isinstance(total, Tensor)  # noqa: S101  three kernels
        itself = torch.zeros_like(total)
        itself[:, :, _SIDES[0] // 2, _SIDES[0] // 2] = 1
        return total + itself

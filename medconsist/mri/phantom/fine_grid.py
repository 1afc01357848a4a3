"""Two grids over one field of view: a fine one for the object, a coarse one for the image."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor

from medconsist.operators.fourier import Fourier

__all__ = ["FineGrid"]


@dataclass(frozen=True)
class FineGrid:
    """A grid ``oversampling`` times finer than the reconstruction, with the same origin.

    The origin lies at ``n // 2`` of both grids, in image space and in k-space.

    Parameters
    ----------
    coarse
        Height and width of the reconstruction.
    oversampling
        Fine points per coarse pixel in each direction, >= 1.

    Examples
    --------
    >>> grid = FineGrid((4, 5), 3)
    >>> grid.shape
    (12, 15)
    >>> grid.sample(torch.arange(15.0).expand(12, 15))[0]
    tensor([ 1.,  4.,  7., 10., 13.])
    """

    coarse: tuple[int, int]
    oversampling: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the fine grid."""
        return self.coarse[0] * self.oversampling, self.coarse[1] * self.oversampling

    def spectrum(
        self, images: Complex[Tensor, "*batch height width"]
    ) -> Complex[Tensor, "*batch rows columns"]:
        """Return the centre of the spectrum: k-space of the coarse grid.

        Scaled so that a constant image stays the same constant after the inverse transform.
        """
        rows, columns = (
            slice(fine // 2 - n // 2, fine // 2 - n // 2 + n)
            for fine, n in zip(self.shape, self.coarse, strict=True)
        )
        centre: Tensor = Fourier()(images)[..., rows, columns] / self.oversampling
        return centre

    def sample(
        self, values: Shaped[Tensor, "*batch height width"]
    ) -> Shaped[Tensor, "*batch rows columns"]:
        """Return smooth values at the centres of the coarse pixels."""
        row, column = self._first
        return values[..., row :: self.oversampling, column :: self.oversampling]

    def average(
        self, shares: Float[Tensor, "kinds slices height width"]
    ) -> Float[Tensor, "kinds slices rows columns"]:
        """Average over each coarse pixel, centred where the pixel is."""
        every, half = self.oversampling, self.oversampling // 2
        window = torch.ones(2 * half + 1, dtype=shares.dtype, device=shares.device)
        if every % 2 == 0:
            window[[0, -1]] = 0.5
        kernel = torch.outer(window, window)[None, None] / every**2
        planes = shares.flatten(0, 1)[:, None]
        padded = torch.nn.functional.pad(planes, (half,) * 4, mode="replicate")
        row, column = self._first
        averaged = torch.nn.functional.conv2d(padded[..., row:, column:], kernel, stride=every)
        return averaged.reshape(*shares.shape[:2], *averaged.shape[-2:])

    @property
    def _first(self) -> tuple[int, int]:
        """Fine indices of the centre of the first coarse pixel."""
        row, column = (
            fine // 2 - self.oversampling * (n // 2)
            for fine, n in zip(self.shape, self.coarse, strict=True)
        )
        return row, column

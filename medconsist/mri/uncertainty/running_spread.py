"""Mean and standard deviation of images that come one by one, in the memory of a few."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.shapes import ComplexImages, RealImages

__all__ = ["RunningSpread", "Spread"]


@dataclass(frozen=True, eq=False)
class Spread:
    """Standard deviations of a set of images at each pixel, divisor ``n - 1``.

    Parameters
    ----------
    magnitude
        Of ``|x|``: what a reader of the magnitude image asks for.
    complex
        ``(E |x - E x|^2)^(1/2)``: real and imaginary part together. Where the signal is far above
        the noise and both parts are alike, it is ``2^(1/2)`` times that of the magnitude.
    mean
        Of the complex images.
    n
        How many images, at least 2.

    Examples
    --------
    >>> spread = RunningSpread()
    >>> for value in (1.0, 3.0):
    ...     spread.add(torch.full((1, 2, 2), value) + 0j)
    >>> float(spread.result().magnitude[0, 0, 0])
    1.4142135381698608
    """

    magnitude: RealImages
    complex: RealImages
    mean: ComplexImages
    n: int

    @classmethod
    def of_slabs(cls, slabs: Sequence["Spread"]) -> "Spread":
        """Return the spread of a volume from those of its slabs, of as many images each."""
        magnitude, parts, mean = (
            torch.cat([getattr(slab, name) for slab in slabs])
            for name in ("magnitude", "complex", "mean")
        )
        return cls(magnitude, parts, mean, slabs[0].n)

    @property
    def relative_error(self) -> float:
        """Standard error of a standard deviation of normal values, as a share: .16 for 20 images.

        ``(2 (n - 1))^(-1/2)``; for the complex one of circular noise it is smaller by ``2^(1/2)``.
        """
        return 1 / math.sqrt(2 * (self.n - 1))


class RunningSpread:
    """Sums of squares about the mean, image by image, without cancellation.

    Welford 1962, doi:10.1080/00401706.1962.10490022: ``d = x - m; m += d / n;
    s += Re(conj(d) (x - m))``.

    Examples
    --------
    >>> spread = RunningSpread()
    >>> for value in (1j, -1j, 0j):
    ...     spread.add(torch.full((1, 2, 2), value))
    >>> float(spread.result().complex.max())
    1.0
    """

    def __init__(self) -> None:
        self._n = 0

    def add(self, image: ComplexImages) -> None:
        """Count one image.

        Raises
        ------
        ShapeError
            It has another shape than the ones before.
        RefusedInputError
            It is not finite.
        """
        if not bool(torch.isfinite(image).all()):
            msg = f"image {self._n + 1} is not finite, so there is no spread. Look at its method."
            raise RefusedInputError(msg)
        size = image.abs()
        if self._n == 0:
            self._mean, self._mean_size = torch.zeros_like(image), torch.zeros_like(size)
            self._sum, self._sum_size = torch.zeros_like(size), torch.zeros_like(size)
        if image.shape != self._mean.shape:
            msg = f"image of shape {tuple(image.shape)} after {tuple(self._mean.shape)}; take one."
            raise ShapeError(msg)
        self._n += 1
        off, off_size = image - self._mean, size - self._mean_size
        self._mean = self._mean + off / self._n
        self._mean_size = self._mean_size + off_size / self._n
        self._sum = self._sum + (off.conj() * (image - self._mean)).real
        self._sum_size = self._sum_size + off_size * (size - self._mean_size)

    def result(self) -> Spread:
        """Return the spread of the images so far.

        Raises
        ------
        RefusedInputError
            Fewer than two images.
        """
        if self._n < 2:
            msg = f"got {self._n} images; a spread needs at least 2. Add more."
            raise RefusedInputError(msg)
        rest = self._n - 1
        return Spread(
            magnitude=(self._sum_size.clamp_min(0) / rest).sqrt(),
            complex=(self._sum.clamp_min(0) / rest).sqrt(),
            mean=self._mean,
            n=self._n,
        )

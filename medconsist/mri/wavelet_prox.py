"""Soft thresholding of wavelet coefficients on a grid that moves from call to call."""

import torch
from torch import Tensor

from medconsist.operators.wavelet import Wavelet
from medconsist.shapes import Array

__all__ = ["ShiftedWaveletProx", "shift_of_iteration"]

SHORTEST_SPLIT = 16


class ShiftedWaveletProx:
    """The proximal map of ``t ||W T x||_1``, T a circular shift that changes with each call.

    A decimated transform sees an edge differently at odd and even positions; shifting the grid
    between iterations averages this out (cycle spinning: Coifman & Donoho 1995,
    doi:10.1007/978-1-4612-2544-7_9; with a shift per iteration Figueiredo & Nowak 2003,
    doi:10.1109/TIP.2003.814255). W is the orthonormal periodised db2 transform; bands of 16 or
    more are split again, as in BART. Images are padded with zeros at the end to a length that
    all levels divide, which leaves W orthonormal there; the map is then the padded one, cut.

    The object counts its calls: make one per reconstruction.

    Parameters
    ----------
    shape
        Height and width.

    Examples
    --------
    >>> import torch
    >>> shrink = ShiftedWaveletProx((32, 32))
    >>> shrink(torch.ones(1, 32, 32, dtype=torch.complex64), torch.tensor(0.0)).abs().mean()
    tensor(1.)
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        shortest = min(shape)
        self._levels = max(1, (shortest // SHORTEST_SPLIT).bit_length())
        multiple = 2**self._levels
        height, width = shape
        padded = tuple(-(-n // multiple) * multiple for n in shape)
        self._padding = (0, padded[1] - width, 0, padded[0] - height)
        self._wavelet = Wavelet(padded, name="db2", levels=self._levels)
        self._shape = shape
        self._calls = 0

    def __call__(self, x: Array, threshold: Array) -> Tensor:
        """Return ``x`` with coefficients ``c`` shrunk to ``c max(0, 1 - t / |c|)``.

        Parameters
        ----------
        x
            Images ``... height width``, complex.
        threshold
            Thresholds t, at least 0, broadcast against the images.
        """
        shift = shift_of_iteration(self._calls, levels=self._levels)
        self._calls += 1
        padded = torch.nn.functional.pad(x, self._padding)
        coefficients = self._wavelet(padded.roll(shift, dims=(-2, -1)))
        size = coefficients.abs()
        factor = (size - threshold).clamp_min(0) / size.clamp_min(torch.finfo(size.dtype).tiny)
        back = self._wavelet.H(coefficients * factor)
        back = back.roll((-shift[0], -shift[1]), dims=(-2, -1))
        return back[..., : self._shape[0], : self._shape[1]]


def shift_of_iteration(iteration: int, *, levels: int) -> tuple[int, int]:
    """Return the shift of rows and columns in [0, 2^levels), in Morton order.

    Even and odd bits of ``iteration`` become the row and the column: any 4 consecutive calls see
    all parities, any 16 all residues modulo 4, and so on, so that the result hardly depends on
    where the sequence starts, as it does with random shifts.
    """
    row = sum((iteration >> 2 * bit & 1) << bit for bit in range(levels))
    column = sum((iteration >> 2 * bit + 1 & 1) << bit for bit in range(levels))
    return row, column

"""The calibration region (ACS): the fully sampled rectangle around the centre of k-space."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.errors import CalibrationError
from medconsist.shapes import Array, SamplingMask

__all__ = ["CalibrationRegion", "find_acs", "sampled_centre"]


@dataclass(frozen=True)
class CalibrationRegion:
    """A rectangle ``[n//2 - s//2, n//2 - s//2 + s)`` along height and along width.

    Examples
    --------
    >>> import torch
    >>> mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    >>> mask[:, 12:20, 10:22] = True
    >>> find_acs(mask).shape
    (8, 12)
    """

    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def extract(self, samples: Array) -> Tensor:
        """Return the region of an array whose last two axes are height and width."""
        return samples[..., self.rows, self.columns]

    def limited(self, size: int) -> "CalibrationRegion":
        """Return the region with at most ``size`` rows and columns around the same centre."""
        return CalibrationRegion(_shrink(self.rows, size), _shrink(self.columns, size))


def find_acs(mask: SamplingMask, *, kernel: int = 6) -> CalibrationRegion:
    """Return the largest centred rectangle that every slice sampled fully.

    Largest by area; of equal areas the one nearest a square. For a one-dimensional mask it is
    the full readout by the block of central lines. It may be much larger than a calibration
    needs: `CalibrationRegion.limited` cuts it.

    Parameters
    ----------
    mask
        True where acquired, ``slices|1 height width``.
    kernel
        Least number of rows and columns, the size of the calibration kernel.

    Raises
    ------
    CalibrationError
        If the rectangle is smaller than the kernel.
    """
    height, width = mask.shape[1:]
    sizes = torch.arange(1, height + 1, device=mask.device)
    columns = _widest(mask)
    area = sizes * columns
    squareness = torch.minimum(sizes, columns)
    best = int((area * (height + width) + squareness).argmax())
    n_rows, n_columns = best + 1, int(columns[best])
    if min(n_rows, n_columns) < kernel:
        found = f"{n_rows} x {n_columns}" if n_columns else "nothing"
        msg = (
            f"no calibration region (ACS): around the centre of k-space {found} is fully sampled, "
            f"and at least {kernel} x {kernel} is needed to estimate coil maps. Pass maps with "
            "--maps FILE, or reconstruct without maps: --method zerofilled --combine rss."
        )
        raise CalibrationError(msg)
    return CalibrationRegion(_centred(height, n_rows), _centred(width, n_columns))


def sampled_centre(mask: SamplingMask, size: int) -> Bool[Tensor, "height width"]:
    """Return every centred rectangle of at most ``size`` rows and columns that is fully sampled.

    `find_acs` takes the largest one, which may be another when samples outside it are withheld or
    a slice is looked at alone; the union still holds the one that was taken, cut by
    `CalibrationRegion.limited`, where its samples are there.
    """
    height, width = mask.shape[1:]
    found = torch.zeros_like(mask[0])
    for n_rows, n_columns in enumerate(_widest(mask)[:size].tolist(), start=1):
        found[_centred(height, n_rows), _centred(width, min(n_columns, size))] = True
    return found


def _widest(mask: Tensor) -> Tensor:
    """Return for 1, 2, ... rows about the centre how many columns every slice sampled there."""
    plane = mask.all(0)
    sizes = torch.arange(1, len(plane) + 1, device=plane.device)
    starts = len(plane) // 2 - sizes // 2
    below = torch.nn.functional.pad(plane.long().cumsum(0), (0, 0, 1, 0))
    return _centred_run(below[starts + sizes] - below[starts] == sizes[:, None])


def _centred_run(full: Tensor) -> Tensor:
    """Return per row the size s of the longest run ``[c - s//2, c - s//2 + s)`` of True."""
    centre = full.shape[1] // 2
    left = full[:, :centre].flip(1).long().cumprod(1).sum(1)
    right = full[:, centre:].long().cumprod(1).sum(1)
    return torch.where(right > left, 2 * left + 1, 2 * right)


def _centred(n: int, size: int) -> slice:
    start = n // 2 - size // 2
    return slice(start, start + size)


def _shrink(region: slice, size: int) -> slice:
    length = region.stop - region.start
    kept = min(length, size)
    start = region.start + length // 2 - kept // 2
    return slice(start, start + kept)

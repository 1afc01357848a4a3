"""A measurement that is worked on in slabs: as many slices as the memory may hold beside it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from medconsist.errors import BudgetError
from medconsist.mri.forward import Measurement, of_slices
from medconsist.mri.volumes.progress import told
from medconsist.shapes import CoilKSpace, CoilMaps, SamplingMask

__all__ = ["SLAB_BYTES", "SLAB_BYTES_CUDA", "Measured", "Volume", "slabs_within"]

SLAB_BYTES = 512 * 2**20
SLAB_BYTES_CUDA = 4 * 2**30  # a GPU is slow on few slices
WHOLE_BYTES = 4 * 2**30

_COPIES, _COPIES_OF_MAPS = 8, 4  # of samples and of a map set, counted in compressed sensing


@dataclass(frozen=True, eq=False)
class Volume:
    """The samples of all slices, and the rest of a `Measurement` a slab at a time.

    What a method or the trust record needs of the whole volume (a scale, which samples are
    withheld, sums of squares) is found over all slabs, so that no image or score depends on how
    the slices are divided, but for rounding.

    Parameters
    ----------
    samples
        As of a `Measurement`; they may lie elsewhere than slabs are computed on.
    mask
        Of the samples that are to be used.
    sigma
        As of a `Measurement`.
    parts
        The slices of each slab, from first to last.
    maps_of
        Slices to their coil maps, on the device that slabs are computed on.

    Examples
    --------
    >>> ones = torch.ones(3, 1, 8, 8, dtype=torch.complex64)
    >>> parts = slabs_within(ones.shape, sets=1, slab_bytes=1)
    >>> volume = Volume(ones, ones[:, 0].real > 0, 1.0, parts, lambda at: ones[at, None])
    >>> [len(slab.samples) for _, slab in volume.slabs("example")]
    [1, 1, 1]
    """

    samples: CoilKSpace
    mask: SamplingMask
    sigma: float
    parts: tuple[slice, ...]
    maps_of: Callable[[slice], CoilMaps]

    def slabs(self, what: str) -> Iterator[tuple[slice, Measurement]]:
        """Return slices and measurement of each slab; now and then say which one it is."""
        for at in told(self.parts, what):
            yield at, self._slab(at)

    def visible(self, keep: SamplingMask) -> "Volume":
        """Return the volume in which only samples of ``mask & keep`` were taken."""
        return replace(self, mask=self.mask & keep)

    def whole(self) -> Measurement:
        """Return all slabs as one measurement.

        Raises
        ------
        BudgetError
            It takes more than 4 GiB.
        """
        sets = self._slab(self.parts[0]).maps.shape[1]
        needed = self.samples.numel() * self.samples.element_size() * (1 + sets)
        if needed > WHOLE_BYTES:
            msg = (
                f"a method that trains on the scan itself (--zero-shot, --adapt) holds samples and "
                f"coil maps of all slices at once, {needed / 2**30:.3g} GiB here; allowed: "
                f"{WHOLE_BYTES / 2**30:.3g} GiB. Take the network as it is, or fewer virtual coils "
                "(--coils)."
            )
            raise BudgetError(msg)
        slabs = [slab for _, slab in self.slabs("all slices")]
        samples, maps = (
            torch.cat([getattr(slab, name) for slab in slabs]) for name in ("samples", "maps")
        )
        return Measurement(samples, self.mask.to(samples.device), maps, self.sigma)

    def _slab(self, at: slice) -> Measurement:
        maps = self.maps_of(at)
        mask = of_slices(self.mask, at).to(maps.device)
        samples = torch.where(mask[:, None], self.samples[at].to(maps.device), 0)
        return Measurement(samples, mask, maps, self.sigma)


Measured = Measurement | Volume
"""All slices at once, or slab by slab."""


def slabs_within(shape: tuple[int, ...], *, sets: int, slab_bytes: int) -> tuple[slice, ...]:
    """Return as many slices a slab as its samples, maps and temporary arrays fit into; at least 1.

    Parameters
    ----------
    shape
        ``slices coils height width`` of the samples, complex64.
    sets
        Map sets.
    slab_bytes
        Aim, not a bound: evidence and networks need some memory for a single slice.
    """
    slices, coils, height, width = shape
    copies = _COPIES + _COPIES_OF_MAPS * sets
    plane = coils * height * width * torch.complex64.itemsize
    size = max(1, slab_bytes // (plane * copies))
    return tuple(slice(first, min(first + size, slices)) for first in range(0, slices, size))

"""One step of preparation applied to a volume: at once, or slab by slab into its own samples."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medconsist.shapes import Array, CoilKSpace

__all__ = ["Slabs", "apply"]


@dataclass(frozen=True)
class Slabs:
    """How a volume is divided, and where its slabs are computed.

    Parameters
    ----------
    parts
        Slices of each slab.
    device
        Where a slab is computed; the volume stays where it is.

    Examples
    --------
    >>> volume = torch.ones(2, 3, 4, 4, dtype=torch.complex64)
    >>> halves = Slabs((slice(0, 1), slice(1, 2)), torch.device("cpu"))
    >>> smaller = halves.overwrite(volume, lambda slab, at: 5 * slab[:, :2])
    >>> smaller.shape, float(volume[0, 0, 0, 0].real), float(volume[0, 2, 0, 0].real)
    (torch.Size([2, 2, 4, 4]), 5.0, 1.0)
    """

    parts: tuple[slice, ...]
    device: torch.device

    def overwrite(self, samples: CoilKSpace, change: Callable[[Tensor, slice], Tensor]) -> Array:
        """Return the changed samples, a part of the memory of those that are given.

        Parameters
        ----------
        samples
            The volume; its content is lost.
        change
            Samples and slices of a slab to what takes their place: as many slices, and at most as
            many coils, rows and columns.
        """
        shape = tuple(samples.shape)
        for at in self.parts:
            changed = change(samples[at].to(self.device), at)
            shape = (len(samples), *changed.shape[1:])
            samples[at, : shape[1], : shape[2], : shape[3]] = changed.to(samples.device)
        return samples[:, : shape[1], : shape[2], : shape[3]]


def apply(
    samples: CoilKSpace, change: Callable[[Tensor, slice], Tensor], slabs: Slabs | None
) -> Array:
    """Return the changed samples: a new array, or with slabs in the place of the old one."""
    if slabs is None:
        return change(samples, slice(0, len(samples)))
    return slabs.overwrite(samples, change)

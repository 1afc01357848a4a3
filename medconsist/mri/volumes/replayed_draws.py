"""Random numbers of a volume, drawn slab by slab as if they were drawn at once."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

__all__ = ["gaussian_noise", "quarter_turns"]

_BLOCK = 8  # complex numbers that torch transforms together (Box-Muller on 16 real ones)


class _Stream(ABC):
    """One array of a volume that comes a few slices at a time."""

    def __init__(self, shape: torch.Size, generator: Generator) -> None:
        self._plane, self._generator = shape[1:], generator
        self._left = shape.numel()

    @abstractmethod
    def take(self, slices: int) -> Tensor:
        """Return the next slices."""


class _Turns(_Stream):
    def take(self, slices: int) -> Tensor:
        shape, source = (slices, *self._plane), self._generator
        return torch.randint(4, shape, generator=source, device=source.device)


class _Gaussian(_Stream):
    """Draws whole blocks, except for the last, and keeps what is over for the next slab."""

    def __init__(self, shape: torch.Size, generator: Generator) -> None:
        super().__init__(shape, generator)
        self._over = torch.empty(0, dtype=torch.complex64, device=generator.device)

    def take(self, slices: int) -> Tensor:
        wanted = slices * self._plane.numel()
        missing = max(0, wanted - len(self._over))
        count = min(self._left, -(-missing // _BLOCK) * _BLOCK)
        if self._left - count < _BLOCK:  # a short rest alone would be drawn in another way
            count = self._left
        source = self._generator
        drawn = torch.randn(count, dtype=torch.complex64, generator=source, device=source.device)
        self._left -= count
        drawn = torch.cat([self._over, drawn]) if len(self._over) else drawn
        self._over = drawn[wanted:].clone()
        return drawn[:wanted].reshape(slices, *self._plane)


def quarter_turns(
    shape: torch.Size, parts: Sequence[slice], *, count: int, generator: Generator
) -> Iterator[Iterator[Tensor]]:
    """Return for each slab its part of ``count`` arrays of random integers 0, 1, 2, 3.

    The arrays are those that ``torch.randint(4, shape)`` gives one after another, and the generator
    is left where they leave it; on a CPU whatever the slabs are, on a GPU for one slab.

    Parameters
    ----------
    shape
        ``slices coils height width`` of the volume.
    parts
        Slices of each slab; their arrays must be taken slab by slab, and each slab's in order.
    count
        How many arrays.
    generator
        Source.
    """
    return _by_slab(_Turns, shape, parts, count, generator)


def gaussian_noise(
    shape: torch.Size, parts: Sequence[slice], *, count: int, generator: Generator
) -> Iterator[Iterator[Tensor]]:
    """Return for each slab its part of ``count`` arrays of complex noise, ``E|n|^2 = 1``.

    As `quarter_turns`, of the arrays of ``torch.randn(shape, dtype=torch.complex64)``.
    """
    return _by_slab(_Gaussian, shape, parts, count, generator)


def _by_slab(
    kind: type[_Stream],
    shape: torch.Size,
    parts: Sequence[slice],
    count: int,
    generator: Generator,
) -> Iterator[Iterator[Tensor]]:
    """Draw all arrays once for nothing, to know where each begins, and then again by slabs."""
    streams = []
    for _ in range(count):
        twin = Generator(generator.device)
        twin.set_state(generator.get_state())
        streams.append(kind(shape, twin))
        skipped = kind(shape, generator)
        for at in parts:
            skipped.take(at.stop - at.start)
    return (_next_of(streams, at.stop - at.start) for at in parts)


def _next_of(streams: Sequence[_Stream], slices: int) -> Iterator[Tensor]:
    return (stream.take(slices) for stream in streams)

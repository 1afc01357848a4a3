"""Random numbers by place: what is drawn depends on seed and step, on nothing that came before."""

import hashlib
from dataclasses import dataclass

import torch

__all__ = ["Place", "generator_for", "seed_for"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which batch of a run this is.

    Parameters
    ----------
    step
        Optimiser steps done so far.
    micro, micros
        Number of this micro-batch in its step, and how many make a step.
    rank, ranks
        Number of this process, and how many there are.

    Examples
    --------
    >>> Place(step=3, micro=1, micros=2, rank=0, ranks=2).number
    14
    """

    step: int
    micro: int = 0
    micros: int = 1
    rank: int = 0
    ranks: int = 1

    @property
    def number(self) -> int:
        """Its number among all batches of the run, over steps, micro-batches and processes."""
        return (self.step * self.micros + self.micro) * self.ranks + self.rank


def seed_for(seed: int, *place: int) -> int:
    """Return a seed for one place of a run: the first 32 bits of sha256 of ``seed/place/...``.

    32 bits are all that torch's generator on a CPU looks at.

    Parameters
    ----------
    seed
        Of the run.
    place
        Whole numbers that say where: step, micro-batch, rank, purpose.

    Examples
    --------
    >>> seed_for(0, 7) == seed_for(0, 7), seed_for(0, 7) == seed_for(7, 0)
    (True, False)
    """
    text = "/".join(str(number) for number in (seed, *place))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def generator_for(seed: int, *place: int) -> torch.Generator:
    """Return a fresh generator on the CPU for one place of a run.

    Parameters
    ----------
    seed, place
        As of :func:`seed_for`.

    Examples
    --------
    >>> first, again = generator_for(0, 7), generator_for(0, 7)
    >>> torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=again))
    True
    """
    return torch.Generator().manual_seed(seed_for(seed, *place))

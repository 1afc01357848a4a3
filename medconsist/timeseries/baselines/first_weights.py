"""First weights as torch's own layers draw them, but from a generator."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["first_weights"]


@contextmanager
def first_weights(generator: torch.Generator | None) -> Iterator[None]:
    """Seed what layers draw as they are built, and put torch's own generator back afterwards.

    Parameters
    ----------
    generator
        Gives the seed; None leaves torch's generator as it is. Other threads must not draw from
        torch's generator meanwhile.

    Examples
    --------
    >>> def weight():
    ...     with first_weights(torch.Generator().manual_seed(0)):
    ...         return torch.nn.Linear(2, 2).weight
    >>> torch.equal(weight(), weight())
    True
    """
    if generator is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        # not torch.manual_seed, which would seed every GPU and leave it so
        torch.default_generator.manual_seed(seed)
        yield

"""Which training instances a step sees: epochs in an order of their own, from the place alone."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.training.draws import Place, generator_for

__all__ = ["InstanceOrder"]

_WARM, _ALL = 1, 2  # places of the numbers that order the instances, beside that of the bags


@dataclass(frozen=True, eq=False)
class InstanceOrder:
    """Batches of instances, each instance at most once an epoch.

    In the warm-up the epochs are over instances of positive slides, afterwards over all; the last
    batch of an epoch is left out where it would be smaller. No slide weighs more than its tiles do.

    Parameters
    ----------
    of_positive
        Whether each training instance is of a positive slide; both kinds must occur.
    batch
        Instances a batch; fewer where there are fewer in all.
    warmup
        Steps of the warm-up.
    seed
        Of the orders.

    Raises
    ------
    RefusedInputError
        All slides are of one class.

    Examples
    --------
    >>> order = InstanceOrder(torch.arange(6) > 3, batch=2, warmup=1, seed=0)
    >>> sorted(order.at(Place(step=0)).tolist())
    [4, 5]
    """

    of_positive: Bool[Tensor, " instances"]
    batch: int
    warmup: int
    seed: int

    def __post_init__(self) -> None:
        n_positive = int(self.of_positive.sum())
        if not 0 < n_positive < len(self.of_positive):
            msg = (
                f"{n_positive} of {len(self.of_positive)} training instances are of positive "
                "slides; INS needs slides of both classes in training."
            )
            raise RefusedInputError(msg)

    def at(self, place: Place) -> Int64[Tensor, " batch"]:
        """Return the numbers of the instances of one batch of the run."""
        batches_a_step = place.micros * place.ranks
        if place.step < self.warmup:
            return self._batch(self.of_positive.nonzero()[:, 0], place.number, _WARM)
        number = place.number - self.warmup * batches_a_step
        return self._batch(torch.arange(len(self.of_positive)), number, _ALL)

    def _batch(self, pool: Tensor, number: int, purpose: int) -> Tensor:
        epoch, within = divmod(number, max(len(pool) // self.batch, 1))
        first = within * self.batch
        return pool[_permutation(len(pool), self.seed, purpose, epoch)[first : first + self.batch]]


# what an epoch's first batch draws, its other batches need again
@lru_cache(maxsize=4)
def _permutation(count: int, seed: int, purpose: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=generator_for(seed, purpose, epoch))

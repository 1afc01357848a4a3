"""Representations that learn nothing from signals: computed once, whatever the round."""

from abc import abstractmethod
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from medconsist.timeseries.method import Encode, Representation
from medconsist.timeseries.pretext import Pretext
from medconsist.timeseries.pretraining import encode_all
from medconsist.timeseries.window_set import WindowSet

__all__ = ["FixedRepresentation", "GivenFeatures", "RandomEncoder"]


class FixedRepresentation(Representation):
    """A representation that does not depend on the training patients.

    The evaluator computes it once for all rounds and all permutations.
    """

    @abstractmethod
    def features(self, windows: WindowSet) -> npt.NDArray[np.float64]:
        """Return the features, ``windows dim``; those of a window depend on it alone."""

    def learn(self, windows: WindowSet, *, generator: torch.Generator) -> Encode:  # noqa: ARG002
        """Return `features`."""
        return self.features


class GivenFeatures(FixedRepresentation):
    """The values of a window as they are: for embeddings of another program, see `features_file`.

    Parameters
    ----------
    name
        As a table prints it.

    Examples
    --------
    >>> GivenFeatures("my model").name
    'my model'
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def features(self, windows: WindowSet) -> npt.NDArray[np.float64]:
        """Return each window as one row."""
        return windows.features().astype(np.float64)


class RandomEncoder(FixedRepresentation):
    """An encoder as it is before any training: what its shape alone can do.

    Parameters
    ----------
    make
        Returns the encoder, its weights drawn from the given generator alone.
    seed
        Of the weights.
    name
        As a table prints it.

    Examples
    --------
    ::

        RandomEncoder(lambda generator: CometPretext(config, generator=generator))
    """

    def __init__(
        self,
        make: Callable[[torch.Generator], Pretext],
        *,
        seed: int = 0,
        name: str = "random encoder",
    ) -> None:
        self.name = name
        self._make = make
        self._seed = seed

    def features(self, windows: WindowSet) -> npt.NDArray[np.float64]:
        """Return what the untrained encoder gives."""
        network = self._make(torch.Generator().manual_seed(self._seed))
        return encode_all(network.eval(), windows)

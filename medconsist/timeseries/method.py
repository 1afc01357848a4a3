"""What the evaluator judges: a representation with a probe on it, or a supervised model."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from medconsist.timeseries.window_set import WindowSet

__all__ = ["Encode", "Features", "Logits", "Predict", "Probe", "Representation", "Supervised"]

Features = Float64[npt.NDArray[np.float64], "windows dim"]
Logits = Float64[Tensor, "windows classes"]
Encode = Callable[[WindowSet], npt.NDArray[np.float64]]
Predict = Callable[[WindowSet], Tensor]


class Representation(ABC):
    """Features of windows that need no label: hand-made, of an untrained or a pre-trained encoder.

    The evaluator hides the labels before it calls `learn`, and calls it with the training patients
    of a fold alone.

    Attributes
    ----------
    name
        Short, as a table prints it.
    """

    name: str

    @abstractmethod
    def learn(self, windows: WindowSet, *, generator: torch.Generator) -> Encode:
        """Return what turns windows into features (float64 ``windows dim``), after learning."""


class Probe(ABC):
    """A small classifier on features; scaling is part of it and fitted on training rows alone."""

    name: str

    @abstractmethod
    def fit(
        self, features: Features, label: Int64[npt.NDArray[np.int64], " windows"], classes: int
    ) -> Callable[[npt.NDArray[np.float64]], Tensor]:
        """Return what turns features into logits (float64 ``windows classes``).

        A class that no row has gets logits below those of all others.
        """


class Supervised(ABC):
    """A model that learns from labels end to end; validation patients choose its checkpoint."""

    name: str

    @abstractmethod
    def fit(
        self, train: WindowSet, validation: WindowSet | None, *, generator: torch.Generator
    ) -> Predict:
        """Return what turns windows into logits (float64 ``windows classes``)."""

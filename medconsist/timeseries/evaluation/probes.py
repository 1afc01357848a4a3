"""Small classifiers on features, each with its scaling inside, fitted on training rows alone."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int64
from torch import Tensor

from medconsist._extras import require
from medconsist.consistency.collapse import NBProbe
from medconsist.errors import RefusedInputError
from medconsist.timeseries.method import Features, Probe

__all__ = ["KnnProbe", "LogisticProbe", "NaiveBayesProbe", "standardised"]

_ABSENT = -1e3  # logit of a class that no row had: probability 0 in float64, and finite
_FLAT = 1e-12

Label = Int64[npt.NDArray[np.int64], " windows"]
Apply = Callable[[npt.NDArray[np.float64]], Tensor]


@dataclass(frozen=True)
class LogisticProbe(Probe):
    """Logistic regression (multinomial, L2) on standardised features, by scikit-learn.

    Parameters
    ----------
    strength
        Inverse of the penalty (scikit-learn's C); positive. The .01 of our band-power figures
        suits a few hundred features of a few hundred windows.
    steps
        Most iterations.
    name
        As a table prints it.

    Examples
    --------
    >>> features, label = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1])
    >>> LogisticProbe().fit(features, label, 2)(features).argmax(1).tolist()
    [0, 0, 1, 1]
    """

    strength: float = 0.01
    steps: int = 2000
    name: str = "logistic"

    def fit(self, features: Features, label: Label, classes: int) -> Apply:
        """Return what turns features into logits."""
        _refuse(features, label)
        linear = require("sklearn.linear_model", extra="timeseries")
        scale = standardised(features)
        model = linear.LogisticRegression(C=self.strength, max_iter=self.steps)
        with warnings.catch_warnings():
            # a patient is a class of few windows where a probe asks whose a window is
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            model.fit(scale(features), label)
        seen = model.classes_.tolist()

        def apply(rows: npt.NDArray[np.float64]) -> Tensor:
            margin = scale(rows) @ model.coef_.T + model.intercept_
            # of two classes scikit-learn keeps one margin, that of the second
            margin = np.hstack([-margin / 2, margin / 2]) if len(seen) == 2 else margin
            return _placed(margin, seen, classes)

        return apply


@dataclass(frozen=True)
class NaiveBayesProbe(Probe):
    """Naive Bayes with one shared diagonal variance, in closed form: see `NBProbe`.

    Parameters
    ----------
    name
        As a table prints it.

    Examples
    --------
    >>> features, label = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1])
    >>> NaiveBayesProbe().fit(features, label, 2)(features).argmax(1).tolist()
    [0, 0, 1, 1]
    """

    name: str = "naive Bayes"

    def fit(self, features: Features, label: Label, classes: int) -> Apply:
        """Return what turns features into logits."""
        _refuse(features, label)
        scale = standardised(features)
        model = NBProbe(features.shape[1], classes)
        model.partial_fit(torch.from_numpy(scale(features)), torch.from_numpy(label))

        def apply(rows: npt.NDArray[np.float64]) -> Tensor:
            logits = model.logits(torch.from_numpy(scale(rows))).log_softmax(1)
            absent = logits.isneginf()
            lowest = logits.masked_fill(absent, 0.0).amin(1, keepdim=True)
            return torch.where(absent, lowest + _ABSENT, logits)

        return apply


@dataclass(frozen=True)
class KnnProbe(Probe):
    """The share of classes among the nearest training rows, by cosine of standardised features.

    The rows of a patient who is judged are no training rows, so a patient is never their own
    neighbour: the rounds see to that. Logits are logarithms of (count + 1/2), so that no class of
    the training has probability 0.

    Parameters
    ----------
    neighbours
        How many; with fewer rows all of them.
    name
        As a table prints it.

    Examples
    --------
    >>> features, label = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    >>> KnnProbe(neighbours=1).fit(features, label, 2)(features).argmax(1).tolist()
    [0, 0, 1, 1]
    """

    neighbours: int = 15
    name: str = "kNN"

    def fit(self, features: Features, label: Label, classes: int) -> Apply:
        """Return what turns features into logits."""
        _refuse(features, label)
        scale = standardised(features)
        known = _unit(scale(features))
        truth = torch.nn.functional.one_hot(torch.from_numpy(label), classes).double()
        count = min(self.neighbours, len(known))
        absent = truth.sum(0) == 0

        def apply(rows: npt.NDArray[np.float64]) -> Tensor:
            near = (_unit(scale(rows)) @ known.T).topk(count, dim=1).indices
            logits = (truth[near].sum(1) + 0.5).log()
            return torch.where(absent, torch.tensor(_ABSENT, dtype=logits.dtype), logits)

        return apply


def standardised(
    features: Features,
) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Return what scales features to mean 0 and spread 1 of these rows; a flat feature becomes 0.

    What it returns refuses features of another length, and such as are not finite.
    """
    centre, spread = features.mean(0), features.std(0)
    flat = spread <= _FLAT * np.maximum(np.abs(centre), 1.0)
    inverse = np.where(flat, 0.0, 1 / np.where(flat, 1.0, spread))

    def scale(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if rows.ndim != 2 or rows.shape[1] != len(centre) or not np.isfinite(rows).all():
            msg = (
                f"features have shape {rows.shape}, {int((~np.isfinite(rows)).sum())} values not "
                f"finite; the probe was fitted on {len(centre)} finite numbers a window."
            )
            raise RefusedInputError(msg)
        scaled: npt.NDArray[np.float64] = (rows - centre) * inverse
        return scaled

    return scale


def _unit(rows: npt.NDArray[np.float64]) -> Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(rows), dim=1)


def _placed(margin: npt.NDArray[np.float64], seen: list[int], classes: int) -> Tensor:
    logits = torch.full((len(margin), classes), _ABSENT, dtype=torch.float64)
    logits[:, seen] = torch.from_numpy(np.ascontiguousarray(margin))
    return logits


def _refuse(features: Features, label: Label) -> None:
    bad = int((~np.isfinite(features)).any(1).sum())
    if bad or len(features) != len(label) or len(np.unique(label)) < 2 or label.min() < 0:
        msg = (
            f"{len(features)} rows of features ({bad} not finite) with {len(label)} labels of the "
            f"classes {np.unique(label).tolist()}; allowed: finite rows, one label each, of two "
            "classes or more."
        )
        raise RefusedInputError(msg)

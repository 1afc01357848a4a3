"""The classifier that looks at nothing: the share of each class among the training patients."""

from dataclasses import dataclass

import torch
from torch import Generator

from medconsist.timeseries.method import Predict, Supervised
from medconsist.timeseries.window_set import WindowSet

__all__ = ["Majority"]


@dataclass(frozen=True)
class Majority(Supervised):
    """Says the same of every window: the logarithm of (patients of the class + 1/2).

    Patients count, not windows. Its area is .5 by construction, and its accuracy is what any
    method has to beat.

    Parameters
    ----------
    name
        As a table prints it.

    Examples
    --------
    >>> Majority().name
    'majority class'
    """

    name: str = "majority class"

    def fit(
        self,
        train: WindowSet,
        validation: WindowSet | None,  # noqa: ARG002
        *,
        generator: Generator,  # noqa: ARG002
    ) -> Predict:
        """Return what gives every window the same logits."""
        labels = torch.from_numpy(train.table.patient_labels)
        counts = torch.bincount(labels[labels >= 0], minlength=len(train.table.classes))
        logits = (counts.double() + 0.5).log()
        return lambda windows: logits.expand(len(windows), -1).clone()

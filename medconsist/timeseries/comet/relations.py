"""Which windows of a batch belong together: by patient, by trial, by time."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from medconsist.consistency.contrast import positives_from_ids
from medconsist.timeseries.pretext import DrawnWindows

__all__ = ["Relations"]


@dataclass(frozen=True, eq=False)
class Relations:
    """How the windows of a batch are related, ``batch batch`` each; ids are compared as int64.

    Parameters
    ----------
    same_patient, same_trial
        True on the diagonal too.
    overlapping
        Of one trial, and with samples in common; True on the diagonal too.

    Examples
    --------
    >>> import torch
    >>> number, start = torch.tensor([7, 7, 9]), torch.tensor([0, 4, 0])
    >>> windows = DrawnWindows(torch.zeros(3, 8, 1), number, number, start, seed=0)
    >>> Relations.of(windows).overlapping.sum().item()
    5
    """

    same_patient: Bool[Tensor, "batch batch"]
    same_trial: Bool[Tensor, "batch batch"]
    overlapping: Bool[Tensor, "batch batch"]

    @staticmethod
    def of(batch: DrawnWindows) -> "Relations":
        """Return the relations within a batch, where its signals are."""
        device = batch.signals.device
        patient, trial, start = (x.to(device) for x in (batch.patient, batch.trial, batch.start))
        same_trial = positives_from_ids(trial, trial)
        near = (start[:, None] - start).abs() < batch.signals.shape[1]
        return Relations(positives_from_ids(patient, patient), same_trial, same_trial & near)

"""Each lead withheld and told by the others: what they leave over, an alarm for swapped leads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.weights import read_weights, save_weights

__all__ = ["WithheldLeads"]

_AT_ONCE = 512  # windows
_FOLLOWS = 1e-4  # of its power: a lead of which the earlier ones leave less follows from them


@dataclass(frozen=True, eq=False)
class WithheldLeads:
    r"""The linear rule of training windows by which each lead is told from the others.

    With :math:`P` the inverse covariance of the leads, each window centred, the conditional mean
    of one lead given the others leaves :math:`(P x)_l / P_{ll}` of it (Whittaker 1990, Graphical
    Models in Applied Multivariate Statistics, section 5.8). Labels are not read.

    Parameters
    ----------
    leads
        Places of the leads that are asked: those that do not follow from earlier ones, as III and
        the augmented leads do from I and II and as the last electrode does in an average
        reference. Devices compute such leads, so that they agree whatever is wrong.
    precision
        Inverse covariance of these, of any scale.

    Examples
    --------
    ::

        total, worst = WithheldLeads.of(train).shares(new, each=len(new))
    """

    leads: Int64[Tensor, " leads"]
    precision: Float64[Tensor, "leads leads"]

    @staticmethod
    def of(train: WindowSet) -> "WithheldLeads":
        """Return the rule of training windows."""
        count = len(train.channels)
        power = np.zeros((count, count))
        for first in range(0, len(train), _AT_ONCE):
            rows = np.arange(first, min(first + _AT_ONCE, len(train)))
            samples = _centred(train, rows).reshape(-1, count)
            power += samples.T @ samples
        leads = _independent(power)
        precision = np.linalg.inv(power[np.ix_(leads, leads)] / (len(train) * train.samples))
        return WithheldLeads(torch.tensor(leads, dtype=torch.int64), torch.from_numpy(precision))

    def shares(
        self, windows: WindowSet, *, each: int
    ) -> tuple[
        Float64[npt.NDArray[np.float64], " records"], Float64[npt.NDArray[np.float64], " records"]
    ]:
        """Return what the others leave over of all leads and of the worst one, as shares of power.

        0 is told exactly; above 1 the rule is worse than no rule. NaN with fewer than two leads to
        ask, and where a lead is flat.

        Parameters
        ----------
        windows
            Of the channels of training, in their order.
        each
            Windows of a record, which come one after the other.
        """
        leads, precision = self.leads.numpy(), self.precision.numpy()
        if len(leads) < 2:
            nothing = np.full(len(windows) // each, np.nan)
            return nothing, nothing
        left, power = np.zeros((2, len(windows), len(leads)))
        for first in range(0, len(windows), _AT_ONCE):
            rows = np.arange(first, min(first + _AT_ONCE, len(windows)))
            signals = _centred(windows, rows)[:, :, leads]
            left[rows] = np.square(signals @ precision / np.diag(precision)).sum(1)
            power[rows] = np.square(signals).sum(1)
        left, power = (one.reshape(-1, each, len(leads)).sum(1) for one in (left, power))
        power[power.min(1) <= 0] = np.nan
        return left.sum(1) / power.sum(1), (left / power).max(1)

    def save(self, path: Path) -> str:
        """Write it atomically and return the sha256 of its bytes."""
        state = {"leads": self.leads, "precision": self.precision}
        return save_weights(path, state, architecture={"network": "withheld-leads"}, about={})

    @staticmethod
    def read(path: Path) -> tuple["WithheldLeads", str]:
        """Return the rule of a file, and the sha256 of its bytes.

        Raises
        ------
        RefusedInputError
            Another file.
        """
        stored = read_weights(path)
        if stored.architecture.get("network") != "withheld-leads":
            msg = f"{path} holds no rule of withheld leads; copy the model folder again."
            raise RefusedInputError(msg)
        return WithheldLeads(**stored.state), stored.sha256


def _centred(
    windows: WindowSet, rows: Int64[npt.NDArray[np.int64], " rows"]
) -> Float64[npt.NDArray[np.float64], "windows time leads"]:
    signals: npt.NDArray[np.float64] = windows.batch(rows).double().numpy()
    return signals - signals.mean(1, keepdims=True)


def _independent(power: Float64[npt.NDArray[np.float64], "leads leads"]) -> list[int]:
    """Return the leads, in their order, that the kept ones before them do not tell."""
    kept = list[int]()
    for lead in range(len(power)):
        across = power[kept, lead]
        told = across @ np.linalg.solve(power[np.ix_(kept, kept)], across) if kept else 0.0
        if power[lead, lead] - told > _FOLLOWS * power[lead, lead]:
            kept.append(lead)
    return kept

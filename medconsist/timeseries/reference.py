"""Trials of training that a new one is compared with: neighbours, and how far it is from all."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Float16, Int64
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries.pooling import Evidence
from medconsist.training.weights import read_weights, save_weights

__all__ = ["NEAREST", "Neighbour", "Reference", "trial_means"]

NEAREST = 5  # trials that a distance is the mean of
_FLAT = 1e-6


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """A training trial near to a new one.

    Parameters
    ----------
    row
        Its place in the reference.
    patient, trial
        Whose, and the number of the trial in its prepared set.
    label
        Name of the class of its patient.
    distance
        Root mean square difference of standardised features: two training trials that have
        nothing in common are 1.4 apart.

    Examples
    --------
    >>> Neighbour(row=0, patient="a", trial=3, label="case", distance=0.1).trial
    3
    """

    row: int
    patient: str
    trial: int
    label: str
    distance: float


@dataclass(frozen=True, eq=False)
class Reference:
    """Features of the training trials, each the mean of its windows.

    Parameters
    ----------
    features
        Standardised by mean and spread of the training trials, in float16.
    patient
        Number of the patient of each, into ``patients``.
    trial
        Number of each trial in its prepared set.
    label
        Class of each.
    centre, inverse
        That standardise a new feature.
    patients, classes
        Names.

    Examples
    --------
    ::

        reference.percentile(features, patient="p7"), reference.nearest(features, patient="p7")
    """

    features: Float16[Tensor, "trials dim"]
    patient: Int64[Tensor, " trials"]
    trial: Int64[Tensor, " trials"]
    label: Int64[Tensor, " trials"]
    centre: Float[Tensor, " dim"]
    inverse: Float[Tensor, " dim"]
    patients: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of trials."""
        return len(self.trial)

    @staticmethod
    def of(evidence: Evidence) -> "Reference":
        """Return the trials of training windows.

        Raises
        ------
        RefusedInputError
            Trials of one patient alone: nobody is another patient.
        """
        table = evidence.table
        features, trial, first = trial_means(evidence)
        patient = torch.from_numpy(table.patient)[first]
        if len(torch.unique(patient)) < 2:
            msg = "all training windows are of one patient; a reference needs two or more."
            raise RefusedInputError(msg)
        spread, centre = features.std(0, correction=0), features.mean(0)
        known = spread > _FLAT * features.abs().amax(0).clamp(min=1.0)
        inverse = torch.where(known, 1 / spread.clamp(min=1e-30), 0.0)
        return Reference(
            ((features - centre) * inverse).half(),
            patient,
            trial,
            torch.from_numpy(table.label)[first],
            centre,
            inverse,
            table.patients,
            table.classes,
        )

    def distances(
        self, features: Float[Tensor, "new dim"], *, patient: str | None
    ) -> Float[Tensor, "new trials"]:
        """Return the distance to each training trial; infinite to those of the same patient.

        Root mean square of the differences of standardised features, not the cosine, which sees no
        amplitude: on simulated ECG with three times the gain, noise or drift its median percentile
        was 30 to 93, with this distance 100 (``tests/timeseries/test_reference.py``).
        """
        new = (features.float() - self.centre) * self.inverse
        far = _far(new, self.features.float())
        if patient in self.patients:
            own = self.patient == self.patients.index(patient)
            far = far.masked_fill(own, torch.inf)
        return far

    def nearest(
        self, features: Float[Tensor, "new dim"], *, patient: str | None, count: int = NEAREST
    ) -> list[list[Neighbour]]:
        """Return the nearest training trials of other patients for each new trial, nearest first.

        Parameters
        ----------
        features
            Mean features of trials.
        patient
            Whose they are; trials of this patient can never be among the neighbours.
        count
            At most so many.
        """
        far = self.distances(features, patient=patient)
        found = far.topk(min(count, len(self)), dim=1, largest=False)
        return [
            [self._neighbour(row, distance) for row, distance in zip(rows, near, strict=True)]
            for rows, near in (
                (r[d.isfinite()].tolist(), d[d.isfinite()].tolist())
                for r, d in zip(found.indices, found.values, strict=True)
            )
        ]

    def percentile(
        self, features: Float[Tensor, "new dim"], *, patient: str | None
    ) -> Float[Tensor, " new"]:
        """Return how far each trial is from training, in percent of the training trials.

        100 is farther from the nearest trials of other patients than every training trial is from
        those of other patients than its own; each training patient counts the same. Nothing is
        promised of it: trials of a patient are alike, and an encoder that was trained on them
        knows them better than any new one.
        """
        far = _nearest_mean(self.distances(features, patient=patient))
        counts = torch.bincount(self.patient, minlength=len(self.patients))
        share = 1 / counts[self.patient].double()
        below = (self._own[None] < far[:, None]).double() @ share
        return 100 * below / share.sum()

    def save(self, path: Path) -> str:
        """Write it atomically and return the sha256 of its bytes."""
        state = {
            "features": self.features,
            "patient": self.patient,
            "trial": self.trial,
            "label": self.label,
            "centre": self.centre,
            "inverse": self.inverse,
        }
        names = {"patients": list(self.patients), "classes": list(self.classes)}
        return save_weights(path, state, architecture={"network": "reference", **names}, about={})

    @staticmethod
    def read(path: Path) -> tuple["Reference", str]:
        """Return the reference of a file, and the sha256 of its bytes.

        Raises
        ------
        RefusedInputError
            Another file.
        """
        stored = read_weights(path)
        names = stored.architecture
        if names.get("network") != "reference":
            msg = f"{path} holds no reference of training trials; copy the model folder again."
            raise RefusedInputError(msg)
        patients, classes = tuple(names["patients"]), tuple(names["classes"])
        return Reference(**stored.state, patients=patients, classes=classes), stored.sha256

    @cached_property
    def _own(self) -> Float[Tensor, " trials"]:
        """Distance of each training trial to the nearest ones of other patients."""
        rows = self.features.float()
        far = _far(rows, rows)
        return _nearest_mean(far.masked_fill(self.patient[:, None] == self.patient, torch.inf))

    def _neighbour(self, row: int, distance: float) -> Neighbour:
        label = int(self.label[row])
        return Neighbour(
            row=row,
            patient=self.patients[int(self.patient[row])],
            trial=int(self.trial[row]),
            label=self.classes[label] if label >= 0 else "not known",
            distance=distance,
        )


def trial_means(
    evidence: Evidence,
) -> tuple[Float[Tensor, "trials dim"], Int64[Tensor, " trials"], Int64[Tensor, " trials"]]:
    """Return the mean feature of each trial, its number, and the first window of each."""
    trial = torch.from_numpy(evidence.table.trial)
    numbers, place, counts = torch.unique(trial, return_inverse=True, return_counts=True)
    sums = torch.zeros(len(numbers), evidence.features.shape[1], dtype=torch.float64)
    sums.index_add_(0, place, evidence.features.double())
    first = torch.full((len(numbers),), len(trial)).scatter_reduce(
        0, place, torch.arange(len(trial)), "amin"
    )
    return (sums / counts[:, None]).float(), numbers, first


def _nearest_mean(far: Float[Tensor, "new trials"]) -> Float[Tensor, " new"]:
    """Return the mean distance of the nearest trials that may count; infinite without any."""
    near = far.topk(min(NEAREST, far.shape[1]), dim=1, largest=False).values
    known = near.isfinite()
    total = near.masked_fill(~known, 0.0).sum(1)
    return torch.where(known.any(1), total / known.sum(1).clamp(min=1), torch.inf)


def _far(
    new: Float[Tensor, "new dim"], known: Float[Tensor, "trials dim"]
) -> Float[Tensor, "new trials"]:
    # the matrix product of cdist's default loses small distances to rounding
    exact = torch.cdist(new, known, compute_mode="donot_use_mm_for_euclid_dist")
    return exact / known.shape[1] ** 0.5

"""Temperature, threshold and sets of classes of a model, from patients it was not trained on."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from medconsist.metrics.calibration import Temperature, brier_score, fit_temperature
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.conformal_sets import ConformalSets, calibrate_sets
from medconsist.metrics.operating_point import OperatingPoint, youden

__all__ = ["FEWEST_CALIBRATED", "Calibrated", "calibrated"]

FEWEST_CALIBRATED = 20  # patients; with fewer the card says that calibration means little


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """What was chosen on patients.

    Parameters
    ----------
    temperature, point
        From validation; no point where one class alone occurs there, or of more than two.
    sets
        From calibration patients, or from validation where there are none.
    scores
        Of validation patients: they flatter.

    Examples
    --------
    >>> import torch
    >>> logits, labels = torch.tensor([[0.0, 2.0], [1.0, 0.0]]).double(), torch.tensor([1, 0])
    >>> found = calibrated({"validation": logits}, {"validation": labels}, alpha=0.1)
    >>> found.notes[0]
    'Calibrated on 2 patients, fewer than 20: probability, threshold and sets may be far off.'
    """

    temperature: Temperature
    point: OperatingPoint | None
    sets: ConformalSets
    scores: dict[str, float]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of it, one sentence each."""
        count, notes = sum(self.sets.n), []
        if count < FEWEST_CALIBRATED:
            notes.append(
                f"Calibrated on {count} patients, fewer than {FEWEST_CALIBRATED}: probability, "
                "threshold and sets may be far off."
            )
        if None in self.sets.limits:
            notes.append(
                f"{count} calibration patients are too few to rule out a class with "
                f"{100 * self.sets.alpha:g} % of patients allowed to be wrong: no patient can be "
                "assessed."
            )
        if self.sets.calibrated_on == "validation":
            notes.append(
                "Validation patients chose weights, temperature and threshold and calibrated the "
                "sets of classes: all of these flatter."
            )
        if self.temperature.note:
            notes.append(f"Temperature: {self.temperature.note}.")
        return tuple(notes)


def calibrated(
    logits: Mapping[str, Float[Tensor, "patients classes"]],
    labels: Mapping[str, Int64[Tensor, " patients"]],
    *,
    alpha: float,
) -> Calibrated:
    """Return what is chosen on patients.

    Parameters
    ----------
    logits, labels
        Of the patients of ``"validation"`` and, where there are such, ``"calibration"``.
    alpha
        Of the sets: share of patients whose true class may be missing.

    Raises
    ------
    RefusedInputError
        An alpha or labels out of range.
    """
    truth = labels["validation"]
    temperature = fit_temperature(logits["validation"], truth, fitted_on="validation")
    judged = "calibration" if "calibration" in logits else "validation"
    sets = calibrate_sets(
        temperature.apply(logits[judged]).softmax(1),
        labels[judged],
        alpha=alpha,
        calibrated_on=judged,
        unit="patient",
    )
    said = temperature.apply(logits["validation"]).softmax(1)
    positive = truth == 1
    both = said.shape[1] == 2 and bool(positive.any()) and not bool(positive.all())
    point = youden(said[:, 1], positive, chosen_on="validation", unit="patient") if both else None
    scores = {
        "accuracy": float((said.argmax(1) == truth).double().mean()),
        "brier": brier_score(said, truth),
    }
    if both:
        scores["auc"] = area_under_roc(said[:, 1], positive)
    return Calibrated(temperature=temperature, point=point, sets=sets, scores=scores)

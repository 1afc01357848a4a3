"""What a model says of one patient, and the reasons for which it should not be believed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Generator, Tensor

from medconsist.metrics.report import Estimate
from medconsist.timeseries.attribution import Attribution, OnePatient, attribute
from medconsist.timeseries.case_windows import CaseWindows
from medconsist.timeseries.reference import Neighbour, trial_means
from medconsist.timeseries.signal_model import SignalModel

__all__ = ["SignalAnswer", "answer_for"]

POOR = 0.5  # share of leads and stretches that are unusable, above which nothing is assessed


@dataclass(frozen=True, kw_only=True, eq=False)
class SignalAnswer:
    """What is said of one patient.

    Parameters
    ----------
    probabilities
        After the temperature.
    windows
        Of each window by itself, after the temperature; uncalibrated, as that was fitted on
        patients.
    interval
        See `OnePatient.interval`.
    attribution
        See its class.
    percentile
        Of each trial, see `Reference.percentile`.
    neighbours
        Of each trial, nearest first; never of the same patient.
    classes
        Those that cannot be ruled out.
    reasons
        Why the patient cannot be assessed, one sentence each; none if they can.
    scores
        Name to value, for the trust record.

    Examples
    --------
    ::

        answer_for(model, case, generator=torch.Generator()).reasons
    """

    probabilities: tuple[float, ...]
    windows: Float64[Tensor, "windows classes"]
    interval: Estimate
    attribution: Attribution
    percentile: Float[Tensor, " trials"]
    neighbours: list[list[Neighbour]]
    classes: tuple[int, ...]
    reasons: tuple[str, ...]
    scores: dict[str, float]

    @property
    def can_assess(self) -> bool:
        """Whether nothing speaks against believing it."""
        return not self.reasons

    def closest(self, count: int) -> list[Neighbour]:
        """Return the nearest trials over all trials of the patient, each once, nearest first."""
        best: dict[int, Neighbour] = {}
        for one in (near for trial in self.neighbours for near in trial):
            if one.row not in best or one.distance < best[one.row].distance:
                best[one.row] = one
        return sorted(best.values(), key=lambda one: one.distance)[:count]


def answer_for(model: SignalModel, case: CaseWindows, *, generator: Generator) -> SignalAnswer:
    """Return what is said of one patient.

    Parameters
    ----------
    model
        Of `load_signal_model`.
    case
        Windows that were prepared as the model's were.
    generator
        Of halves, resamples and random orders, on the CPU.
    """
    model.card.preparation.require(case.windows)
    evidence = model.network.evidence(case.windows)
    with torch.no_grad():
        scores = model.network.pool(evidence.features).double()
    patient = OnePatient(
        evidence.logits,
        scores,
        torch.from_numpy(case.windows.table.trial),
        temperature=model.card.temperature.value,
    )
    said = patient.probabilities()
    name = case.windows.table.patients[0]
    features, _, _ = trial_means(evidence)
    percentile = model.reference.percentile(features, patient=name)
    attribution = attribute(patient, model.positive, generator=generator)
    known = [share for share in case.unusable if np.isfinite(share)]
    withheld, worst = model.leads.shares(case.windows, each=len(case.windows))
    measured = {
        "half_gap": patient.halves(model.positive, generator=generator),
        "distance_percentile": float(percentile.median()),
        "unusable": sum(known) / len(known) if known else None,
        "attribution_agreement": attribution.agreement,
        "withheld_leads": float(withheld[0]) if np.isfinite(withheld[0]) else None,
        "withheld_lead_worst": float(worst[0]) if np.isfinite(worst[0]) else None,
    }
    classes = tuple(torch.nonzero(model.card.sets.predict(said[None])[0])[:, 0].tolist())
    return SignalAnswer(
        probabilities=tuple(said.tolist()),
        windows=(patient.logits / patient.temperature).softmax(1),
        interval=patient.interval(model.positive, generator=generator),
        attribution=attribution,
        percentile=percentile,
        neighbours=model.reference.nearest(features, patient=name),
        classes=classes,
        reasons=tuple(_reasons(model, classes, measured)),
        scores={name: value for name, value in measured.items() if value is not None},
    )


def _reasons(
    model: SignalModel, classes: Sequence[int], measured: dict[str, float | None]
) -> list[str]:
    card, sets = model.card, model.card.sets
    wrong, n = f"{100 * sets.alpha:g} % of patients", sum(sets.n)
    reasons = []
    if None in sets.limits:
        reasons.append(
            f"The model was calibrated on {n} patients; more are needed to rule out a class with "
            f"{wrong} allowed to be wrong."
        )
    elif len(classes) > 1:
        named = " and ".join(card.classes[number] for number in classes)
        reasons.append(
            f"With {wrong} allowed to be wrong, {named} remain possible (calibrated on {n} "
            "patients)."
        )
    elif not classes:
        reasons.append(
            f"No class fits: the model is less sure of each than it was of the right one in nearly "
            f"all of {n} calibration patients."
        )
    unusable, far = measured["unusable"], measured["distance_percentile"]
    if unusable is not None and unusable > POOR:
        reasons.append(
            f"Signal quality is poor: {100 * unusable:.0f} % of leads and stretches are unusable."
        )
    if far is not None and far > card.distance_limit:
        reasons.append(
            f"Unlike anything in training: the median trial is farther from its nearest training "
            f"trials than {far:.0f} % of training trials are from those of other patients."
        )
    return reasons

"""Many patients one after the other: who cannot be predicted is named, and the rest goes on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medconsist import RESEARCH_USE_ONLY
from medconsist.errors import MedconsistError
from medconsist.results.alarm import alarms_beside
from medconsist.results.cases import Outcome
from medconsist.results.store import ResultStore
from medconsist.timeseries.predict import SignalJob, predict_patient
from medconsist.timeseries.prediction_record import write_segments
from medconsist.timeseries.readers.choice import open_recording
from medconsist.timeseries.signal_model import SignalModel

__all__ = ["PredictedSignals", "RefusedPatient", "jobs_by_patient", "predict_patients"]

_PARTIAL = 3
_DOUBT = "Cannot assess"


def jobs_by_patient(paths: Sequence[Path], template: SignalJob) -> list[SignalJob]:
    """Return one job for each patient that the files name, in the order of the ids.

    Parameters
    ----------
    paths
        Files of any patients.
    template
        What all jobs share; its own paths, patient and case are not used.

    Raises
    ------
    MedconsistError
        A file cannot be opened; nothing is predicted before all can be told apart.
    """
    grouped = defaultdict[str, list[Path]](list)
    for path in paths:
        info = open_recording(path, options=template.options).info
        grouped[info.patient or path.stem].append(path)
    return [
        replace(template, paths=tuple(grouped[patient]), patient=patient, case=None)
        for patient in sorted(grouped)
    ]


@dataclass(frozen=True)
class RefusedPatient:
    """A patient who could not be predicted.

    Parameters
    ----------
    case
        Its id, or the name of the first file where the files could not be read.
    reason
        Class of the error.
    sentence
        What was found, and what to do.

    Examples
    --------
    >>> RefusedPatient("p1", "refused", "No lead II.").case
    'p1'
    """

    case: str
    reason: str
    sentence: str


@dataclass(frozen=True)
class PredictedSignals:
    """What became of the patients, in their order, and the alarms of their study's history.

    Examples
    --------
    >>> PredictedSignals((), ()).exit_code
    0
    """

    outcomes: tuple[Outcome, ...]
    refused: tuple[RefusedPatient, ...]
    alarms: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if all are done, else 3."""
        return _PARTIAL if self.refused else 0

    @property
    def text(self) -> str:
        """A few lines a patient."""
        lines = [RESEARCH_USE_ONLY]
        for one in self.outcomes:
            result = one.stored.result
            said = ", ".join(
                f"{m.name} {m.value:.3f}" for m in result.metrics if m.unit_of_analysis == "patient"
            )
            lines.append(f"{result.case}: {said}{'' if one.fresh else ' (done before)'}")
            lines += [f"  {note}" for note in result.notes if note.startswith(_DOUBT)]
            lines.append(f"  {one.stored.folder.path}")
        lines += [f"{one.case}: {one.reason}: {one.sentence}" for one in self.refused]
        lines += [f"History: {sentence}" for sentence in self.alarms]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "predicted": [
                {
                    "case": one.stored.result.case,
                    "key": one.stored.result.key,
                    "folder": str(one.stored.folder.path),
                    "fresh": one.fresh,
                    "metrics": {m.name: m.value for m in one.stored.result.metrics},
                    "notes": list(one.stored.result.notes),
                }
                for one in self.outcomes
            ],
            "refused": [vars(one) for one in self.refused],
            "alarms": list(self.alarms),
        }


def predict_patients(
    jobs: Sequence[SignalJob], model: SignalModel, *, table: Path | None = None
) -> PredictedSignals:
    """Predict patients one after the other; one that is refused keeps none of the others.

    Parameters
    ----------
    jobs
        Of `jobs_by_patient`, or made by hand; all of one study.
    model
        Whose card the jobs hold.
    table
        Folder for one CSV of windows a case; None writes none.

    Raises
    ------
    StorageError
        A table could not be written.
    """
    outcomes, refused = list[Outcome](), list[RefusedPatient]()
    for job in jobs:
        try:
            outcome = predict_patient(job, model)
        except MedconsistError as error:
            named = job.case or job.patient or job.paths[0].name
            refused.append(RefusedPatient(named, error.reason, str(error)))
            continue
        outcomes.append(outcome)
        if table is not None:
            write_segments(outcome.stored, table)
    alarms = tuple[str, ...]()
    if outcomes:
        history = ResultStore(jobs[0].out, jobs[0].study).history
        alarms = alarms_beside(history.read().lines, outcomes[-1].stored.result)
    return PredictedSignals(tuple(outcomes), tuple(refused), alarms)

"""The job of ``ts predict``: the recordings of one patient in, one result out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from medconsist._digests import canonical_json, sha256_of_bytes, sha256_of_path
from medconsist._records import make_record
from medconsist.errors import RefusedInputError
from medconsist.results.cases import Outcome, owner_of_case, publish
from medconsist.results.digests import result_key
from medconsist.results.schema import ModelRecord, ResultFields, Times
from medconsist.results.steps import timed
from medconsist.results.store import ResultStore
from medconsist.results.trust import TrustRecord, judge_against_history
from medconsist.timeseries.case_windows import case_windows, open_recordings
from medconsist.timeseries.labelled import LabelledRecording, digest_of
from medconsist.timeseries.prediction_record import (
    add_arrays,
    metrics_of,
    notes_of,
    scores_of,
)
from medconsist.timeseries.readers.options import DEFAULT_OPTIONS, ReadOptions
from medconsist.timeseries.recording import Recording
from medconsist.timeseries.signal_answer import answer_for
from medconsist.timeseries.signal_card import CARD_NAME, SignalCard
from medconsist.timeseries.signal_model import SignalModel
from medconsist.training.draws import generator_for

__all__ = ["KIND", "RESULT_VERSION", "SignalJob", "predict_patient"]

KIND = "timeseries.prediction"
_WITH_PATIENT = frozenset({".edf", ".bdf", ".dcm"})
RESULT_VERSION = 2  # raise it when the arrays or scores of the same recordings and model change


@dataclass(frozen=True, kw_only=True)
class SignalJob:
    """The recordings of one patient to predict.

    Parameters
    ----------
    out, study
        Where the result goes.
    paths
        Files of the recordings, all of one patient.
    card
        Of the model.
    patient
        Opaque id; None takes that of the files.
    case
        None takes the patient.
    options
        What the files do not say.
    seed
        Of halves, resamples and random orders.

    Examples
    --------
    ::

        predict_patient(SignalJob(out=Path("out"), paths=(Path("a.edf"),), card=model.card), model)
    """

    out: Path
    paths: tuple[Path, ...]
    card: SignalCard
    study: str = "signals"
    patient: str | None = None
    case: str | None = None
    options: ReadOptions = DEFAULT_OPTIONS
    seed: int = 0

    @cached_property
    def recordings(self) -> list[Recording]:
        """The files, opened."""
        return open_recordings(self.paths, patient=self.patient, options=self.options)

    @property
    def owner(self) -> str:
        """The patient."""
        return str(self.recordings[0].info.patient)

    @property
    def name(self) -> str:
        """The case."""
        return self.case or self.owner

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Role to sha256 of what was recorded: samples, rate, leads, units and patient.

        Of the content and not of a file, as a WFDB record is several files.
        """
        return {
            f"recording_{number}": digest_of(
                LabelledRecording(
                    patient=self.owner, trial=str(number), label=None, recording=recording
                ),
                recording,
            )
            for number, recording in enumerate(self.recordings)
        }

    @cached_property
    def file_digests(self) -> dict[str, tuple[Path, str]]:
        """Role to path and sha256 of each file that may say whose recording it is.

        The viewer asks such a file again, and believes it only as it was. Other recordings are
        named by what was recorded alone: a WFDB record is several files.
        """
        return {
            f"recording_{number}": (path, sha256_of_path(path.resolve()))
            for number, path in enumerate(self.paths)
            if path.suffix.lower() in _WITH_PATIENT and path.is_file()
        }

    @property
    def model(self) -> ModelRecord:
        """The weights."""
        return ModelRecord(
            name=self.card.encoder,
            sha256=self.card.weights_sha256,
            card=CARD_NAME,
            trained_on=self.card.study,
        )

    @property
    def config(self) -> dict[str, Any]:
        """What decides the result apart from recordings and weights."""
        card = self.card
        return {
            "task": KIND,
            "classes": list(card.classes),
            "leads": list(card.preparation.leads),
            "window_s": card.preparation.seconds,
            "seed": self.seed,
            # calibration and preparation lie in the card and not in the weights
            "card_sha256": sha256_of_bytes(card.model_dump_json().encode()),
        }

    @property
    def key(self) -> str:
        """The key of the result."""
        return result_key(
            inputs=self.inputs,
            config=self.config,
            model_sha256=self.card.weights_sha256,
            result_version=RESULT_VERSION,
        )


def predict_patient(job: SignalJob, model: SignalModel) -> Outcome:
    """Predict one patient into a result folder, or find it done.

    Raises
    ------
    RefusedInputError
        The recordings are none that the model can be asked about; one sentence says why. Or the
        case belongs to another patient.
    CorruptResultError
        A result of this key is there and does not verify.
    StorageError
        The result could not be written; nothing half-written is left.
    """
    if model.card != job.card:
        msg = "the job names another model than the one that is asked; make the job with its card."
        raise RefusedInputError(msg)
    store = ResultStore(job.out, job.study)
    owner_of_case(store, job.name, patient=job.owner)
    files = job.file_digests  # before hours may pass
    fresh = not store.is_done(job.name, job.key)
    if fresh:
        _predict(job, model, store)
    stored = store.read(job.name, job.key)
    for role, (path, digest) in files.items():
        store.inputs.add(stored.result.inputs[role], path, file_sha256=digest)
    publish(store, stored.result, group=_group(job.card))
    return Outcome(stored, fresh=fresh)


def _predict(job: SignalJob, model: SignalModel, store: ResultStore) -> None:
    started, steps = datetime.now(UTC), dict[str, float]()
    with timed(steps, "prepare"):
        case = case_windows(job.recordings, model.card.preparation)
    with timed(steps, "predict"):
        answer = answer_for(model, case, generator=generator_for(job.seed))
    scores = judge_against_history(
        scores_of(answer), store.history.read().lines, case=job.name, group=_group(job.card)
    )
    fields = make_record(
        ResultFields,
        kind=KIND,
        patient=job.owner,
        inputs=job.inputs,
        config=job.config,
        model=job.model,
        result_version=RESULT_VERSION,
        seed=job.seed,
        device=str(model.network.device),
        times=Times(started=started, finished=datetime.now(UTC), steps_s=steps),
        metrics=metrics_of(model, answer),
        trust=TrustRecord(scores=scores, settings={"halves": 16}),
        notes=notes_of(model, case, answer),
    )
    with store.draft(job.name, job.key) as draft:
        add_arrays(draft, model, case, answer)
        draft.finish(fields)


def _group(card: SignalCard) -> str:
    """Return the group of cases that compare: the same model."""
    return sha256_of_bytes(canonical_json({"kind": KIND, "weights": card.weights_sha256}))

"""Patients as cases of a batch: what each worker process predicts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.batch.work import Case, Finished, Work, Worker
from medconsist.errors import RefusedInputError
from medconsist.results.store import ResultStore
from medconsist.timeseries.predict import SignalJob, predict_patient
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.signal_card import SignalCard
from medconsist.timeseries.signal_model import SignalModel, load_signal_model

__all__ = ["SignalPredictWork", "signal_cases"]


@dataclass(frozen=True, kw_only=True)
class SignalPredictWork(Work):
    """Predicts a patient by `predict_patient`.

    Parameters
    ----------
    model
        Folder of a finished model.
    card
        Of its weights, so that a finished result is found without loading them.
    out, study, seed
        Of `SignalJob`.

    Examples
    --------
    ::

        work = SignalPredictWork.of(jobs[0], model=Path("models/comet"))
        run_batch(work, signal_cases(jobs), engine=LocalEngine(workers=2), folder=folder)
    """

    model: Path
    card: SignalCard
    out: Path
    study: str
    seed: int = 0

    @classmethod
    def of(cls, job: SignalJob, *, model: Path) -> "SignalPredictWork":
        """Return the work that jobs like this one share."""
        return cls(
            model=model.absolute(),
            card=job.card,
            out=job.out.absolute(),
            study=job.study,
            seed=job.seed,
        )

    def find(self, case: Case) -> str | None:
        """Return the key of a result that verifies; recordings are read, weights are not."""
        job = self.job(case)
        return job.key if ResultStore(self.out, self.study).is_done(job.name, job.key) else None

    def open(self, device: str) -> Worker:
        """Return a worker with the model on its device."""
        model = load_signal_model(self.model, device=device)
        if model.card != self.card:
            msg = (
                f"{self.model} is not the model that the batch began with; put that back, or run "
                "the same command again to begin with the new one."
            )
            raise RefusedInputError(msg)
        return _PredictWorker(self, model)

    def job(self, case: Case) -> SignalJob:
        """Return the job of a case."""
        return SignalJob(
            out=self.out,
            study=self.study,
            paths=tuple(map(Path, case.spec["paths"])),
            card=self.card,
            patient=case.spec["patient"],
            case=case.spec["case"],
            options=_options(case.spec["options"]),
            seed=self.seed,
        )


def signal_cases(jobs: Sequence[SignalJob]) -> list[Case]:
    """Return one case for each job; the recordings are opened to know whose they are.

    Raises
    ------
    RefusedInputError
        Recordings that cannot be opened, or are of several patients.
    """
    return [
        Case(
            id=job.name,
            spec={
                "case": job.name,
                "item": None,
                "patient": job.owner,
                "paths": [str(path.absolute()) for path in job.paths],
                "options": asdict(job.options),
                "config_sha256": sha256_of_bytes(canonical_json(job.config)),
            },
            size=sum(4 * r.info.samples * len(r.info.channels) for r in job.recordings),
            input=str(job.paths[0].absolute()),
        )
        for job in jobs
    ]


class _PredictWorker(Worker):
    def __init__(self, work: SignalPredictWork, model: SignalModel) -> None:
        self._work = work
        self._model = model

    def run(self, case: Case) -> Finished:
        outcome = predict_patient(self._work.job(case), self._model)
        windows = outcome.stored.record("attention").shape[0]
        return Finished(outcome.stored.result.key, items=windows, fresh=outcome.fresh)


def _options(spec: dict[str, object]) -> ReadOptions:
    channels = spec["channels"]
    named = tuple(map(str, channels)) if isinstance(channels, list | tuple) else None
    return ReadOptions(**{**spec, "channels": named})  # type: ignore[arg-type]  # what asdict gave

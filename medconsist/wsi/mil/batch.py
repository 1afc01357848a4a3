"""Cases as cases of a batch: what each worker process predicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.batch.work import Case, Finished, Work, Worker
from medconsist.errors import RefusedInputError
from medconsist.results.store import ResultStore
from medconsist.wsi.bags.bag_store import BagEntry
from medconsist.wsi.mil.card import MilCard
from medconsist.wsi.mil.predict import CaseJob, predict_case
from medconsist.wsi.mil.predictor import Predictor
from medconsist.wsi.mil.training_run import load_predictor

__all__ = ["PredictWork", "prediction_cases"]


@dataclass(frozen=True, kw_only=True)
class PredictWork(Work):
    """Predicts a case of one or more slides by `predict_case`; its key is that of the last slide.

    Parameters
    ----------
    model
        Folder of a finished training.
    card
        Of its weights, so that a finished result is found without loading them.
    out, study, slides, seed
        Of `CaseJob`.

    Examples
    --------
    ::

        work = PredictWork.of(jobs[0], model=Path("runs/mhim"))
        run_batch(work, prediction_cases(jobs), engine=LocalEngine(workers=2), folder=folder)
    """

    model: Path
    card: MilCard
    out: Path
    study: str
    slides: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0

    @classmethod
    def of(cls, job: CaseJob, *, model: Path) -> "PredictWork":
        """Return the work that jobs like this one share."""
        return cls(
            model=model.absolute(),
            card=job.predictor.card,
            out=job.out.absolute(),
            study=job.study,
            slides=job.slides,
            seed=job.seed,
        )

    def find(self, case: Case) -> str | None:
        """Return the key of the last slide if the results of all slides verify."""
        store = ResultStore(self.out, self.study)
        job = self.job(case, Predictor(nn.Identity(), self.card))
        keys = [job.key(one.slide or "") for one in job.entries]
        if not all(store.is_done(job.case, key) for key in keys):
            return None
        predict_case(job)  # shows what was killed between its end and being shown
        return keys[-1]

    def open(self, device: str) -> Worker:
        """Return a worker with the model on its device."""
        predictor = load_predictor(self.model, device=device)
        if predictor.card != self.card:
            msg = (
                f"{self.model} is not the model that the batch began with; put that back, or run "
                "the same command again to begin with the new one."
            )
            raise RefusedInputError(msg)
        return _PredictWorker(self, predictor)

    def job(self, case: Case, predictor: Predictor) -> CaseJob:
        """Return the job of a case."""
        store = ResultStore(self.out, self.study)
        return CaseJob(
            out=self.out,
            study=self.study,
            entries=[BagEntry(store.read(case.id, key)) for key in case.spec["bags"]],
            predictor=predictor,
            slides=self.slides,
            seed=self.seed,
        )


def prediction_cases(jobs: Sequence[CaseJob]) -> list[Case]:
    """Return one case for each job of `medconsist.wsi.mil.predict_study.study_jobs`."""
    return [
        Case(
            id=job.case,
            spec={
                "case": job.case,
                "item": job.entries[-1].slide,
                "config_sha256": sha256_of_bytes(
                    canonical_json(job.config(job.entries[-1].slide or ""))
                ),
                "bags": [one.key for one in job.entries],
            },
            size=sum(2 * one.shape[0] * one.shape[1] for one in job.entries),
        )
        for job in jobs
    ]


class _PredictWorker(Worker):
    def __init__(self, work: PredictWork, predictor: Predictor) -> None:
        self._work = work
        self._predictor = predictor

    def run(self, case: Case) -> Finished:
        job = self._work.job(case, self._predictor)
        outcomes = predict_case(job)
        return Finished(
            outcomes[-1].stored.result.key,
            items=sum(one.shape[0] for one in job.entries),
            fresh=any(one.fresh for one in outcomes),
        )

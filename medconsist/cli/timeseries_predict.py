"""``medconsist ts predict``: patients by their recordings, into result folders."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from medconsist.cli.batch_options import Batching
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.timeseries.predict import SignalJob
    from medconsist.timeseries.signal_card import SignalCard

__all__ = ["Predict"]


@dataclass(frozen=True, kw_only=True)
class Predict(Batching):
    """Predict patients by their recordings, with doubts in words.

    All files of one patient are one case. A patient who cannot be assessed is named with the
    reason; one whose recordings do not fit the model is left out, and the others go on (exit code
    3). Many patients are a batch: --engine.
    """

    inputs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RECORDING")]
    """Recordings: WFDB header, EDF, BDF, CSV, MAT, NPY, DICOM, HDF5, Zarr."""
    model: Path
    """Folder of medconsist ts probe or finetune."""
    out: Path
    """Folder of results; made if it is not there."""
    study: str = "signals"
    """Study that the cases belong to."""
    patient: str | None = None
    """Patient id of all recordings; by default what each file says, else its name."""
    source_rate: float | None = None
    """Samples a second of files that do not say them."""
    source_unit: str | None = None
    """Unit of channels to which the files give none."""
    table: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Also write one CSV of windows a case there."""

    def run(self) -> int:
        """Predict, and print one line a patient."""
        self.set_up()
        from medconsist.timeseries.predict_many import predict_patients
        from medconsist.timeseries.signal_model import load_signal_model

        here = self.device if self.engine is None else "cpu"
        model = load_signal_model(self.model, device=here)
        jobs = self._jobs(model.card)
        if self.engine is not None:
            return self._run_batch(jobs, self.engine)
        done = predict_patients(jobs, model, table=self.table)
        said = json.dumps(done.as_json()) if self.json else done.text
        sys.stdout.write(said + "\n")
        return done.exit_code

    def _jobs(self, card: "SignalCard") -> "list[SignalJob]":
        from medconsist.timeseries.predict import SignalJob
        from medconsist.timeseries.predict_many import jobs_by_patient
        from medconsist.timeseries.readers.options import ReadOptions

        options = ReadOptions(rate=self.source_rate, unit=self.source_unit)
        template = SignalJob(
            out=self.out,
            paths=self.inputs,
            card=card,
            study=self.study,
            patient=self.patient,
            options=options,
            seed=self.seed,
        )
        return [template] if self.patient else jobs_by_patient(self.inputs, template)

    def _run_batch(self, jobs: "list[SignalJob]", engine: str) -> int:
        from medconsist.timeseries.batch import SignalPredictWork, signal_cases

        if self.table is not None:
            msg = "--table goes without --engine: run again without it, nothing is computed twice."
            raise RefusedInputError(msg)
        work, cases = SignalPredictWork.of(jobs[0], model=self.model), signal_cases(jobs)
        return self.run_cases(work, cases, out=self.out, study=self.study, engine=engine)

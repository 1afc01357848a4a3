"""Scans as cases of a batch: what each worker process reconstructs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medconsist.batch.work import Case, Finished, Work, Worker, file_case
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.manifests.case_manifest import is_manifest, read_case_manifest
from medconsist.manifests.problem import rows_said
from medconsist.mri.file_of_frames import FileOfFrames
from medconsist.mri.task import Job, publish_result, reconstruct_file
from medconsist.results.store import ResultStore

__all__ = ["ReconstructWork", "scan_cases"]

Frames = Callable[[Job], Sequence[Job]]
"""Gives the jobs that the file of one becomes."""

# A BART array is a pair of files.
_ONE_FILE = frozenset({".npy", ".h5", ".dat", ".mrd", ".mat"})


@dataclass(frozen=True, kw_only=True)
class ReconstructWork(Work):
    """Reconstructs the k-space file of a case by `reconstruct_file`.

    Parameters
    ----------
    job
        All that the cases share; its input, ids and device are replaced.

    Examples
    --------
    >>> from medconsist.mri.methods import Zerofilled
    >>> from medconsist.mri.settings import Reconstruction
    >>> job = Job(input=Path("m.csv"), out=Path("results"),
    ...           reconstruction=Reconstruction(method=Zerofilled()))
    >>> ReconstructWork(job=job).job.study
    'mri'
    """

    job: Job

    def find(self, case: Case) -> str | None:
        """Return the key of a result that verifies; the file is hashed if its case has any."""
        job = self.of(case, device=self.job.device)
        store = ResultStore(job.out, job.study)
        if not store.keys(job.case_id):
            return None
        key = job.key(job.input_digests())
        if not store.is_done(job.case_id, key):
            return None
        if store.current(job.case_id) != key:  # killed between its end and being shown
            publish_result(store, store.read(job.case_id, key).result)
        return key

    def open(self, device: str) -> Worker:
        """Return a worker that computes on this device."""
        return _ReconstructWorker(self, device)

    def of(self, case: Case, *, device: str) -> Job:
        """Return the job of a case."""
        return replace(self.job, input=case.source, device=device, **case.spec["given"])


def scan_cases(job: Job, inputs: Sequence[Path], *, frames: Frames | None = None) -> list[Case]:
    """Return one case for each file, or for each row of a manifest.

    Parameters
    ----------
    job
        All that they share, its case and patient included.
    inputs
        K-space files, or one manifest (.csv, .parquet).
    frames
        Gives the jobs that one file becomes, e.g. `frame_jobs`; by default that one.

    Raises
    ------
    RefusedInputError
        A manifest comes with other inputs, a case or a patient, or has faults; a name is no id.
    MissingInputError
        Nothing was named, or the manifest is not there.
    """
    if not inputs:
        msg = "no k-space file was named; give one or more, or a manifest."
        raise MissingInputError(msg)
    if any(map(is_manifest, inputs)):
        jobs = _of_manifest(job, inputs)
    else:
        one_case = job.case is not None and len(inputs) > 1
        items = [path.stem if one_case else job.item for path in inputs]
        jobs = [replace(job, input=p, item=i) for p, i in zip(inputs, items, strict=True)]
    return [_case(one) for whole in jobs for one in (frames(whole) if frames else (whole,))]


def _of_manifest(job: Job, inputs: Sequence[Path]) -> list[Job]:
    if len(inputs) > 1:
        msg = f"{len(inputs)} inputs were named, and one is a manifest; give it alone."
        raise RefusedInputError(msg)
    given = [name for name in ("case", "patient") if getattr(job, name) is not None]
    if given:
        flags = ", ".join(f"--{name}" for name in given)
        msg = f"{flags} and a manifest were given; write it into the columns of {inputs[0]}."
        raise RefusedInputError(msg)
    rows = read_case_manifest(inputs[0]).rows
    scaled = [row.row for row in rows if row.mpp is not None]
    if scaled:
        msg = f"{rows_said(scaled)}, column mpp: scans have none; leave the cells empty."
        raise RefusedInputError(msg)
    return [
        replace(job, input=row.path, case=row.case, patient=row.patient, item=row.item)
        for row in rows
    ]


def _case(job: Job) -> Case:
    given: dict[str, Any] = {"case": job.case, "patient": job.patient, "item": job.item}
    if job.frame is not None:
        given |= {"frame": job.frame, "maps_frame": job.maps_frame}
    return file_case(
        job.input,
        case=job.case_id,
        item=job.item_id,
        config=job.as_config(),
        spec={"given": given},
        one_file=job.input.suffix.lower() in _ONE_FILE,
    )


class _ReconstructWorker(Worker):
    def __init__(self, work: ReconstructWork, device: str) -> None:
        self._work = work
        self._device = device
        self._file = FileOfFrames()

    def run(self, case: Case) -> Finished:
        outcome = reconstruct_file(self._work.of(case, device=self._device), file=self._file)
        result = outcome.stored.result
        slices = outcome.stored.record("reconstruction").shape[0]
        return Finished(result.key, items=slices, fresh=outcome.fresh)

"""Scans as cases of a batch: a result that was not shown yet."""

from functools import partial
from pathlib import Path

from medconsist.batch.inline import InlineEngine
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from medconsist.mri.all_frames import frame_jobs
from medconsist.mri.batch import ReconstructWork, scan_cases
from medconsist.mri.methods import Zerofilled
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job
from medconsist.results.store import ResultStore
from tests.cli.small_scan import small_kspace, write_small_scan
from tests.mri.layout_writers import write_skm_tea


def test_a_result_whose_worker_was_killed_before_it_was_shown_is_shown_by_the_rerun(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    scan = write_small_scan(tmp_path / "head.npy")
    reconstruction = Reconstruction(method=Zerofilled(), combine="rss")
    job = Job(input=scan, out=out, reconstruction=reconstruction)
    work, cases = ReconstructWork(job=job), scan_cases(job, [scan])
    batch = partial(run_batch, work, cases, engine=InlineEngine(), folder=batch_folder(out, "mri"))
    (made,) = batch().results
    store = ResultStore(out, "mri")
    (store.case_path("head") / "current").unlink()
    store.history.path.unlink()

    (found,) = batch().results

    assert (made.fresh, found.fresh) == (True, False)
    assert store.current("head") == made.key == found.key
    assert [line.key for line in store.history.read().lines] == [made.key]


def test_frames_of_a_file_are_cases_and_a_rerun_finds_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    scan = write_skm_tea(tmp_path / "knee", small_kspace(), echoes=3)
    reconstruction = Reconstruction(method=Zerofilled(), combine="rss")
    job = Job(input=scan, out=out, reconstruction=reconstruction)
    cases = scan_cases(job, [scan], frames=frame_jobs)
    work, folder = ReconstructWork(job=job), batch_folder(out, "mri")

    made = run_batch(work, cases, engine=InlineEngine(), folder=folder).results
    found = run_batch(work, cases, engine=InlineEngine(), folder=folder).results

    store = ResultStore(out, "mri")
    items = {store.read("knee", one.key).result.item for one in made}
    assert items == {"frame-0", "frame-1", "frame-2"}
    assert [one.fresh for one in found] == [False] * 3
    assert {one.key for one in found} == {one.key for one in made}

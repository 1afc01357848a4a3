"""Slides as cases of a batch: a result that was not shown yet."""

from functools import partial
from pathlib import Path

from medconsist.batch.inline import InlineEngine
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from medconsist.results.store import ResultStore
from medconsist.wsi.batch import EmbedWork, slide_cases
from medconsist.wsi.encoders.colour_texture import ColourTexture
from medconsist.wsi.jobs import slide_jobs
from medconsist.wsi.settings import Embedding
from tests.wsi.small_slide import write_small_slide


def test_a_result_whose_worker_was_killed_before_it_was_shown_is_shown_by_the_rerun(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    slide = write_small_slide(tmp_path / "a.svs")
    jobs = slide_jobs([slide], out=out, encoder=ColourTexture(), settings=Embedding())
    work, cases = EmbedWork.of(jobs[0], make=ColourTexture), slide_cases(jobs)
    batch = partial(run_batch, work, cases, engine=InlineEngine(), folder=batch_folder(out, "wsi"))
    (made,) = batch().results
    store = ResultStore(out, "wsi")
    (store.case_path("a") / "current").unlink()
    store.history.path.unlink()

    (found,) = batch().results

    assert (made.fresh, found.fresh) == (True, False)
    assert store.current("a") == made.key == found.key
    assert [line.key for line in store.history.read().lines] == [made.key]

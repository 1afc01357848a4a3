"""Several slides in a row: each gets its result or its reason, in order."""

from pathlib import Path
from typing import Any

import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.store import ResultStore
from medconsist.wsi.jobs import Done, Refused, embed_all, slide_jobs
from medconsist.wsi.settings import Embedding
from tests.cli.small_scan import fingerprint
from tests.wsi.small_slide import QuarterMeans, write_small_slide


def jobs(paths: list[Path], out: Path, **more: Any) -> Any:
    common = {"out": out, "encoder": QuarterMeans(), "settings": Embedding()} | more
    return slide_jobs(paths, **common)


@pytest.fixture
def mixed(tmp_path: Path) -> list[Path]:
    """A good slide, four that cannot be used for different reasons, and another good one."""
    cut = write_small_slide(tmp_path / "cut.svs")
    cut.write_bytes(cut.read_bytes()[:5000])
    (tmp_path / "text.svs").write_text("no slide at all")
    return [
        write_small_slide(tmp_path / "a.svs"),
        cut,
        tmp_path / "text.svs",
        write_small_slide(tmp_path / "silent.tiff", mpp=None),
        write_small_slide(tmp_path / "glass.svs", tissue=0),
        tmp_path / "missing.svs",
        write_small_slide(tmp_path / "z.svs", seed=1),
    ]


def test_what_cannot_be_used_is_named_and_the_others_are_done(
    mixed: list[Path], tmp_path: Path
) -> None:
    done = embed_all(jobs(mixed, tmp_path / "out"))

    assert [outcome.stored.result.case for outcome in done.outcomes] == ["a", "z"]
    assert [(one.slide.name, one.reason) for one in done.refused] == [
        ("cut.svs", "corrupt"),
        ("text.svs", "unsupported"),
        ("silent.tiff", "no mpp"),
        ("glass.svs", "no tissue"),
        ("missing.svs", "failed"),
    ]
    assert done.exit_code == 3
    assert ResultStore(tmp_path / "out", "wsi").cases() == ["a", "z"]


def test_a_second_run_computes_nothing_and_says_the_same(mixed: list[Path], tmp_path: Path) -> None:
    first = embed_all(jobs(mixed, tmp_path / "out"))
    before, encoder = fingerprint(tmp_path / "out"), QuarterMeans()

    again = embed_all(jobs(mixed, tmp_path / "out", encoder=encoder))

    assert encoder.tiles_seen == 0
    assert again.refused == first.refused
    assert [outcome.fresh for outcome in again.outcomes] == [False, False]
    assert fingerprint(tmp_path / "out") == before


def test_a_slide_that_may_not_be_read_does_not_end_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_small_slide(tmp_path / f"{name}.svs", seed=ord(name)) for name in "ab"]
    opened = Path.open

    def refusing(path: Path, *words: Any, **more: Any) -> Any:
        if path.name == "a.svs":  # as root, the rights of a file keep nobody out
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *words, **more)

    monkeypatch.setattr(Path, "open", refusing)
    done = embed_all(jobs(paths, tmp_path / "out"))

    assert [outcome.stored.result.case for outcome in done.outcomes] == ["b"]
    assert "Permission denied" in done.refused[0].sentence


def refused(code: int = 2) -> Refused:
    return Refused(Path("a.svs"), "corrupt", "a.svs is cut.", code)


def test_the_exit_code_tells_none_some_and_all(mixed: list[Path], tmp_path: Path) -> None:
    (outcome,) = embed_all(jobs(mixed[:1], tmp_path / "out")).outcomes
    assert Done((outcome,), ()).exit_code == 0
    assert Done((outcome,), (refused(),)).exit_code == 3
    assert Done((), (refused(), refused())).exit_code == 3
    assert Done((), (refused(1),)).exit_code == 1


def test_slides_of_one_case_are_jobs_of_that_case(tmp_path: Path) -> None:
    made = jobs([tmp_path / "a.svs", tmp_path / "b.svs"], tmp_path, case="c", patient="p")
    assert [(job.case_id, job.item_id, job.patient) for job in made] == [
        ("c", "a", "p"),
        ("c", "b", "p"),
    ]
    assert [job.case_id for job in jobs([tmp_path / "a.svs"], tmp_path)] == ["a"]


def test_no_slide_and_an_unsafe_name_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no slide was named"):
        jobs([], tmp_path)
    with pytest.raises(RefusedInputError, match="--case NAME, or rename the file"):
        jobs([tmp_path / "a.svs", tmp_path / "my slide.svs"], tmp_path)

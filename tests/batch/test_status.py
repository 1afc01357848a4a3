"""How a study stands is asked of its results, its failures and its driver."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medconsist.batch.driver import one_driver
from medconsist.batch.engine import Limits
from medconsist.batch.inline import InlineEngine
from medconsist.batch.report import BatchReport
from medconsist.batch.retry import Retried, prepare_retry
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from medconsist.batch.status import study_status
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.store import ResultStore
from tests.batch.toy import STUDY, Toy, case_of, cases_in, stored


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A study of four cases: two done, one corrupt, one not reached."""
    root = tmp_path / "out"
    root.mkdir()
    folder = tmp_path / "in"
    cases = [*cases_in(folder, 2), case_of(folder, 7, fault="corrupt"), case_of(folder, 8)]
    limits = Limits(max_failures=0)
    run_batch(
        Toy(root), cases, engine=InlineEngine(), folder=batch_folder(root, STUDY), limits=limits
    )
    return root


def test_states_are_those_of_the_cases(root: Path) -> None:
    status = study_status(root, STUDY)
    assert status.states == {
        "toy-000": "done",
        "toy-001": "done",
        "toy-007": "quarantined",
        "toy-008": "pending",
    }
    assert (status.exit_code, status.alive) == (3, False)
    assert "4 cases of study toy: 1 pending, 0 running, 2 done, 0 failed, 1 quarantined." in (
        status.text
    )


def test_a_result_that_is_gone_is_not_done_whatever_was_reported(root: Path) -> None:
    store = ResultStore(root, STUDY)
    (key,) = store.keys("case-000")
    (root / STUDY / "case-000" / key).rename(root / "elsewhere")
    assert study_status(root, STUDY).states["toy-000"] == "pending"


def damage(root: Path) -> str:
    """Change a byte of the array of the first case, and return its key."""
    (key,) = ResultStore(root, STUDY).keys("case-000")
    values = root / STUDY / "case-000" / key / "values.zarr"
    chunk = next(path for path in values.rglob("c/**/*") if path.is_file())
    chunk.chmod(0o644)
    chunk.write_bytes(b"x" + chunk.read_bytes()[1:])
    return key


def test_a_damaged_array_shows_when_every_byte_is_read(root: Path) -> None:
    damage(root)
    assert study_status(root, STUDY).states["toy-000"] == "done"
    status = study_status(root, STUDY, verify=True)
    assert (status.states["toy-000"], status.damaged) == ("pending", ("toy-000",))
    assert "toy-000: its result is damaged" in status.text


def rerun(root: Path, **words: Any) -> BatchReport:
    cases = cases_in(root.parent / "in", 2)
    return run_batch(
        Toy(root), cases, engine=InlineEngine(), folder=batch_folder(root, STUDY), **words
    )


@pytest.mark.parametrize("how", ["failed before", "one case", "all cases"])
def test_a_damaged_result_is_set_aside_by_retry_and_made_again_as_it_was(
    how: str, root: Path
) -> None:
    before, key = stored(root), damage(root)
    asked: dict[str, Any] = {"one case": {"cases": ["case-000"]}, "all cases": {"verify": True}}
    if how == "failed before":
        (failure,) = rerun(root).failures
        # The class "corrupt" is for inputs: those are to be copied again.
        assert (failure.reason, failure.state) == ("failed", "quarantined")
        assert f"medconsist batch retry {root} --study toy --case case-000" in failure.sentence
    retried = prepare_retry(root, STUDY, **asked.get(how, {}))
    assert retried.set_aside == (f"case-000/{key}",)
    assert len(list((root / STUDY / "case-000").glob(f".quarantine-{key}-*"))) == 1
    assert rerun(root).exit_code == 0
    assert stored(root) == before


def test_a_rerun_that_retries_sets_a_damaged_result_aside_by_itself(root: Path) -> None:
    before, _ = stored(root), damage(root)
    assert rerun(root).exit_code == 3
    assert rerun(root, retry_quarantined=True).exit_code == 0
    assert stored(root) == before


def test_a_result_without_its_record_is_set_aside(root: Path) -> None:
    (key,) = ResultStore(root, STUDY).keys("case-000")
    (root / STUDY / "case-000" / key / "result.json").unlink()
    assert prepare_retry(root, STUDY, verify=True).set_aside == (f"case-000/{key}",)


def test_a_damaged_result_of_no_batch_is_set_aside_too(root: Path) -> None:
    key = damage(root)
    shutil.rmtree(batch_folder(root, STUDY))
    with pytest.raises(MissingInputError, match="no batch has run"):
        prepare_retry(root, STUDY)
    assert prepare_retry(root, STUDY, verify=True).set_aside == (f"case-000/{key}",)
    with pytest.raises(MissingInputError, match="there is no study other"):
        prepare_retry(root, "other", verify=True)


def test_a_result_that_a_driver_found_under_another_item_is_done(root: Path) -> None:
    cases = [replace(one, spec={**one.spec, "item": "named"}) for one in cases_in(root / "in", 2)]
    folder = batch_folder(root, STUDY)
    assert run_batch(Toy(root), cases, engine=InlineEngine(), folder=folder).counts["found"] == 2
    assert study_status(root, STUDY).exit_code == 0


def test_a_driver_at_work_is_seen_and_a_dead_one_is_not(root: Path) -> None:
    with one_driver(batch_folder(root, STUDY)):
        assert study_status(root, STUDY).alive
    assert not study_status(root, STUDY).alive


def test_failures_are_forgotten_by_reason(root: Path) -> None:
    assert prepare_retry(root, STUDY, reasons=("no mpp",)) == Retried()
    assert prepare_retry(root, STUDY, cases=("case-000",)) == Retried()
    with pytest.raises(RefusedInputError, match="Did you mean 'corrupt'"):
        prepare_retry(root, STUDY, reasons=("corupt",))
    assert prepare_retry(root, STUDY).cases == ("toy-007",)
    assert study_status(root, STUDY).states["toy-007"] == "pending"


def test_a_study_without_a_batch_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no batch has run on study toy"):
        study_status(tmp_path, STUDY)

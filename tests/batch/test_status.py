"""How a study stands is asked of its results, its failures and its driver."""

from pathlib import Path

import pytest

from medconsist.batch.driver import one_driver
from medconsist.batch.engine import Limits
from medconsist.batch.inline import InlineEngine
from medconsist.batch.retry import forget_failures
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from medconsist.batch.status import study_status
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.store import ResultStore
from tests.batch.toy import STUDY, Toy, case_of, cases_in


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


def test_a_damaged_array_shows_when_every_byte_is_read(root: Path) -> None:
    store = ResultStore(root, STUDY)
    (key,) = store.keys("case-000")
    values = root / STUDY / "case-000" / key / "values.zarr"
    chunk = next(path for path in values.rglob("c/**/*") if path.is_file())
    chunk.chmod(0o644)
    chunk.write_bytes(b"x" + chunk.read_bytes()[1:])
    assert study_status(root, STUDY).states["toy-000"] == "done"
    assert study_status(root, STUDY, verify=True).states["toy-000"] == "pending"


def test_a_driver_at_work_is_seen_and_a_dead_one_is_not(root: Path) -> None:
    with one_driver(batch_folder(root, STUDY)):
        assert study_status(root, STUDY).alive
    assert not study_status(root, STUDY).alive


def test_failures_are_forgotten_by_reason(root: Path) -> None:
    assert forget_failures(root, STUDY, reasons=("no mpp",)) == []
    with pytest.raises(RefusedInputError, match="Did you mean 'corrupt'"):
        forget_failures(root, STUDY, reasons=("corupt",))
    assert forget_failures(root, STUDY) == ["toy-007"]
    assert study_status(root, STUDY).states["toy-007"] == "pending"


def test_a_study_without_a_batch_is_said_to_have_none(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no batch has run on study toy"):
        study_status(tmp_path, STUDY)

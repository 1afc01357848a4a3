"""What a batch promises, with cases that take no time: reasons, reports, exit codes, refusals."""

from pathlib import Path

import pytest

from medconsist.batch.engine import Engine
from medconsist.batch.inline import InlineEngine
from medconsist.batch.local import LocalEngine
from medconsist.batch.run import run_batch
from medconsist.batch.states import batch_folder
from tests.batch.toy import FAULTS, STUDY, Toy, case_of, cases_in, runs, stored


@pytest.fixture(params=["inline", "local"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return InlineEngine() if request.param == "inline" else LocalEngine(workers=2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def folder_of(root: Path) -> Path:
    return batch_folder(root, STUDY)


def test_every_case_gets_its_result_and_a_rerun_computes_nothing(
    engine: Engine, tmp_path: Path, root: Path
) -> None:
    cases = cases_in(tmp_path / "in", 5)
    first = run_batch(Toy(root), cases, engine=engine, folder=folder_of(root))
    again = run_batch(Toy(root), cases, engine=engine, folder=folder_of(root))
    assert (first.exit_code, first.counts["done"], len(stored(root))) == (0, 5, 5)
    assert (again.exit_code, again.counts["found"], again.counts["done"]) == (0, 5, 0)
    assert len(runs(root)) == 5


def test_poisoned_cases_are_named_with_their_class_and_the_others_complete(
    engine: Engine, tmp_path: Path, root: Path
) -> None:
    cases = cases_in(tmp_path / "in", 4)
    cases += [
        case_of(tmp_path / "in", 10 + number, fault=fault) for number, fault in enumerate(FAULTS)
    ]
    report = run_batch(Toy(root), cases, engine=engine, folder=folder_of(root))
    assert report.exit_code == 3
    assert {failure.reason for failure in report.failures} == set(FAULTS)
    assert report.counts == {
        "done": 4,
        "found": 0,
        "failed": 0,
        "quarantined": len(FAULTS),
        "pending": 0,
    }
    attempts = {failure.reason: failure.attempts for failure in report.failures}
    assert attempts == {
        "corrupt": 1,
        "no mpp": 1,
        "no tissue": 1,
        "unsupported": 1,
        "out of memory": 2,
        "failed": 2,
    }
    assert "KeyError: 'rows'" in {failure.sentence for failure in report.failures}

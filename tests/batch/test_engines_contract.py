"""One list of promises for every engine that has workers."""

from itertools import pairwise
from pathlib import Path

import pytest

from medconsist.batch.engine import Engine, Limits
from medconsist.batch.local import LocalEngine
from medconsist.batch.ray_engine import RayEngine
from medconsist.batch.slurm import SlurmEngine, SlurmParameters
from medconsist.errors import MissingInputError
from tests.batch.conftest import Told
from tests.batch.toy import FAULTS, Toy, ToyWorker, case_of, cases_in, runs, stored

NAMES = ["local", pytest.param("ray", marks=pytest.mark.ray), "slurm"]


@pytest.fixture(params=NAMES)
def engine(request: pytest.FixtureRequest) -> Engine:
    match request.param:
        case "local":
            return LocalEngine(workers=2)
        case "ray":
            request.getfixturevalue("ray_of_module")
            return RayEngine(workers=2)
    request.getfixturevalue("fake_slurm")
    return SlurmEngine(workers=2, parameters=SlurmParameters(shards=2, poll_s=0.05, sacct_s=1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "batch").mkdir()
    return tmp_path / "batch"


def test_every_case_is_done_once_and_a_rerun_computes_nothing(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    first, again, cases = Told(), Told(), cases_in(tmp_path / "in", 6)
    engine.run(Toy(tmp_path), cases, folder=folder, report=first, limits=Limits())
    engine.run(Toy(tmp_path), cases, folder=folder, report=again, limits=Limits())
    ids = sorted(case.id for case in cases)
    assert sorted(first.of("started")) == sorted(first.of("done")) == ids
    assert sorted(again.of("found")) == ids
    assert sorted(runs(tmp_path)) == ids
    assert len(stored(tmp_path)) == len(ids)


def test_a_poisoned_case_has_its_class_and_the_others_complete(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    told, cases = Told(), cases_in(tmp_path / "in", 2)
    poisoned = [
        case_of(tmp_path / "in", 10 + number, fault=fault) for number, fault in enumerate(FAULTS)
    ]
    limits = Limits(attempts=2)
    engine.run(Toy(tmp_path), [*cases, *poisoned], folder=folder, report=told, limits=limits)
    assert told.reasons() == {case.id: case.spec["fault"] for case in poisoned}
    assert sorted(told.of("done")) == [case.id for case in cases]


def test_lost_and_hanging_workers_cost_a_case_a_try_and_nothing_else(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    files = tmp_path / "in"
    told, cases = Told(), cases_in(files, 2)
    cases.append(case_of(files, 10, fault="die", once=str(tmp_path / "died")))
    cases.append(case_of(files, 11, fault="hang", once=str(tmp_path / "hung")))
    limits = Limits(case_seconds=1.5)
    engine.run(Toy(tmp_path), cases, folder=folder, report=told, limits=limits)
    assert sorted(told.of("done")) == sorted(case.id for case in cases)
    assert sorted(told.of("failed")) == ["toy-010", "toy-011"]
    assert not list((folder / "failures").glob("*.json"))


def test_big_cases_go_first(engine: Engine, folder: Path, tmp_path: Path) -> None:
    told, cases = Told(), cases_in(tmp_path / "in", 4)
    engine.workers = 1
    engine.run(Toy(tmp_path), cases[::-1], folder=folder, report=told, limits=Limits())
    order = runs(tmp_path)
    if engine.name == "slurm":
        # Each of the two shares, which run one after the other, is in order by itself.
        turns = sum(later > before for before, later in pairwise(order))
        assert turns <= 1
    else:
        assert order == [case.id for case in cases[::-1]]


def test_where_no_case_can_be_done_the_engine_stops(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    told, cases = Told(), cases_in(tmp_path / "in", 3)
    engine.run(NoModel(tmp_path), cases, folder=folder, report=told, limits=Limits())
    assert told.events[-1].kind == "stopped"
    assert told.events[-1].sentence == "the model for cpu is gone"
    assert not told.of("done", "failed", "quarantined")


class NoModel(Toy):
    """Work whose model cannot be loaded."""

    def open(self, device: str) -> ToyWorker:
        msg = f"the model for {device} is gone"
        raise MissingInputError(msg)

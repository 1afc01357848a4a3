"""``medconsist bench ts-worlds`` and ``ts-smni``: flags; the tables are tested in timeseries."""

from pathlib import Path

import pytest

from medconsist.results.bench import BenchReport
from medconsist.timeseries.bench.worlds import Sizes
from tests.cli.conftest import Program


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the benches were asked for; they answer at once."""
    calls: list[object] = []

    def worlds(*, sizes: Sizes) -> BenchReport:
        calls.append(sizes.numbers)
        return BenchReport(command="medconsist bench ts-worlds", rows=())

    def smni(*, data: Path | None, seed: int, folder: Path | None) -> BenchReport:
        calls.append((data, seed, folder))
        return BenchReport(command="medconsist bench ts-smni", rows=())

    for module, quick in (("worlds", worlds), ("smni", smni)):
        monkeypatch.setattr(f"medconsist.timeseries.bench.{module}.run_bench", quick)
    return calls


def test_draws_of_the_worlds_can_be_chosen(program: Program, asked: list[object]) -> None:
    assert program("bench", "ts-worlds", "--draws", 3, "--seed", 1).code == 0
    assert asked == [range(1100, 1103)]


def test_smni_takes_data_and_a_folder_to_keep(program: Program, asked: list[object]) -> None:
    answer = program("bench", "ts-smni", "--data", "real", "--folder", "kept", "--seed", 2)
    assert answer.code == 0
    assert asked == [(Path("real"), 2, Path("kept"))]


@pytest.mark.parametrize(
    ("name", "flag"), [("ts-worlds", "--data"), ("ts-worlds", "--folder"), ("ts-smni", "--draws")]
)
def test_flags_that_mean_nothing_are_refused(program: Program, name: str, flag: str) -> None:
    answer = program("bench", name, flag, 5)
    assert answer.code == 2
    assert f"bench {name} takes no {flag}, got 5" in answer.sentence

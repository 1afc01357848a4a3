"""``medconsist bench mil``, ``musk`` and ``mil-step``: flags; tables are tested in wsi."""

import json
from pathlib import Path

import pytest

from medconsist.results.bench import BenchReport
from medconsist.wsi.bench.mil import Sizes
from tests.cli.conftest import Program

FIRST = Sizes().first_draw


def report(name: str) -> BenchReport:
    return BenchReport(command=f"medconsist bench {name}", rows=())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the benches were asked for; they answer at once."""
    calls: list[object] = []

    def mil(*, sizes: Sizes) -> BenchReport:
        calls.append((sizes.first_draw, sizes.draws, sizes.seeds))
        return report("mil")

    def musk(*, data: Path | None, seed: int, draws: int | None = None) -> BenchReport:
        calls.append((data, seed, draws))
        return report("musk")

    def step(*, seed: int) -> BenchReport:
        calls.append(seed)
        return report("mil-step")

    room = "medconsist.wsi.bench"
    for module, quick in (("mil", mil), ("mil_musk", musk), ("mil_step", step)):
        monkeypatch.setattr(f"{room}.{module}.run_bench", quick)
    return calls


def test_draws_and_seeds_of_mil_can_be_chosen(program: Program, asked: list[object]) -> None:
    assert program("bench", "mil").code == 0
    assert program("bench", "mil", "--draws", 30, "--seeds", 2, "--seed", 1).code == 0
    plain = Sizes()
    assert asked == [(FIRST, plain.draws, plain.seeds), (FIRST + 1000, 30, 2)]


def test_musk_takes_data_and_repeats(program: Program, asked: list[object]) -> None:
    answer = program("bench", "musk", "--data", "folder", "--draws", 2, "--seed", 3, "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["command"] == "medconsist bench musk"
    assert asked == [(Path("folder"), 3, 2)]


def test_mil_step_takes_a_seed(program: Program, asked: list[object]) -> None:
    assert program("bench", "mil-step", "--seed", 4).code == 0
    assert asked == [4]


@pytest.mark.parametrize(
    ("name", "flag"),
    [("mil", "--data"), ("mil-step", "--data"), ("mil-step", "--draws"), ("musk", "--seeds")],
)
def test_flags_that_mean_nothing_are_refused(program: Program, name: str, flag: str) -> None:
    answer = program("bench", name, flag, 5)
    assert answer.code == 2
    assert f"bench {name} takes no {flag}, got 5" in answer.sentence

"""``medconsist bench cirim``: its flags and what it refuses; the table itself is tested in mri."""

import json
from pathlib import Path

import pytest

from medconsist.mri.bench.learned.run import TEST_DRAWS
from medconsist.results.bench import BenchReport, Target
from tests.cli.conftest import Program

REPORT = BenchReport(
    command="medconsist bench cirim",
    rows=(),
    targets=(Target(name="cirim above rim", wanted="above 0", seen=0.1, met=True),),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path | None, int, int]]:
    """What the bench was asked for; it answers at once."""
    calls: list[tuple[Path | None, int, int]] = []

    def quick(*, data: Path | None, seed: int, draws: int = TEST_DRAWS) -> BenchReport:
        calls.append((data, seed, draws))
        return REPORT

    monkeypatch.setattr("medconsist.mri.bench.learned.run.run_bench", quick)
    return calls


def test_the_command_prints_one_object_of_the_schema(
    program: Program, asked: list[tuple[Path | None, int, int]]
) -> None:
    answer = program("bench", "cirim", "--seed", 3, "--data", "folder", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["targets"][0]["name"] == "cirim above rim"
    assert asked == [(Path("folder"), 3, TEST_DRAWS)]


def test_the_number_of_scans_can_be_chosen(
    program: Program, asked: list[tuple[Path | None, int, int]]
) -> None:
    assert program("bench", "cirim", "--draws", 5).code == 0
    assert asked == [(None, 0, 5)]


@pytest.mark.parametrize("name", ["mri", "spiked", "consistency"])
def test_other_benches_have_no_draws(program: Program, name: str) -> None:
    answer = program("bench", name, "--draws", 5)
    assert answer.code == 2
    assert f"bench {name} takes no --draws, got 5" in answer.sentence


def test_one_draw_is_refused_before_anything_is_computed(program: Program) -> None:
    answer = program("bench", "cirim", "--draws", 1)
    assert answer.code == 2
    assert "at least 2" in answer.sentence


def test_a_seed_that_would_reach_other_scans_is_refused(program: Program) -> None:
    answer = program("bench", "cirim", "--seed", 2**14)
    assert answer.code == 2
    assert "seed got 16384; allowed: 0 to 16383" in answer.sentence

"""``medconsist bench mri-noise``: what its flags reach; the table itself is tested in mri."""

import json
from pathlib import Path
from typing import Any

import pytest

from medconsist.results.bench import BenchReport
from tests.cli.conftest import Program


def test_seed_heads_and_folder_reach_the_bench(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[dict[str, Any]] = []

    def quick(**given: Any) -> BenchReport:
        asked.append(given)
        return BenchReport(command="medconsist bench mri-noise", rows=())

    monkeypatch.setattr("medconsist.mri.bench.noise.run_bench", quick)
    answer = program(
        "bench", "mri-noise", "--seed", 3, "--draws", 5, "--folder", tmp_path, "--json"
    )
    assert answer.code == 0
    assert json.loads(answer.out)["command"] == "medconsist bench mri-noise"
    assert program("bench", "mri-noise").code == 0
    assert asked == [
        {"seed": 3, "draws": 5, "folder": tmp_path},
        {"seed": 0, "draws": None, "folder": None},
    ]


def test_it_has_no_data_of_patients(program: Program) -> None:
    answer = program("bench", "mri-noise", "--data", "folder")
    assert answer.code == 2
    assert "bench mri-noise takes no --data, got folder" in answer.sentence


def test_fewer_heads_than_an_interval_needs_are_refused(program: Program) -> None:
    answer = program("bench", "mri-noise", "--draws", 1)
    assert answer.code == 2
    assert "got 1 test scans" in answer.sentence

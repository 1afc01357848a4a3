"""Kills, races and full disks: a result is there whole or not at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medconsist.results.store import ResultStore

HERE = Path(__file__).parent


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    limits = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=limits
    )


def test_kill_nine_leaves_no_result_or_a_whole_one_and_a_rerun_completes(tmp_path: Path) -> None:
    kills = 25

    done = run("crash_loop.py", tmp_path, kills, 20221111)

    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["landed"] == kills
    assert counts["torn"] == 0
    assert counts["bad_current"] == 0
    assert counts["whole"] + counts["none"] == counts["tries"]
    assert counts["done_after_rerun"] == counts["tries"]
    assert counts["left_over"] == 0


def test_of_two_writers_of_one_key_one_wins_and_both_get_its_result(tmp_path: Path) -> None:
    done = run("race.py", tmp_path, 5)

    assert done.returncode == 0, done.stderr
    *rounds, hidden = [json.loads(line) for line in done.stdout.splitlines()]
    for first, second in rounds:
        assert first == second
        assert first.endswith(" True")
    assert hidden == []


@pytest.mark.parametrize(
    ("limit", "side", "named"),
    [(20_000, 64, "cs.zarr"), (5_000, 8, "head"), (15_000, 8, "history.jsonl")],
    ids=["array", "result.json", "history"],
)
def test_a_full_disk_ends_with_exit_code_1_and_nothing_half_written(
    tmp_path: Path, limit: int, side: int, named: str
) -> None:
    done = run("small_disk.py", tmp_path, limit, side)

    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert named in done.stderr
    assert "then run again" in done.stderr
    store = ResultStore(tmp_path, "demo")
    for key in store.keys("head"):
        assert store.is_done("head", key)
    assert [p.name for p in (tmp_path / "demo" / "head").glob(".*")] == []
    assert store.history.read().problems == ()
    assert (named == "history.jsonl") == bool(store.history.read().lines)

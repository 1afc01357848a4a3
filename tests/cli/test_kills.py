"""Killed, cramped and crowded: the program leaves no result or a whole one."""

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from medconsist.results.store import ResultStore
from tests.cli.conftest import Answer, Program
from tests.cli.small_scan import fingerprint, left_over

HERE = Path(__file__).parent
KILLS = 14

Start = Callable[..., subprocess.Popen[str]]
Finish = Callable[[subprocess.Popen[str]], Answer]


def test_kill_nine_at_random_times_leaves_no_result_or_a_whole_one(
    scan: Path, tmp_path: Path
) -> None:
    command = [sys.executable, HERE / "kill_loop.py", scan, tmp_path / "out", KILLS, 20221111]
    limits = os.environ | {"OMP_NUM_THREADS": "1"}

    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=limits,
    )

    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["landed"] == KILLS
    assert counts["in_writing"] > 0  # some kills fell into the writing
    assert counts["torn"] == counts["bad_current"] == counts["failed"] == 0
    assert counts["whole"] <= counts["tries"]
    assert counts["after_rerun"] == counts["remembered"] == counts["tries"]
    assert counts["left_over"] == counts["history_problems"] == 0


def test_killed_process_is_made_good_by_the_same_command(
    scan: Path, tmp_path: Path, process: Start, program: Program
) -> None:
    out = tmp_path / "out"
    words = ("mri", "reconstruct", scan, "--out", out, "--method", "cgsense")
    running = process(*words)
    time.sleep(random.Random(7).uniform(0.5, 2.5))  # noqa: S311  time of a kill, no secret
    running.kill()
    running.communicate()
    assert all(not ResultStore(out, "mri").verify("head", key) for key in keys(out))

    assert program(*words).code == 0

    assert len(keys(out)) == 1
    assert ResultStore(out, "mri").verify("head", keys(out)[0]) == []
    assert [name for name in left_over(out) if "/." in name] == []


def test_two_writers_of_one_key_both_succeed_and_leave_one_result(
    scan: Path, tmp_path: Path, process: Start, finished: Finish
) -> None:
    out = tmp_path / "out"
    words = ("mri", "reconstruct", scan, "--out", out, "--method", "zerofilled", "--json")

    answers = [finished(running) for running in [process(*words), process(*words)]]

    assert [answer.code for answer in answers] == [0, 0]
    assert len({json.loads(answer.out)["result"] for answer in answers}) == 1
    store = ResultStore(out, "mri")
    assert store.verify("head", keys(out)[0]) == []
    assert store.keys("head") == [store.current("head")]
    assert len(store.history.read().lines) == 1
    assert [name for name in left_over(out) if "/." in name] == []


@pytest.mark.parametrize(
    ("limit_blocks", "named"),
    [(4, "reconstruction.zarr: File too large"), (24, "{key}: File too large")],
    ids=["an array", "the record"],
)
def test_full_disk_ends_with_code_1_one_sentence_and_no_result(
    limit_blocks: int, named: str, scan: Path, tmp_path: Path, process: Start, finished: Finish
) -> None:
    out = tmp_path / "out"
    limited = ("sh", "-c", f'ulimit -f {limit_blocks}; exec "$@"', "sh")  # blocks of 512 bytes
    words = ("mri", "reconstruct", scan, "--out", out, "--method", "zerofilled")

    answer = finished(process(*words, wrapper=limited))

    assert answer.code == 1
    assert re.search(named.format(key="[0-9a-f]{64}"), answer.sentence)
    assert "then run again" in answer.sentence
    assert answer.out == ""
    assert left_over(out) == []


def test_file_in_the_place_of_the_folder_ends_with_code_1(
    scan: Path, tmp_path: Path, program: Program
) -> None:
    (tmp_path / "out").write_text("mine")
    before = fingerprint(tmp_path)

    answer = program(
        *("mri", "reconstruct", scan, "--out", tmp_path / "out", "--method", "zerofilled")
    )

    assert answer.code == 1
    assert "Could not write" in answer.sentence
    assert fingerprint(tmp_path) == before


def keys(out: Path) -> list[str]:
    return ResultStore(out, "mri").keys("head")

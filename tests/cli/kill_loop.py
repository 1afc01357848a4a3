"""Kill the reconstruct command with SIGKILL at random times and count what it leaves; by path.

Usage: ``python kill_loop.py SCAN OUT KILLS SEED``. Prints one JSON object. The command runs in
children forked after the imports, so that a kill hits the work and not the start of Python; every
second kill waits for the first file, so that it falls into the writing.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import nibabel  # noqa: F401  before the fork
import zarr  # noqa: F401  before the fork

from medconsist.cli import main as medconsist
from medconsist.mri import task  # noqa: F401  before the fork
from medconsist.results.store import ResultStore

CASE = "head"


def in_child(words: list[str]) -> int:
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as sys.stdout:
            os._exit(medconsist(words))
    return child


def command(scan: Path, out: Path, number: int) -> list[str]:
    words = ["mri", "reconstruct", str(scan), "--out", str(out), "--method", "cgsense"]
    return [*words, "--case", CASE, "--seed", str(number)]


def hidden(out: Path) -> list[Path]:
    return [path for folder in (out, out / "mri", out / "mri" / CASE) for path in folder.glob(".*")]


def wait_for_writing(out: Path, child: int, before: set[Path]) -> None:
    """Return at the first new hidden file, or when the child has ended."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while set(hidden(out)) <= before and os.waitid(os.P_PID, child, flags) is None:
        time.sleep(0.001)


def main(scan: Path, out: Path, kills: int, seed: int) -> dict[str, int]:
    store = ResultStore(out, "mri")
    draw = random.Random(seed)  # noqa: S311  times of kills, no secrets
    names = ("landed", "tries", "in_writing", "torn", "bad_current", "failed")
    counts = dict.fromkeys(names, 0)
    longest_s = 0.0
    for number in (10_000, 10_001):  # the first run warms up, the second is timed
        start = time.perf_counter()
        counts["failed"] += os.waitpid(in_child(command(scan, out, number)), 0)[1] != 0
        longest_s = time.perf_counter() - start
    while counts["landed"] < kills and counts["tries"] < 4 * kills:
        counts["tries"] += 1
        before = set(hidden(out))
        child = in_child(command(scan, out, counts["tries"]))
        if counts["tries"] % 2:
            wait_for_writing(out, child, before)
        time.sleep(draw.uniform(0, longest_s))
        os.kill(child, signal.SIGKILL)
        counts["landed"] += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        counts["in_writing"] += not set(hidden(out)) <= before
        keys = store.keys(CASE)
        counts["torn"] += sum(bool(store.verify(CASE, key)) for key in keys)
        counts["bad_current"] += store.current(CASE) not in keys
    whole = len(store.keys(CASE)) - 2
    for number in range(1, counts["tries"] + 1):
        counts["failed"] += os.waitpid(in_child(command(scan, out, number)), 0)[1] != 0
    keys = store.keys(CASE)
    return counts | {
        "whole": whole,
        "after_rerun": sum(store.is_done(CASE, key) for key in keys) - 2,
        "remembered": len(store.history.read().lines) - 2,
        "history_problems": len(store.history.read().problems),
        "left_over": len(hidden(out)),
    }


if __name__ == "__main__":
    given = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    print(json.dumps(main(*given)))  # noqa: T201

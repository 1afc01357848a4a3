"""Kill writers with SIGKILL at random times and count what they leave; run by path.

Usage: ``python crash_loop.py FOLDER KILLS SEED``. Prints one JSON object. Children are forked
after the imports, so that a kill hits the writing and not the start of Python.
"""

import json
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import zarr  # noqa: F401  before the fork

from medconsist.results.schema import ResultFields, Times
from medconsist.results.store import ResultStore


def fields(number: int) -> ResultFields:
    now = datetime.now(UTC)
    return ResultFields(
        kind="test.crash",
        inputs={},
        config={"number": number},
        result_version=1,
        times=Times(started=now, finished=now),
    )


def write(store: ResultStore, number: int) -> None:
    values = np.full((4, 64, 64), number + 1j, np.complex64)
    made = fields(number)
    with store.draft("case", made.key) as draft:
        for role in ("zerofilled", "cs"):
            draft.add_array(role, values, axes=("slices", "height", "width"))
        result = draft.finish(made)
    store.set_current("case", result.key)
    store.remember(result, group="crash")


def in_child(store: ResultStore, number: int) -> int:
    child = os.fork()
    if child == 0:
        write(store, number)
        os._exit(0)
    return child


def main(folder: Path, kills: int, seed: int) -> dict[str, int]:
    store = ResultStore(folder, "crash")
    draw = random.Random(seed)  # noqa: S311  times of kills, no secrets
    start = time.perf_counter()
    os.waitpid(in_child(store, -1), 0)
    longest_s = 1.2 * (time.perf_counter() - start)
    counts = dict.fromkeys(["landed", "tries", "whole", "none", "torn", "bad_current"], 0)
    while counts["landed"] < kills and counts["tries"] < 6 * kills:
        number = counts["tries"]
        counts["tries"] += 1
        child = in_child(store, number)
        time.sleep(draw.uniform(0, longest_s))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        counts["landed"] += os.WIFSIGNALED(status)
        # The speed of the disk varies: follow it, so that kills keep falling into the writing.
        longest_s *= 1.05 if os.WIFSIGNALED(status) else 0.8
        key = fields(number).key
        if key not in store.keys("case"):
            counts["none"] += 1
        else:
            counts["whole" if store.is_done("case", key) else "torn"] += 1
        counts["bad_current"] += not store.is_done("case", store.current("case") or "0" * 64)
    return counts | _rerun(store, counts["tries"])


def _rerun(store: ResultStore, tries: int) -> dict[str, int]:
    for number in range(tries):
        if not store.is_done("case", fields(number).key):
            write(store, number)
    hidden = [p.name for p in (store.root / "crash" / "case").iterdir() if p.name[0] == "."]
    done = sum(store.is_done("case", fields(number).key) for number in range(tries))
    return {"done_after_rerun": done, "left_over": len(hidden)}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201

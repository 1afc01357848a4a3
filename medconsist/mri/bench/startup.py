"""Start-up rows: what a user waits for before anything is computed."""

import statistics
import subprocess
import sys
import time

from medconsist.results.bench import BenchRow, BenchTable, Target

__all__ = ["startup_rows"]

REPEATS = 7
IMPORT_LIMIT_S = 0.1
HELP_LIMIT_S = 0.5


def startup_rows() -> BenchTable:
    """Time ``import medconsist`` and ``medconsist --help`` beside a bare interpreter, 7 runs each.

    Medians of whole processes. The import is the process less the bare interpreter, since the
    interpreter's own start is no part of it.
    """
    bare = _seconds("-c", "pass")
    importing = _seconds("-c", "import medconsist") - bare
    helping = _seconds("-m", "medconsist", "--help")
    wanted = {"import medconsist": IMPORT_LIMIT_S, "medconsist --help": HELP_LIMIT_S}
    seen = {"import medconsist": importing, "medconsist --help": helping}
    return BenchTable(
        rows=tuple(
            BenchRow(
                case=name,
                metric="time",
                value=seconds,
                unit="s",
                baseline=bare,
                ratio=seconds / bare,
                n=REPEATS,
                unit_of_analysis="process",
            )
            for name, seconds in seen.items()
        ),
        targets=tuple(
            Target(name=name, wanted=f"< {limit} s", seen=seen[name], met=seen[name] < limit)
            for name, limit in wanted.items()
        ),
    )


def _seconds(*arguments: str) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(  # noqa: S603  our own interpreter
            [sys.executable, *arguments], check=True, capture_output=True
        )
        times.append(time.perf_counter() - start)
    return statistics.median(times)

"""Write docs/benchmarks.md from one run of each bench: ``python docs/make_benchmarks.py``.

Takes the folder of real data from MEDCONSIST_TEST_DATA and BART from the path; a minute or two on
2 cores. The page holds what the benches printed and nothing else.
"""

import logging
import sys
from pathlib import Path

from medconsist.cli.benches import consistency
from medconsist.mri import bench
from medconsist.results.bench import BenchReport
from medconsist.results.tables import rows_text, targets_text

PAGE = Path(__file__).with_name("benchmarks.md")
HEAD = """# Measured figures

Written by `python docs/make_benchmarks.py`, which runs each `medconsist bench NAME`; `--json` gives
the same rows to a program. Machine: {machine.cpu}, {machine.threads} threads, GPU: {gpu}.
medconsist {version}, torch {torch}. Intervals are 95 % bootstrap intervals over the unit that
stands under *n*.
"""
MRI = """
## `medconsist bench mri`
How to read it: a *baseline* is what the row is compared with: BART's error on the same samples,
figures measured with BART before this program was written, zero-filled, or a bare interpreter.
Errors beside BART are those of `bart nrmse -s`, of magnitudes in place. Draws and sites are all of
one scan, so their intervals say nothing about other scans. *Simulated* rows are over scans of our
simulator, never patients. Lambda on the real slice is chosen on samples that the reported error
does not use. Lesion sites lie on a lattice in the middle of the head or are drawn all over it; the
earlier figures do not say where theirs lay, nor which noise level and intensity their d' used, so
both are for orientation. The middle was added after it was seen to come nearer to them.
"""
CONSISTENCY = """
## `medconsist bench consistency`
Time and peak memory of the shared bricks; the baseline is the plain torch form in the same run:
the similarity matrix written out, torch's averaged model, a loop over samples. Random numbers: it
measures no method.
"""


def section(text: str, report: BenchReport) -> str:
    """Return the words, the rows and the targets of one bench."""
    rows, targets = rows_text(report.rows), targets_text(report.targets)
    return f"{text}\n```text\n{rows}\n```\n\n```text\n{targets}\n```\n"


def main() -> None:
    """Run the benches and write the page."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    mri = bench.run_bench(data=None, seed=0)
    head = HEAD.format(
        machine=mri.machine,
        gpu=mri.machine.gpu or "none",
        version=mri.versions["medconsist"],
        torch=mri.versions["torch"],
    )
    bricks = consistency.run_bench(seed=0)
    PAGE.write_text(head + section(MRI, mri) + section(CONSISTENCY, bricks))


if __name__ == "__main__":
    main()

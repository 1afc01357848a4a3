"""Write docs/benchmarks.md from one run of the bench: ``python docs/make_benchmarks.py``.

Takes the folder of real data from MEDCONSIST_TEST_DATA and BART from the path; about 3 minutes on
2 cores. The page holds what this command printed and nothing else.
"""

import logging
import sys
from pathlib import Path

from medconsist.mri.bench import run_bench
from medconsist.mri.report import rows_text, targets_text

PAGE = Path(__file__).with_name("benchmarks.md")
TEXT = """# Measured figures

Written by `python docs/make_benchmarks.py`, which runs `medconsist bench mri`; `--json` gives the
same rows to a program. Machine: {machine.cpu}, {machine.threads} threads, GPU: {gpu}.
medconsist {version}, torch {torch}.

How to read it: a *baseline* is what the row is compared with: BART's error on the same samples,
the figure that was measured beforehand with BART, zero-filled, or a bare interpreter. Errors
beside BART are those of `bart nrmse -s`, of magnitudes in place. Intervals are 95 % bootstrap
intervals over the unit that stands under *n*: draws and sites are all of one scan, so they say
nothing about other scans. *Simulated* rows are over scans of our simulator, never patients. Lambda
on the real slice is chosen on samples that the reported error does not use. "Middle" sites lie on
a lattice in the middle of the head, as those behind the baseline; "all over" sites are drawn over
the whole head.

```text
{rows}
```

## Targets
```text
{targets}
```
"""


def main() -> None:
    """Run the bench and write the page."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    report = run_bench(data=None, seed=0)
    PAGE.write_text(
        TEXT.format(
            machine=report.machine,
            gpu=report.machine.gpu or "none",
            version=report.versions["medconsist"],
            torch=report.versions["torch"],
            rows=rows_text(report.rows),
            targets=targets_text(report.targets),
        )
    )


if __name__ == "__main__":
    main()

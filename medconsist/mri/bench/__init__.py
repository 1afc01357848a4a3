"""``medconsist bench mri``: start-up, parity with BART, the real slice, scans of the simulator.

What is not there (the program bart, the real data) leaves its rows out and says so on stderr.
Nothing is tuned on what it reports: lambda is chosen on samples that the reported error does not
use.
"""

import logging
import shutil
import tempfile
from pathlib import Path

from medconsist.mri.bench.bart import Bart, bart_table
from medconsist.mri.bench.real import REAL_SLICE, lesion_table, refutability_table, withheld_table
from medconsist.mri.bench.simulated import simulated_table
from medconsist.mri.bench.startup import startup_rows
from medconsist.results.bench import BenchReport, real_data

__all__ = ["run_bench"]

logger = logging.getLogger(__name__)


def run_bench(*, data: Path | None, seed: int) -> BenchReport:
    """Run every part that can run here and return one report.

    Parameters
    ----------
    data
        Folder of real data; None takes the environment variable MEDCONSIST_TEST_DATA.
    seed
        Of the splits, sites and scans.
    """
    folder = real_data(data)
    real = folder / REAL_SLICE
    program = shutil.which("bart")
    table = startup_rows()
    if program is None:
        logger.info("the program bart is not installed: its rows are left out")
    else:
        with tempfile.TemporaryDirectory() as scratch:
            table = table.joined(
                bart_table(Bart(program, Path(scratch)), real if real.is_file() else None)
            )
    if real.is_file():
        table = table.joined(withheld_table(real, seed=seed)).joined(lesion_table(real, seed=seed))
        table = table.joined(refutability_table(real))
    else:
        logger.info("%s is not there: the rows of the real slice are left out", real)
    table = table.joined(simulated_table(seed=seed))
    return BenchReport(command="medconsist bench mri", rows=table.rows, targets=table.targets)

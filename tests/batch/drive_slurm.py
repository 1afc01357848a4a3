"""A driver that a test can kill: ``python drive_slurm.py ROOT COUNT``."""

import sys
from pathlib import Path

from medconsist.batch.engine import Limits
from medconsist.batch.slurm import SlurmEngine, SlurmParameters
from tests.batch.conftest import Told
from tests.batch.toy import Toy, cases_in

ENGINE = SlurmEngine(workers=2, parameters=SlurmParameters(shards=2, poll_s=0.05, sacct_s=0.3))


def main(root: Path, count: int, seconds: float = 0.2) -> Told:
    """Run so many cases, and return what was told."""
    told = Told()
    (root / "batch").mkdir(exist_ok=True)
    ENGINE.run(
        Toy(root, seconds=seconds),
        cases_in(root / "in", count),
        folder=root / "batch",
        report=told,
        limits=Limits(),
    )
    return told


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

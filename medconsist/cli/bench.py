"""``medconsist bench``: figures beside a baseline, as one JSON object."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Common

__all__ = ["Bench"]


@dataclass(frozen=True, kw_only=True)
class Bench(Common):
    """Compare with a baseline in one run and report ratios; progress goes to stderr."""

    name: Annotated[Positional[Literal["mri"]], arg(metavar="NAME")]
    """Which bench."""
    data: Path | None = None
    """Folder of real data; by default MEDCONSIST_TEST_DATA. Without it those rows are left out."""

    def run(self) -> int:
        """Run the bench and print its report."""
        self.set_up()
        from medconsist.mri.bench import run_bench
        from medconsist.mri.report import rows_text, targets_text

        report = run_bench(data=self.data, seed=self.seed)
        if self.json:
            sys.stdout.write(report.to_json() + "\n")
        else:
            sys.stdout.write(rows_text(report.rows) + "\n\n" + targets_text(report.targets) + "\n")
        return 0

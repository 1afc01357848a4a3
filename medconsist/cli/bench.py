"""``medconsist bench``: figures beside a baseline, as one JSON object."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Common
from medconsist.errors import RefusedInputError

__all__ = ["Bench"]


@dataclass(frozen=True, kw_only=True)
class Bench(Common):
    """Compare with a baseline in one run and report ratios; progress goes to stderr."""

    name: Annotated[Positional[Literal["mri", "consistency"]], arg(metavar="NAME")]
    """Which bench: mri (about 3 minutes) or consistency (under 1)."""
    data: Path | None = None
    """For mri, folder of real data; by default MEDCONSIST_TEST_DATA. Without it, fewer rows."""

    def run(self) -> int:
        """Run the bench and print its report."""
        self.set_up()
        from medconsist.results.tables import rows_text, targets_text

        if self.name == "mri":
            from medconsist.mri.bench import run_bench as run_mri

            report = run_mri(data=self.data, seed=self.seed)
        else:
            from medconsist.cli.benches.consistency import run_bench as run_consistency

            self._refuse_data()
            report = run_consistency(seed=self.seed)
        if self.json:
            sys.stdout.write(report.to_json() + "\n")
        else:
            sys.stdout.write(rows_text(report.rows) + "\n\n" + targets_text(report.targets) + "\n")
        return 0

    def _refuse_data(self) -> None:
        if self.data is not None:
            msg = f"bench {self.name} reads no data, got --data {self.data}; leave it out."
            raise RefusedInputError(msg)

"""``medconsist bench cirim``: networks beside classical methods on scans of the simulator.

Every method sees the same samples and the same coil maps of the same test scans. Nothing is chosen
on them: weights of the classical methods come from validation scans, networks from training scans,
and the seeds of the three lie in ranges that do not meet.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.mri.bench.learned.cells import CELLS, UNSEEN_CELLS, Cell
from medconsist.mri.bench.learned.rows import Where, mean_rows, paired_rows, time_rows
from medconsist.mri.bench.learned.scores import Draws, Reconstruct, Scores, score
from medconsist.mri.bench.learned.tuning import FAMILIES, Families, Tuned, tuned_methods
from medconsist.mri.draw_seeds import draw_seed
from medconsist.mri.methods import Zerofilled
from medconsist.mri.phantom.tissue_file import TissueFile
from medconsist.results.bench import BenchReport, BenchTable, real_data

__all__ = ["NETWORKS", "TEST_DRAWS", "TableConfig", "learned_table", "run_bench"]

NETWORKS = ("rim", "irim", "cirim", "cirim-explicit")
TEST_DRAWS = 30
LEAST_DRAWS = 2  # of which a paired interval can be made
FEW_DRAWS = 10  # below it `metrics.report` warns of its intervals
UNSEEN_SHARE = 3  # a third of the draws: they are all of one anatomy
UNSEEN = "simulated from an unseen anatomy"
TISSUE_FILE = Path("mri") / "koma_brain_phantom.h5"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """What the table is over.

    Parameters
    ----------
    draws, validation_draws
        Scans that are reported, and others on which the weights are chosen; at least 2 each.
    series
        Which draw of all scans; see `draw_seeds.draw_seed`. Also the seed of the bootstrap.
    cells, unseen_cells
        Masks for the generated head, and for the anatomy of ``tissue``.
    families
        Candidates of the methods that have a weight.
    tissue
        Tissue maps of an unseen anatomy, simulated a third as often.

    Raises
    ------
    RefusedInputError
        Fewer than 2 scans, or a number that `draw_seeds.draw_seed` does not take.

    Examples
    --------
    >>> TableConfig(draws=12).unseen_draws
    4
    """

    draws: int = TEST_DRAWS
    validation_draws: int = 8
    series: int = 0
    cells: tuple[Cell, ...] = CELLS
    unseen_cells: tuple[Cell, ...] = UNSEEN_CELLS
    families: Families = field(default_factory=lambda: FAMILIES)
    tissue: Path | None = None

    def __post_init__(self) -> None:
        if min(self.draws, self.validation_draws) < LEAST_DRAWS:
            msg = (
                f"got {self.draws} draws and {self.validation_draws} for validation; allowed: at "
                f"least {LEAST_DRAWS}, since differences need an interval. Take {TEST_DRAWS} draws."
            )
            raise RefusedInputError(msg)
        most = max(self.draws, self.validation_draws)
        draw_seed("test", most - 1, series=self.series)  # refuses what is out of range

    @property
    def unseen_draws(self) -> int:
        """Scans of the unseen anatomy."""
        return max(LEAST_DRAWS, self.draws // UNSEEN_SHARE)


def run_bench(*, data: Path | None, seed: int, draws: int = TEST_DRAWS) -> BenchReport:
    """Run the table with the networks that are shipped; about 10 minutes on 2 cores.

    Parameters
    ----------
    data
        Folder with the tissue file of an anatomy that no network has seen; None takes the
        environment variable MEDCONSIST_TEST_DATA. Without the file its rows are left out.
    seed
        Series of the scans, 0 to 2^14 - 1.
    draws
        Test scans of each cell, at least 2.
    """
    from medconsist.mri.learned.method import LearnedMethod
    from medconsist.mri.learned.model import load_model

    tissue = real_data(data) / TISSUE_FILE
    config = TableConfig(draws=draws, series=seed, tissue=tissue if tissue.is_file() else None)
    if config.tissue is None:
        logger.info("%s is not there: the rows of the unseen anatomy are left out", tissue)
    networks = {name: LearnedMethod(model=load_model(name)) for name in NETWORKS}
    table = learned_table(networks, config)
    return BenchReport(command="medconsist bench cirim", rows=table.rows, targets=table.targets)


def learned_table(networks: Mapping[str, Reconstruct], config: TableConfig) -> BenchTable:
    """Return the rows of zero-filled, the tuned classical methods and the networks.

    Parameters
    ----------
    networks
        Name to method; those with names of `NETWORKS` take part in the paired differences.
    config
        See `TableConfig`.
    """
    if min(config.draws, config.unseen_draws) < FEW_DRAWS:
        logger.warning("fewer than %d scans: the intervals are too narrow", FEW_DRAWS)
    generator = Generator().manual_seed(config.series)
    tuning = Draws(role="validation", count=config.validation_draws, series=config.series)
    tuned = tuned_methods(config.families, config.cells, tuning)
    methods = {cell: _all_methods(best, networks) for cell, best in tuned.items()}
    test = Draws(role="test", count=config.draws, series=config.series)
    scores = score(methods, config.cells, test)
    where = Where(
        anatomy="simulated", unit="simulated scan", seed=config.series, generator=generator
    )
    table = _rows(scores, tuned, where)
    if config.tissue is not None:
        logger.info("unseen anatomy: %s", config.tissue.name)
        phantom = TissueFile(config.tissue)
        test = Draws(role="test", count=config.unseen_draws, series=config.series, phantom=phantom)
        reached = score(methods, config.unseen_cells, test)
        other = replace(where, anatomy=UNSEEN, unit="simulated scan of one anatomy")
        table = table.joined(_rows(reached, tuned, other))
    return table.joined(time_rows(tuple(scores.values()), config.series))


def _all_methods(
    tuned: Mapping[str, Tuned], networks: Mapping[str, Reconstruct]
) -> dict[str, Reconstruct]:
    classical = {name: best.method for name, best in tuned.items()}
    return {"zerofilled": Zerofilled(), **classical, **networks}


def _rows(
    scores: Mapping[str, Scores], tuned: Mapping[str, Mapping[str, Tuned]], where: Where
) -> BenchTable:
    table = BenchTable()
    for cell, reached in scores.items():
        settings = {name: best.said for name, best in tuned[cell].items()}
        here = where.inside(cell, settings)
        table = table.joined(mean_rows(reached, here)).joined(paired_rows(reached, here))
    return table

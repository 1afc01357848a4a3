"""``medconsist bench tissue``: how often each flag and each stain kind is right on drawn slides."""

import logging
from typing import Literal

from medconsist.metrics.report import exact_binomial_interval
from medconsist.results.bench import BenchReport, BenchRow
from medconsist.wsi.tissue.measure import measure_flags, measure_stains

__all__ = ["run_bench"]

# Thresholds were chosen on other seeds; see `medconsist.wsi.tissue.measure`.
FIRST_SEED = 2000
Stain = Literal["he", "ihc", "fluorescence"]
SLIDES: dict[Stain, int] = {"he": 40, "ihc": 20, "fluorescence": 20}
STAIN_SEEDS = range(3000, 3030)

logger = logging.getLogger(__name__)


def run_bench(*, slides: dict[Stain, int] | None = None) -> BenchReport:
    """Draw slides with planted faults and count what was found.

    Parameters
    ----------
    slides
        How many of each stain; None takes 40, 20 and 20.
    """
    rows: list[BenchRow] = []
    for stain, count in (slides or SLIDES).items():
        logger.info("%s: %d drawn slides with planted faults ...", stain, count)
        for found in measure_flags(range(FIRST_SEED, FIRST_SEED + count), stain=stain):
            share = found.proportion
            case = f"{stain}, {found.flag}"
            rows += [
                BenchRow(
                    case=case,
                    metric=found.figure,
                    value=share.proportion,
                    unit="1",
                    n=share.n,
                    unit_of_analysis=share.unit_of_analysis,
                    ci_low=share.ci_low,
                    ci_high=share.ci_high,
                    seed=FIRST_SEED,
                ),
                BenchRow(
                    case=case,
                    metric=f"mean area right ({found.figure})",
                    value=found.mean_area,
                    unit="1",
                    n=share.n,
                    unit_of_analysis=share.unit_of_analysis,
                    seed=FIRST_SEED,
                ),
            ]
    seeds = STAIN_SEEDS if slides is None else STAIN_SEEDS[: max(slides.values())]
    logger.info("stain kinds of %d drawn slides each ...", len(seeds))
    rows += [_stain_row(true, n_right, n) for true, n_right, n in _right(seeds)]
    return BenchReport(command="medconsist bench tissue", rows=tuple(rows))


def _right(seeds: range) -> list[tuple[str, int, int]]:
    return [(row.true, row.n, row.n_true) for row in measure_stains(seeds) if row.true == row.found]


def _stain_row(true: str, n_right: int, n: int) -> BenchRow:
    share = exact_binomial_interval(n_right, n, unit="slide")
    return BenchRow(
        case=f"stain kind, {true}",
        metric="taken for itself",
        value=share.proportion,
        unit="1",
        n=n,
        unit_of_analysis="slide",
        ci_low=share.ci_low,
        ci_high=share.ci_high,
        seed=STAIN_SEEDS.start,
    )

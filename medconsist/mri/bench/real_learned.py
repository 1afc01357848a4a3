"""Rows of the real 8-coil slice with networks: as shipped, adapted to it, and from scratch."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Generator

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.metrics.report import interval
from medconsist.mri.bench.real import (
    CASE,
    CLASSICAL,
    REAL_SLICE,
    Drawn,
    lesions_of,
    one_draw,
    withheld_rows,
)
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.learned.zero_shot import ZeroShot, ZeroShotMethod
from medconsist.mri.learned.zero_shot_settings import SCRATCH
from medconsist.mri.methods import Method
from medconsist.mri.prepare import prepare
from medconsist.mri.readers import read_kspace
from medconsist.results.bench import BenchReport, BenchRow, BenchTable, Target, real_data

__all__ = ["NETWORKS", "network_methods", "real_learned_table", "run_bench"]

COMMAND = "medconsist bench zero-shot"
PLAIN, ZERO_SHOT, FROM_SCRATCH = "cirim", "cirim-zero-shot", "scratch-zero-shot"
NETWORKS = (PLAIN, ZERO_SHOT, FROM_SCRATCH)
# What stood in the task before any network was adapted: at most CG-SENSE is required, CS the aim.
YARDSTICKS = (("cgsense", "at or below CG-SENSE (required)"), ("cs", "at or below CS (aim)"))

logger = logging.getLogger(__name__)


def network_methods(*, seed: int, steps: int | None = None) -> dict[str, Method]:
    """Return the shipped CIRIM, the same adapted to the scan, and a network from scratch.

    Parameters
    ----------
    seed
        Of the adaptations.
    steps
        Budget of each adaptation; None takes the default of each.
    """
    model = load_model("cirim")
    shipped, scratch = ZeroShot(), ZeroShot.from_scratch()
    if steps is not None:
        shipped, scratch = (replace(settings, steps=steps) for settings in (shipped, scratch))
    return {
        PLAIN: LearnedMethod(model),
        ZERO_SHOT: ZeroShotMethod(model, shipped, seed=seed),
        FROM_SCRATCH: ZeroShotMethod(SCRATCH, scratch, seed=seed),
    }


def run_bench(*, data: Path | None, seed: int, draws: int = 1) -> BenchReport:
    """Run the table on the slice in the folder of real data.

    Parameters
    ----------
    data
        Folder of real data; None takes the environment variable MEDCONSIST_TEST_DATA.
    seed, draws
        See `real_learned_table`.

    Raises
    ------
    MissingInputError
        The slice is not there.
    """
    path = real_data(data) / REAL_SLICE
    if not path.is_file():
        msg = f"{path} is not there; pass --data FOLDER, or set MEDCONSIST_TEST_DATA."
        raise MissingInputError(msg)
    table = real_learned_table(path, seed=seed, draws=draws)
    return BenchReport(command=COMMAND, rows=table.rows, targets=table.targets)


def real_learned_table(
    path: Path, *, seed: int, draws: int = 1, networks: Mapping[str, Method] | None = None
) -> BenchTable:
    """Return withheld error, lesion response and processor time of classical methods and networks.

    The withheld samples of each draw are those of `real.withheld_table` with the same seed. What
    makes an image has not seen them: weights are chosen, and networks adapted, on the other
    samples, each from its own division of those. One draw takes 6 CPU-minutes, nearly all of it
    for the two adaptations.

    Lesions are put into all samples; the methods are those of the first draw, as they were fixed
    there: networks are adapted once, and not to any lesion.

    Parameters
    ----------
    path
        K-space of the slice.
    seed
        Of withheld samples, sites and bootstrap.
    draws
        Of withheld samples, at least 1; from 2 on there is an interval.
    networks
        Name to method; None takes `network_methods`.

    Raises
    ------
    RefusedInputError
        Less than one draw.
    """
    if draws < 1:
        msg = f"draws got {draws}; allowed: 1 or more. 5 are usual, of 6 CPU-minutes each."
        raise RefusedInputError(msg)
    prepared = prepare(read_kspace(path))
    families = {
        **CLASSICAL,
        **{name: (method,) for name, method in (networks or network_methods(seed=seed)).items()},
    }
    found = []
    for draw in range(draws):
        logger.info("withheld samples with networks: draw %d of %d", draw + 1, draws)
        found.append(one_draw(prepared, families, Generator().manual_seed(seed + draw)))
    rows = [*withheld_rows(found, seed=seed), *_time_rows(found, seed)]
    targets = [
        _target(found, name, yardstick, said)
        for name in families
        if name in (ZERO_SHOT, FROM_SCRATCH)
        for yardstick, said in YARDSTICKS
    ]
    fixed = {name: one.method for name, one in found[0].items() if name != "zerofilled"}
    lesions = lesions_of(fixed, prepared.measurement, seed=seed)
    return BenchTable(tuple(rows), tuple(targets)).joined(lesions)


def _time_rows(draws: Sequence[Mapping[str, Drawn]], seed: int) -> list[BenchRow]:
    generator = Generator().manual_seed(seed)
    rows = []
    for name in draws[0]:
        estimate = interval(
            [found[name].cpu_s for found in draws], unit="draw", generator=generator
        )
        rows.append(
            BenchRow(
                case=f"{CASE}, {name}",
                metric="processor time to choose, adapt and reconstruct",
                value=estimate.mean,
                unit="CPU s",
                n=estimate.n,
                unit_of_analysis="draw",
                ci_low=estimate.ci_low,
                ci_high=estimate.ci_high,
                seed=seed,
            )
        )
    return rows


def _target(draws: Sequence[Mapping[str, Drawn]], name: str, yardstick: str, said: str) -> Target:
    ours, theirs = (
        sum(found[method].error.nrmse for found in draws) / len(draws)
        for method in (name, yardstick)
    )
    return Target(
        name=f"{CASE}, withheld NRMSE of {name}",
        wanted=f"{said}: <= {theirs:.4f}",
        seen=ours,
        met=ours <= theirs,
    )

"""``medconsist mri benchmark``: the CIRIM paper's comparison, in one command.

Networks of every kind are trained on the same simulated T1w slices, in the same order, with the
same loss (``0.1 L1 + 0.9 (1 - SSIM)``), masks of one and two dimensions at 3.5x to 9x, and the same
time of one core each; then all are judged on the same test scans, where nothing has changed since
training and under one shift at a time (`cells_of`). Two views: *equal training time*, with
architectures cut to what a CPU trains in minutes, and *equal parameters* at the same time (241 to
271 thousand, as CIRIM 5 x F = 64). Classical methods have their weights from validation scans of
each cell, shifted ones and wrong maps included, which networks do not get: that favours them.

Named before any network was trained, the contrast of the table: CIRIM less VarNet in SSIM at 1-D
8x, equal training time, paired by scan; the table reports the smallest difference that its scans
would have shown with 80 % power (expected for 24 scans with differences of SD 0.012: 0.007). The
contrast of the dose response is in `dose`; each of the two has its own 5 %. SSIM decides; NMSE and
PSNR stand beside it. Where CIRIM is not first, of all that were trained for the same time, a target
says who is. All other rows and targets describe, and their intervals are not widened for their
number.

Every network is trained once, and intervals are over scans: "ahead" is said of these weights, not
of their architectures. How far two trainings of one network lie apart is not measured here; another
``--seed`` draws other scans, first weights and batches. Equal time is that of the core: on a busy
machine a second holds fewer steps, which the table gives.

What it takes, estimated in core-seconds at the defaults (128 x 128, 10 minutes, 15 networks): 9,000
training, 90 simulation of the pool, 170 of the other scans, 230 tuning, 1,700 judging (24 scans in
25 cells; 0.02 to 0.6 s a slice, 3.0 s by all methods together, measured with untrained weights),
620 lesions, 80 memory, 60 bootstrap: 12,000, an hour and 40 minutes on 2 cores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Generator

from medconsist._atomic import atomic_write_bytes
from medconsist._extras import require
from medconsist.batch.worker_pool import Run, worker_pool
from medconsist.errors import RefusedInputError
from medconsist.mri.bench.learned.rows import Where
from medconsist.mri.bench.learned.scores import Draws
from medconsist.mri.benchmark.cells import ShiftedCell
from medconsist.mri.benchmark.design import Design
from medconsist.mri.benchmark.dose import dose_table
from medconsist.mri.benchmark.entrants import ENTRANTS
from medconsist.mri.benchmark.evaluation import (
    Judged,
    judge_unit,
    judged,
    methods_of,
    units_of,
)
from medconsist.mri.benchmark.insertion_plan import InsertionPlan
from medconsist.mri.benchmark.lesions import lesion_rows, lesions_of_scan
from medconsist.mri.benchmark.manifest_scans import manifest_scans, write_benchmark_split
from medconsist.mri.benchmark.memory import memory_of
from medconsist.mri.benchmark.panels import Panel, panels_of
from medconsist.mri.benchmark.rows import (
    cost_table,
    diverged_table,
    quality_table,
    scope_table,
)
from medconsist.mri.benchmark.sources import SimulatedScans, Source
from medconsist.mri.benchmark.training import Material, Outcome, train_entrant
from medconsist.results.bench import BenchReport, BenchTable
from medconsist.results.kept import KeptFolder

__all__ = ["Benchmarked", "run_benchmark"]

_REPORT = "benchmark.json"
_POOLS = "pools"


@dataclass(frozen=True, eq=False)
class _Finished:
    """A benchmark whose networks are trained and judged: what tables are made of.

    Parameters
    ----------
    design, source
        What it is over.
    kept
        Where finished parts are kept.
    trained
        Every network with its weights, or why it has none.
    judged
        Quality of every method, and the classical methods as they were tuned.
    run
        Runs a function of one argument over a list in the worker processes, and says what it is.
    """

    design: Design
    source: Source
    kept: KeptFolder
    trained: tuple[Outcome, ...]
    judged: Judged
    run: Run


@dataclass(frozen=True, eq=False)
class Benchmarked:
    """The table, and what its figures show.

    Parameters
    ----------
    report
        As ``benchmark.json`` holds it.
    panels
        One for each figure.

    Examples
    --------
    >>> Benchmarked(BenchReport(command="medconsist mri benchmark", rows=()), ()).panels
    ()
    """

    report: BenchReport
    panels: tuple[Panel, ...]


def run_benchmark(
    out: Path, design: Design, *, data: Path | None = None, workers: int = 2
) -> Benchmarked:
    """Train, judge and write the table, or go on with it.

    Parameters
    ----------
    out
        New, or the folder of the same benchmark: what is finished there is not computed again.
        ``benchmark.json`` is written last.
    design
        See `Design`.
    data
        A case manifest of fully sampled k-space files, in place of the simulator.
    workers
        Processes of one thread each; 1 stays in this process.

    Raises
    ------
    RefusedInputError
        The folder is of another design, a file of the manifest cannot be used, or no worker.
    MissingExtraError
        Lightning, TensorBoard or torchmetrics is not installed.
    """
    if workers < 1:
        msg = f"workers got {workers}; allowed: 1 or more."
        raise RefusedInputError(msg)
    for module in ("lightning.pytorch", "tensorboard", "torchmetrics"):
        require(module, extra="train")  # before minutes of simulation
    manifest = None if data is None else manifest_scans(design, data)
    source: Source = manifest or SimulatedScans(design)
    kept = KeptFolder(out, design.as_config() | dict(source.as_config()))
    if manifest is not None:
        write_benchmark_split(manifest, out)
    _material(source, out)  # made here, before every worker would make it
    with worker_pool(workers) as run:
        train = partial(_train, design, source, kept)
        trained = tuple(run("trainings", train, design.networks))
        judge = partial(judge_unit, design, source, kept, trained)
        run("validation scans", judge, units_of(source, "validation"))
        run("test scans", judge, units_of(source, "test"))
        memory = run("networks weighed", partial(_memory, kept, source), trained)
        quality = judged(design, source, kept, trained)
        finished = _Finished(design, source, kept, trained, quality, run)
        table = _table(finished, {one.name: m for one, m in zip(trained, memory, strict=True)})
        table = table.joined(_lesions(finished))
    report = BenchReport(command="medconsist mri benchmark", rows=table.rows, targets=table.targets)
    atomic_write_bytes(out / _REPORT, report.to_json().encode() + b"\n")
    return Benchmarked(report, panels_of(quality, source.cells, unit=source.unit))


def _table(finished: _Finished, memory: dict[str, dict[str, float]]) -> BenchTable:
    design, source, found = finished.design, finished.source, finished.judged
    where = Where(
        anatomy=source.anatomy,
        unit=source.unit,
        seed=design.seed,
        generator=Generator().manual_seed(design.seed),
    )
    table = quality_table(found, where)
    doses = dose_table(source.cells, found.scores, where)
    budget = design.seconds if design.steps is None else None
    costs = cost_table(finished.trained, found, memory, where=where, budget=budget)
    said = diverged_table(found, where).joined(scope_table(finished.trained, where))
    return table.joined(doses).joined(costs).joined(said)


def _lesions(finished: _Finished) -> BenchTable:
    """Return the table of lesions inserted into the simulated test scans; none for files."""
    design, source = finished.design, finished.source
    cells = tuple(cell for cell in source.cells if cell.name in design.with_lesions)
    if not cells or not isinstance(source, SimulatedScans):
        return BenchTable()
    one = partial(_lesion_scan, design, source, finished.kept, finished.trained, cells)
    found = finished.run("scans with lesions", one, range(design.scans))
    return lesion_rows(found, InsertionPlan(), seed=design.seed)


def _lesion_scan(
    design: Design,
    source: Source,
    kept: KeptFolder,
    trained: Sequence[Outcome],
    cells: Sequence[ShiftedCell],
    number: int,
) -> dict[str, Any]:
    draws = Draws(role="test", count=design.scans, series=design.seed)
    views = {one.name: one.views for one in design.entrants}
    methods = {
        name: {one: method for one, method in found.items() if "time" in views.get(one, ("time",))}
        for cell in cells
        for name, found in methods_of(design, source, kept, trained, cell.scans).items()
    }
    return kept.part(
        f"lesions/scan {number}",
        lambda: lesions_of_scan(methods, cells, number, draws=draws, plan=InsertionPlan()),
    )


def _train(design: Design, source: Source, kept: KeptFolder, name: str) -> Outcome:
    return train_entrant(design, ENTRANTS[name], kept, _material(source, kept.path))


def _memory(kept: KeptFolder, source: Source, one: Outcome) -> dict[str, float]:
    if one.weights is None:
        return {}
    entrant, folder = ENTRANTS[one.name], kept.path / _POOLS
    name = f"memory/{one.name}"
    return kept.part(name, lambda: memory_of(entrant, source.pool("validation", folder)))


def _material(source: Source, out: Path) -> Material:
    return Material(source.pool("training", out / _POOLS), source.pool("validation", out / _POOLS))

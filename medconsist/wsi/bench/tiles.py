"""``medconsist bench tiles``: readers and loader beside the decoder on the same bytes."""

import logging
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import MissingExtraError
from medconsist.results.bench import BenchReport, BenchRow, BenchTable, Target, real_data
from medconsist.tiling.loader import TileLoader
from medconsist.wsi.bench.memory import memory_table
from medconsist.wsi.bench.rho import (
    Pace,
    Rho,
    SlowReads,
    compared,
    core_seconds,
    loader_pass,
    raw_pass,
    streams_of,
)
from medconsist.wsi.encoders.choice import make_encoder
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.readers.stored_bytes import Reads
from medconsist.wsi.simulate import SlideConfig, write_recipe_slide
from medconsist.wsi.slide import Slide
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["run_bench"]

REAL = Path("wsi/CMU-1-Small-Region.svs")
SYNTHETIC_PX = 10_240
ROUNDS = 5  # by the wall clock
SHORT_ROUNDS = 9  # by the processor's: short ones, in turn with the decoder
FEW_ROUNDS = 3  # where there is no target
STREAMS = 400  # of a round of the decoder
BATCH = 64  # what the loader fills by default
FEW = 300  # tiles for readers that take milliseconds a tile
ENCODED = 160  # tiles for an encoder, which takes far more
LATENCY_S = 0.02

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """One slide that is timed, opened by both engines.

    Parameters
    ----------
    name
        In the rows.
    direct, reference
        The same file.
    """

    name: str
    direct: DirectSlide
    reference: OpenSlideSlide

    def grid(self, *, factor: float = 1.0, overlap: float = 0.0) -> TileGrid:
        """Return a grid of the stored tile size at ``factor`` times the mpp of level 0."""
        width, height = self.direct.facts.size
        stored = self.direct.stored[0].tile_width
        mpp = self.direct.facts.mpp().x
        return TileGrid(
            width=width,
            height=height,
            mpp=Mpp(mpp, mpp, "bench"),
            target_mpp=mpp * factor,
            tile_px=stored,
            overlap_px=round(stored * overlap),
        )


def run_bench(*, data: Path | None = None, seed: int = 0) -> BenchReport:
    """Time the readers on a drawn slide and, where it is found, on the real one.

    Parameters
    ----------
    data
        Folder of real data; None takes the environment variable MEDCONSIST_TEST_DATA. Without the
        real slide its rows are left out.
    seed
        Of the drawn slide.
    """
    tables = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "recipe.svs"
        config = SlideConfig(width=SYNTHETIC_PX, height=SYNTHETIC_PX, mpp=0.25, seed=seed)
        logger.info("drawing a slide of %d x %d px ...", SYNTHETIC_PX, SYNTHETIC_PX)
        write_recipe_slide(path, config)
        with opened("drawn", path) as subject:
            parts = (exact, paces, into_a_batch, others, threads, latency, encoder)
            tables += [part(subject) for part in parts]
        real = real_data(data) / REAL
        if real.is_file():
            with opened("real", real) as subject:
                tables += [part(subject) for part in (exact, paces, into_a_batch, others)]
        else:
            logger.info("%s is not there: its rows are left out", real)
        tables.append(memory_table(Path(name)))
    joined = BenchTable()
    for table in tables:
        joined = joined.joined(table)
    return BenchReport(command="medconsist bench tiles", rows=joined.rows, targets=joined.targets)


@contextmanager
def opened(name: str, path: Path) -> Iterator[Subject]:
    """Open a slide by both engines."""
    reference = OpenSlideSlide(path)
    direct = DirectSlide(path, reference.facts)
    with reference, direct:
        yield Subject(name, direct, reference)


def exact(subject: Subject) -> BenchTable:
    """Compare the pixels of both engines, at native scale and at half of it."""
    logger.info("%s: pixels beside OpenSlide ...", subject.name)
    rows, targets = [], []
    for factor, metric, wanted, limit in (
        (1.0, "largest difference from OpenSlide", "0", 0.0),
        (2.0, "mean difference from OpenSlide, area-resized", "<= 1", 1.0),
    ):
        grid = subject.grid(factor=factor)
        items = spread(grid, FEW)
        ours, theirs = (slide.tiles(grid, items).all() for slide in slides(subject))
        difference = np.abs(ours.astype(np.int16) - theirs)
        value = float(difference.max() if factor == 1 else difference.mean())
        case = f"{subject.name}, scale 1/{factor:g}"
        rows.append(row(case, metric, value, "/255", n=len(items)))
        targets.append(
            Target(name=f"{case}: {metric}", wanted=wanted, seen=value, met=value <= limit)
        )
    return BenchTable(tuple(rows), tuple(targets))


def paces(subject: Subject) -> BenchTable:
    """Measure rho of the loader: aligned, overlapping, at half scale, at an odd scale."""
    streams = streams_of(subject.direct, most=STREAMS)
    cases: tuple[tuple[str, TileGrid, int, str | None, float], ...] = (
        ("aligned", subject.grid(), 1, ">= 0.90", 0.9),
        ("25 % overlap", subject.grid(overlap=0.25), 1, ">= 0.80", 0.8),
        ("40x to 20x", subject.grid(factor=2.0), 2, ">= 0.90", 0.9),
        ("scale 1.002", subject.grid(factor=1.002), 1, None, 0.0),
        ("scale 2.004", subject.grid(factor=2.004), 2, None, 0.0),
    )
    table = BenchTable()
    for words, grid, shrink, wanted, limit in cases:
        logger.info("%s: loader, %s ...", subject.name, words)
        loader = TileLoader(subject.direct.tiles(grid, everything(grid)), threads=1)
        rounds = FEW_ROUNDS if wanted is None else SHORT_ROUNDS
        rho = compared(loader, streams, shrink=shrink, rounds=rounds)
        table = table.joined(_rho_rows(f"{subject.name}, {words}", rho, shrink, wanted, limit))
    return table


def _rho_rows(case: str, rho: Rho, shrink: int, wanted: str | None, limit: float) -> BenchTable:
    against = "rho" if shrink == 1 else "rho against raw 1/2-scale decoding"
    rows = (
        row(
            case,
            f"{against}, stored tiles",
            rho.value,
            "1",
            n=len(rho.rounds),
            unit="round",
            low=min(rho.rounds),
            high=max(rho.rounds),
        ),
        row(
            case,
            "stored tiles a core-second",
            rho.loader.per_core_second,
            "1/s",
            n=rho.loader.work,
            baseline=rho.limit.per_core_second,
        ),
    )
    if wanted is None:
        return BenchTable(rows)
    target = Target(
        name=f"{case}: {against}", wanted=wanted, seen=rho.value, met=rho.value >= limit
    )
    return BenchTable(rows, (target,))


def into_a_batch(subject: Subject) -> BenchTable:
    """Measure what the decoder itself loses where it writes a batch instead of one buffer."""
    streams = streams_of(subject.direct, most=STREAMS)

    def pace(buffers: int) -> float:
        return raw_pass(streams, buffers=buffers).per_core_second

    shares = median_ratio(lambda: pace(BATCH), lambda: pace(1))
    case = f"{subject.name}, libjpeg-turbo alone"
    found = row(
        case,
        f"rho, decoding into {BATCH} buffers in turn",
        statistics.median(shares),
        "1",
        n=len(shares),
        unit="round",
        low=min(shares),
        high=max(shares),
    )
    return BenchTable((found,))


def others(subject: Subject) -> BenchTable:
    """Measure what else reads the same tiles: OpenSlide, tifffile, cuCIM where it is installed."""
    grid, half = subject.grid(), subject.grid(factor=2.0)
    limit = statistics.median(
        raw_pass(streams_of(subject.direct)).per_core_second for _ in range(3)
    )
    found: dict[str, Pace] = {}
    for words, tiles, slide in (
        ("OpenSlide, aligned", grid, subject.reference),
        ("OpenSlide, 40x to 20x", half, subject.reference),
        *cucim_cases(subject, grid, half),
    ):
        logger.info("%s: %s ...", subject.name, words)
        found[words] = loader_pass(TileLoader(slide.tiles(tiles, spread(tiles, FEW)), threads=1))
    found["tifffile, aligned"] = tifffile_pass(subject.direct.path, FEW)
    rows = []
    for words, pace in found.items():
        stored = 4 if "20x" in words else 1
        value = pace.items * stored / pace.core_seconds
        case = f"{subject.name}, {words}"
        rows.append(row(case, "rho, stored tiles", value / limit, "1", n=pace.items))
        rows.append(row(case, "tiles a core-second", value / stored, "1/s", n=pace.items))
    return BenchTable(tuple(rows))


def cucim_cases(
    subject: Subject, grid: TileGrid, half: TileGrid
) -> Iterator[tuple[str, TileGrid, Slide]]:
    """Yield the cases of cuCIM; none where it is not installed."""
    try:
        slide = open_slide(subject.direct.path, engine="cucim", check=False)
    except MissingExtraError:
        return
    yield "cuCIM, aligned", grid, slide
    yield "cuCIM, 40x to 20x", half, slide


def tifffile_pass(path: Path, most: int) -> Pace:
    """Decode stored tiles as tifffile does, by imagecodecs."""
    tifffile = require("tifffile", extra="wsi")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        numbers = np.linspace(0, len(page.dataoffsets) - 1, most).astype(np.int64)

        def run() -> None:
            for number in numbers:
                tiff.filehandle.seek(page.dataoffsets[number])
                data = tiff.filehandle.read(page.databytecounts[number])
                page.decode(data, int(number), jpegtables=page.jpegtables)

        run()
        cpu, wall = core_seconds(run)
    return Pace(items=len(numbers), decoded=len(numbers), core_seconds=cpu, seconds=wall)


def threads(subject: Subject) -> BenchTable:
    """Measure how much faster two decoding threads are than one, on the wall clock."""
    logger.info("%s: two threads ...", subject.name)
    grid = subject.grid()
    source = subject.direct.tiles(grid, everything(grid))
    one, two = (TileLoader(source, threads=count) for count in (1, 2))
    gain = median_ratio(lambda: loader_pass(one).seconds, lambda: loader_pass(two).seconds)
    return judged(f"{subject.name}, aligned", "two threads over one", gain, ">= 1.8", 1.8)


def latency(subject: Subject) -> BenchTable:
    """Measure the throughput with 20 ms before every read, over that without."""
    logger.info("%s: slow reads ...", subject.name)
    grid, path = subject.grid(), subject.direct.path
    slow = DirectSlide(path, subject.direct.facts, reads=SlowReads(Reads(path), latency=LATENCY_S))
    with slow:
        fast_loader, slow_loader = (
            TileLoader(slide.tiles(grid, everything(grid)), threads=2)
            for slide in (subject.direct, slow)
        )
        share = median_ratio(
            lambda: loader_pass(fast_loader).seconds, lambda: loader_pass(slow_loader).seconds
        )
    case = f"{subject.name}, 20 ms a read"
    return judged(case, "throughput over that without", share, ">= 0.80", 0.8)


def encoder(subject: Subject) -> BenchTable:
    """Measure loader and encoder together over the encoder alone on tiles in memory."""
    logger.info("%s: with an encoder ...", subject.name)
    network = make_encoder("resnet18-random", device=device_here())
    grid = TileGrid(
        width=subject.grid().width,
        height=subject.grid().height,
        mpp=Mpp(0.25, 0.25, "bench"),
        target_mpp=0.5,
        tile_px=network.input_px,
    )
    source = subject.direct.tiles(grid, spread(grid, ENCODED))
    held = [batch.tiles.clone() for batch in TileLoader(source, batch=32, device=network.device)]
    loader = TileLoader(source, batch=32, threads=1, device=network.device)

    def encode(batches: Iterable[Tensor]) -> float:
        def run() -> None:
            for tiles in batches:
                network(tiles)
            if network.device.type == "cuda":
                torch.cuda.synchronize()

        return core_seconds(run)[1]

    def alone() -> float:
        return encode(held)

    def together() -> float:
        return encode(one.tiles for one in loader)

    cost = median_ratio(together, alone)
    case = f"{subject.name}, {network.name} on {network.device}"
    return judged(case, "wall time over the encoder alone", cost, "<= 1.10", 1.1, below=True)


def device_here() -> str:
    """Return where an encoder runs on this machine."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def median_ratio(above: Callable[[], float], below: Callable[[], float]) -> list[float]:
    """Return the ratios of rounds in which both take turns."""
    above()
    below()
    return [above() / below() for _ in range(ROUNDS)]


def judged(
    case: str, metric: str, ratios: list[float], wanted: str, limit: float, *, below: bool = False
) -> BenchTable:
    """Return a row of rounds and its target."""
    value = statistics.median(ratios)
    met = value <= limit if below else value >= limit
    found = row(
        case, metric, value, "1", n=len(ratios), unit="round", low=min(ratios), high=max(ratios)
    )
    return BenchTable(
        (found,), (Target(name=f"{case}: {metric}", wanted=wanted, seen=value, met=met),)
    )


def row(
    case: str,
    metric: str,
    value: float,
    value_unit: str,
    *,
    n: int,
    unit: str = "tile",
    baseline: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> BenchRow:
    """Return one row; the ends are the least and the largest round."""
    return BenchRow(
        case=case,
        metric=metric,
        value=value,
        unit=value_unit,
        n=n,
        unit_of_analysis=unit,
        baseline=baseline,
        ratio=None if baseline is None else value / baseline,
        ci_low=low,
        ci_high=high,
    )


def slides(subject: Subject) -> tuple[Slide, Slide]:
    """Return both engines."""
    return subject.direct, subject.reference


def everything(grid: TileGrid) -> npt.NDArray[np.int64]:
    """Return every tile of a grid."""
    return np.arange(len(grid), dtype=np.int64)


def spread(grid: TileGrid, most: int) -> npt.NDArray[np.int64]:
    """Return at most so many tiles from all over a grid."""
    return np.unique(np.linspace(0, len(grid) - 1, most).astype(np.int64))

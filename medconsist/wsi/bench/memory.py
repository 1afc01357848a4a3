"""How the peak memory of a loader grows with the slide: measured in processes of their own."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from medconsist.results.bench import BenchRow, BenchTable, Target
from medconsist.results.resident import peak_bytes, restart_peak
from medconsist.tiling.loader import TileLoader
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.readers.direct import DirectSlide
from medconsist.wsi.readers.openslide_reader import OpenSlideSlide
from medconsist.wsi.simulate import write_repeated_slide
from medconsist.wsi.tile_grid import TileGrid

__all__ = ["memory_table"]

WIDTHS = (10_000, 80_000)
ROWS = 20  # of tiles: more of them hold no more memory
LIMIT_MIB = 64
CASES = {"aligned": (1.0, 0), "25 % overlap": (1.0, 64), "40x to 20x": (2.0, 0)}
MPP = Mpp(0.25, 0.25, "bench")


def memory_table(folder: Path) -> BenchTable:
    """Return the growth of peak memory from slides of 10,000 to 80,000 px.

    Parameters
    ----------
    folder
        For the two slides.
    """
    for width in WIDTHS:
        write_repeated_slide(path_of(folder, width), width=width, height=width)
    rows, targets = [], []
    for case, (factor, overlap) in CASES.items():
        small, large = (_peak(path_of(folder, width), factor, overlap) for width in WIDTHS)
        growth = (large - small) / 2**20
        name = f"repeated tiles, {case}"
        metric = "growth of peak memory from 10,000 to 80,000 px"
        rows.append(
            BenchRow(
                case=name, metric=metric, value=growth, unit="MiB", n=1, unit_of_analysis="slide"
            )
        )
        targets.append(
            Target(
                name=f"{name}: {metric}",
                wanted=f"<= {LIMIT_MIB} MiB",
                seen=growth,
                met=growth <= LIMIT_MIB,
            )
        )
    return BenchTable(tuple(rows), tuple(targets))


def path_of(folder: Path, width: int) -> Path:
    """Return where the slide of this width lies."""
    return folder / f"repeated-{width}.svs"


def _peak(path: Path, factor: float, overlap: int) -> int:
    command = [sys.executable, "-m", __name__, str(path), str(factor), str(overlap)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  ours
    return int(json.loads(done.stdout))


def main() -> None:
    """Read a slide and print the peak of resident memory beyond that after the imports [bytes]."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("factor", type=float)
    parser.add_argument("overlap", type=int)
    asked = parser.parse_args()
    restart_peak()
    start = peak_bytes()
    with OpenSlideSlide(asked.path) as reference:
        slide = DirectSlide(asked.path, reference.facts)
    width, height = slide.facts.size
    grid = TileGrid(
        width=width,
        height=height,
        mpp=MPP,
        target_mpp=MPP.x * asked.factor,
        tile_px=256,
        overlap_px=asked.overlap,
    )
    items = np.arange(min(len(grid), ROWS * grid.shape[1]), dtype=np.int64)
    for batch in TileLoader(slide.tiles(grid, items), threads=2):
        del batch
    sys.stdout.write(json.dumps(peak_bytes() - start))


if __name__ == "__main__":
    main()

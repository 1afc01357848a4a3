"""Kill embeddings with SIGKILL at random times and look what they leave; run by path.

Usage: ``python embed_kill_loop.py SLIDE FOLDER KILLS SEED``. Prints one JSON object. Children are
forked after the imports, so that a kill hits the embedding and not the start of Python. The encoder
rests after every batch, and every block of tiles is stored at once: most kills fall between blocks.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import zarr  # noqa: F401  before the fork
from torch import Tensor

from medconsist.results.store import ResultStore
from medconsist.wsi import task
from medconsist.wsi.bags.bag_writer import BagPlan, BagWriter
from medconsist.wsi.settings import Embedding
from medconsist.wsi.task import SlideJob, embed_slide
from tests.wsi.small_slide import QuarterMeans

BATCH = 16
REST_S = 0.01


class Small(BagWriter):
    """The writer with blocks of one batch."""

    def __init__(self, folder: Path, plan: BagPlan) -> None:
        super().__init__(folder, plan, block_tiles=BATCH)


class Slow(QuarterMeans):
    """Rests after every batch."""

    def _features(self, tiles: Tensor) -> Tensor:
        time.sleep(REST_S)
        return super()._features(tiles)


def job(slide: Path, out: Path, encoder: QuarterMeans) -> SlideJob:
    settings = Embedding(overlap_px=32)
    return SlideJob(slide=slide, out=out, encoder=encoder, settings=settings, batch=BATCH)


def in_child(slide: Path, out: Path) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            embed_slide(job(slide, out, Slow()))
            code = 0
        finally:
            os._exit(code)
    return child


def stored_bytes(case: Path) -> int:
    total = 0
    for path in case.glob(".bag-*"):
        with contextlib.suppress(FileNotFoundError):  # the child removes it when it is done
            total += (path / "features.part").stat().st_size
    return total


def drafts(case: Path) -> set[Path]:
    return set(case.glob(".draft-*"))


def grown(case: Path, before: int) -> bool:
    return stored_bytes(case) > before


def drafted(case: Path, old: set[Path]) -> bool:
    return bool(drafts(case) - old)


def wait_for(seen: Callable[[], bool], child: int) -> None:
    """Return when something is seen, or when the child has ended."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while not seen() and os.waitid(os.P_PID, child, flags) is None:
        time.sleep(0.0005)


def main(slide: Path, folder: Path, kills: int, seed: int) -> dict[str, int | bool]:
    vars(task)["BagWriter"] = Small  # blocks of 1024 tiles would need a large slide
    draw = random.Random(seed)  # noqa: S311  times of kills, no secrets
    calm = embed_slide(job(slide, folder / "calm", QuarterMeans())).stored
    out = folder / "out"
    store, case = ResultStore(out, "wsi"), slide.stem
    place = store.case_path(case)
    counts = dict.fromkeys(("landed", "torn", "went_on", "went_back", "in_writing"), 0)
    for number in range(2 * kills):
        before, old = stored_bytes(place), drafts(place)
        child = in_child(slide, out)
        if number < kills:  # a kill among the blocks, then one while the result is written
            wait_for(partial(grown, place, before), child)
            time.sleep(draw.uniform(0, 3 * REST_S))
        else:
            wait_for(partial(drafted, place, old), child)
            time.sleep(draw.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        counts["landed"] += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        counts["torn"] += sum(bool(store.verify(case, key)) for key in store.keys(case))
        counts["went_on"] += grown(place, before)
        counts["went_back"] += stored_bytes(place) < before and not store.keys(case)
        counts["in_writing"] += drafted(place, old)
    encoder = QuarterMeans()
    stored = embed_slide(job(slide, out, encoder)).stored
    found, wanted = ([a.sha256 for a in one.result.arrays] for one in (stored, calm))
    return counts | {
        "same_arrays": found == wanted,
        "tiles_of_the_last_run": encoder.tiles_seen,
        "left_over": len(list(place.glob(".*"))),
        "history": len(store.history.read().lines),
    }


if __name__ == "__main__":
    given = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    print(json.dumps(main(*given)))  # noqa: T201

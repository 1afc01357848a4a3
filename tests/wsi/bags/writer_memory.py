"""Write a bag of 78 MiB by blocks and print how much the peak of memory grew; run by path.

Usage: ``python writer_memory.py FOLDER``. Prints one JSON object.
"""

import json
import resource
import sys
from pathlib import Path

import torch

from medconsist.wsi.bags.bag_writer import BagPlan, BagWriter
from medconsist.wsi.bags.simulate import simulated_bag

TILES, DIM, BATCH = 20_000, 2048, 1000


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write(folder: Path, tiles: int) -> Path:
    like = simulated_bag(tiles=tiles, dim=1)
    path = folder / f"{tiles}.safetensors"
    features = torch.ones(BATCH, DIM, dtype=torch.float16)
    with BagWriter(folder, BagPlan(like.header, like.index, dim=DIM)) as writer:
        while writer.done < tiles:
            writer.append(features)
        writer.finish(path)
        writer.discard()
    return path


def main(folder: Path) -> dict[str, float]:
    write(folder, 2 * BATCH)
    before = peak_mib()
    path = write(folder, TILES)
    return {"bag_mib": path.stat().st_size / 2**20, "grown_mib": peak_mib() - before}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))  # noqa: T201

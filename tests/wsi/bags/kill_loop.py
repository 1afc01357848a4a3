"""Kill writers of one bag with SIGKILL at random times and look what they leave; run by path.

Usage: ``python kill_loop.py FOLDER KILLS SEED``. Prints one JSON object. Children are forked after
the imports, so that a kill hits the writing and not the start of Python.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from medconsist.errors import MedconsistError
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.bag_file import read_bag
from medconsist.wsi.bags.bag_writer import BagPlan, BagWriter
from medconsist.wsi.bags.simulate import simulated_bag

TILES, DIM, BATCH = 600, 512, 20


def write(folder: Path, bag: Bag) -> None:
    plan = BagPlan(bag.header, bag.index, dim=DIM)
    with BagWriter(folder, plan, block_tiles=60) as writer:
        while writer.done < TILES:
            writer.append(bag.features[writer.done : writer.done + BATCH])
        writer.finish(folder / "bag.safetensors")
        writer.discard()


def in_child(folder: Path, bag: Bag) -> int:
    child = os.fork()
    if child == 0:
        write(folder, bag)
        os._exit(0)
    return child


def state(path: Path) -> str:
    if not path.exists():
        return "none"
    try:
        read_bag(path)
    except MedconsistError:
        return "torn"
    return "whole"


def resumed_at(folder: Path, bag: Bag) -> int:
    with BagWriter(folder, BagPlan(bag.header, bag.index, dim=DIM)) as writer:
        return writer.done


def main(folder: Path, kills: int, seed: int) -> dict[str, int]:
    bag = simulated_bag(tiles=TILES, dim=DIM)
    draw = random.Random(seed)  # noqa: S311  times of kills, no secrets
    (folder / "calm").mkdir()
    start = time.perf_counter()
    os.waitpid(in_child(folder / "calm", bag), 0)
    longest_s = 1.1 * (time.perf_counter() - start)
    counts = dict.fromkeys(["landed", "tries", "none", "whole", "torn", "resumed"], 0)
    while counts["landed"] < kills and counts["tries"] < 8 * kills:
        counts["tries"] += 1
        case = folder / f"try-{counts['tries']}"
        case.mkdir()
        child = in_child(case, bag)
        time.sleep(draw.uniform(0, longest_s))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        counts["landed"] += os.WIFSIGNALED(status)
        longest_s *= 1.05 if os.WIFSIGNALED(status) else 0.8
        found = state(case / "bag.safetensors")
        counts[found] += 1
        if found == "none":
            counts["resumed"] += resumed_at(case, bag) > 0
        write(case, bag)
    wanted = (folder / "calm" / "bag.safetensors").read_bytes()
    files = list(folder.glob("try-*/*"))
    same = sum(path.read_bytes() == wanted for path in files if path.is_file())
    return counts | {"same": same, "files": len(files)}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201

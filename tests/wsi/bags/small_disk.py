"""Write a bag on a disk that takes only small files; run by path, like a command.

Usage: ``python small_disk.py FOLDER LIMIT_BYTES DIM``. Exit code and sentence are the error's.
"""

import resource
import sys
from pathlib import Path

from medconsist.errors import MedconsistError
from medconsist.wsi.bags.bag_writer import BagPlan, BagWriter
from medconsist.wsi.bags.simulate import simulated_bag


def main(folder: Path, limit: int, dim: int) -> int:
    bag = simulated_bag(tiles=100, dim=dim)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        with BagWriter(folder, BagPlan(bag.header, bag.index, dim=dim), block_tiles=10) as writer:
            while writer.done < 100:
                writer.append(bag.features[writer.done : writer.done + 10])
            writer.finish(folder / "bag.safetensors")
    except MedconsistError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))

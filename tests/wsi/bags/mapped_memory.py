"""Open a large bag memory-mapped and print how much memory that took; run by path.

Usage: ``python mapped_memory.py FILE MODE``, MODE ``mapped`` or ``verified``. Prints one JSON
object: MiB that the peak grew by when the file was opened, and after one row was used.
"""

import json
import resource
import sys
from pathlib import Path

from medconsist.wsi.bags.bag_file import read_bag, write_bag
from medconsist.wsi.bags.simulate import simulated_bag


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(path: Path, *, verify: bool) -> dict[str, float]:
    small = path.with_name("small.safetensors")
    write_bag(small, simulated_bag(tiles=3, dim=4))
    read_bag(small)
    before = peak_mib()
    bag = read_bag(path, verify=verify)
    opened = peak_mib() - before
    row = float(bag.features[len(bag) // 2].float().sum())
    return {"opened": opened, "used": peak_mib() - before, "row": row, "tiles": len(bag)}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), verify=sys.argv[2] == "verified")))  # noqa: T201

"""Reconstruct a volume, and print by how much its process grew while it did."""

import json
import sys
from pathlib import Path

import torch

from medconsist.mri.computed import compute
from medconsist.mri.file_of_frames import read_frame
from medconsist.mri.job import Job
from medconsist.mri.methods import CgSense
from medconsist.mri.settings import Reconstruction
from medconsist.mri.trust import TrustConfig


def status(name: str) -> int:
    """Return a line of the status of this process, e.g. its peak, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(name)]
    return 1024 * int(line.split()[1])


def peak_of(path: Path, maps: Path, slab_bytes: int) -> int:
    """Return the peak above what the process had before it read the file."""
    what = Reconstruction(method=CgSense(iterations=2), comparators=(), trust=TrustConfig(probes=1))
    job = Job(input=path, maps=maps, out=path.parent, reconstruction=what, slab_bytes=slab_bytes)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the imports
    compute(job, read_frame(job, None), {})
    return status("VmHWM") - before


if __name__ == "__main__":
    torch.set_num_threads(1)
    small, small_maps, large, maps = (Path(name) for name in sys.argv[1:5])
    peak_of(small, small_maps, 2**20)  # plans of transforms, caches of torch
    sys.stdout.write(json.dumps(peak_of(large, maps, int(sys.argv[5]))))

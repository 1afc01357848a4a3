"""Undersampled scans of the simulator, 48 x 48, as measurements."""

import torch

from medconsist.mri.forward import Measurement
from medconsist.mri.learned.draws import undersample
from medconsist.mri.sampling_masks import Gaussian2D
from medconsist.mri.scan_pool import PoolConfig, ScanPool

SIDE = 12


def scans(
    count: int, *, seed: int = 0, acceleration: float = 3.0, snr: float = 30.0
) -> list[Measurement]:
    """One slice each; the central 12 x 12 is fully sampled."""
    pool = ScanPool.simulate(
        PoolConfig(scans=count, slices=1, size=48, coils=4, seed=seed, snr=(snr, snr))
    )
    generator = torch.Generator().manual_seed(seed)
    kind = Gaussian2D(acceleration=acceleration, center=(SIDE, SIDE))
    found = []
    for number in range(count):
        seen = undersample(pool.at([number]), kind((48, 48), generator)[None])
        found.append(Measurement(seen.samples, seen.mask, seen.maps, float(seen.sigma)))
    return found

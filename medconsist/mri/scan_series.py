"""Files of simulated scans in number, each from its own seed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from medconsist._atomic import make_folder
from medconsist.errors import RefusedInputError
from medconsist.mri.phantom.tissue import FLAIR, T1W, T2W
from medconsist.mri.phantom.tissue_file import TissueFile
from medconsist.mri.sampling_masks import Gaussian2D
from medconsist.mri.scan_file import write_scan
from medconsist.mri.simulate import ScanConfig, SimulatedScan, simulate

__all__ = ["CONTRASTS", "Series", "simulate_series", "write_series"]

CONTRASTS = {contrast.name: contrast for contrast in (T1W, T2W, FLAIR)}
FIELD_OF_VIEW_MM = 230.4
SLICE_SPACING_MM = 6.0
LARGEST_SIZE = 1024  # a head of 0.2 mm; the object needs four times the memory of the image
SEED_STRIDE = 1_000_003  # a prime: the seeds of two series do not meet for small numbers


@dataclass(frozen=True, kw_only=True)
class Series:
    """Scans that differ in anatomy, coils, noise and mask, and agree in everything else.

    Parameters
    ----------
    scans
        How many.
    contrast
        Name in `CONTRASTS`.
    slices, size, coils, lesions
        Slices, rows and columns, receive coils, lesions of each scan.
    acceleration
        Asked of a Gaussian 2-D mask with a calibration region; 1 samples fully.
    tissue
        Tissue maps in JEMRIS layout; None takes the generated head.
    seed
        Of the series.

    Raises
    ------
    RefusedInputError
        A number or the contrast is not allowed.

    Examples
    --------
    >>> Series(scans=2).config.shape
    (192, 192)
    """

    scans: int = 1
    contrast: str = "FLAIR"
    slices: int = 3
    size: int = 192
    coils: int = 8
    lesions: int = 4
    acceleration: float = 6.0
    tissue: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"scans": 1, "slices": 1, "size": 1, "coils": 1, "lesions": 0}
        wrong = {name: n for name, n in least.items() if getattr(self, name) < n}
        if wrong or self.size > LARGEST_SIZE:
            got = ", ".join(f"{name} {getattr(self, name)}" for name in wrong or ("size",))
            msg = (
                f"got {got}; allowed: at least 1 scan, 1 slice and 1 coil, no fewer than 0 "
                f"lesions, and a size of 1 to {LARGEST_SIZE}."
            )
            raise RefusedInputError(msg)
        if self.contrast not in CONTRASTS:
            msg = f"contrast got {self.contrast!r}; allowed: {', '.join(CONTRASTS)}."
            raise RefusedInputError(msg)

    @property
    def config(self) -> ScanConfig:
        """The configuration of every scan."""
        spacing = FIELD_OF_VIEW_MM / self.size
        return ScanConfig(
            contrast=CONTRASTS[self.contrast],
            shape=(self.size, self.size),
            n_slices=self.slices,
            voxel_size_mm=(SLICE_SPACING_MM, spacing, spacing),
            n_coils=self.coils,
            lesions=(self.lesions, self.lesions),
        )


def simulate_series(series: Series) -> Iterator[SimulatedScan]:
    """Yield the scans; scan i is the same whether or not others are made.

    Raises
    ------
    RefusedInputError
        A setting is out of range; see `ScanConfig` and ``Gaussian2D``.
    """
    phantom = None if series.tissue is None else TissueFile(series.tissue)
    for number in range(series.scans):
        generator = torch.Generator().manual_seed(series.seed * SEED_STRIDE + number)
        scan = simulate(series.config, generator, phantom=phantom)
        if not math.isclose(series.acceleration, 1.0):
            kind = Gaussian2D(acceleration=series.acceleration, center=(24, 24))
            scan = scan.undersampled(kind(series.config.shape, generator))
        yield scan


def write_series(series: Series, folder: Path) -> list[Path]:
    """Write ``scan-000.h5``, ``scan-001.h5`` ... and return their paths; each file is atomic."""
    paths = []
    for number, scan in enumerate(simulate_series(series)):
        make_folder(folder)  # not before the settings of the scan have passed
        paths.append(folder / f"scan-{number:03d}.h5")
        write_scan(scan, paths[-1])
    return paths

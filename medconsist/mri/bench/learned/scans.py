"""The scans of the table: drawn by role and number, whitened, with maps of a calibration scan."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medconsist.mri.bench.learned.cells import Cell
from medconsist.mri.draw_seeds import Role, draw_seed
from medconsist.mri.forward import Measurement
from medconsist.mri.phantom.tissue import FLAIR, T1W, T2W
from medconsist.mri.prepare import prepare
from medconsist.mri.scan_series import CONTRASTS as BY_NAME
from medconsist.mri.scan_series import FIELD_OF_VIEW_MM, SLICE_SPACING_MM
from medconsist.mri.simulate import Phantom, ScanConfig, simulate
from medconsist.mri.zerofilled_rss import rss_scale
from medconsist.shapes import CoilKSpace, CoilMaps, RealImages

__all__ = ["SIZE", "DrawnScan", "Measured", "SliceKind", "draw_scan", "measured_in"]

SIZE = 128
COILS = 8
CONTRASTS = (FLAIR, T1W, T2W)


@dataclass(frozen=True, kw_only=True)
class SliceKind:
    """What is simulated, beside what is drawn; anatomy and lesions of a seed do not depend on it.

    Parameters
    ----------
    contrast
        Name of a sequence; None lets FLAIR, T1w and T2w take turns.
    coils
        Receive coils.
    snr
        See `ScanConfig`.
    size
        Rows and columns.

    Examples
    --------
    >>> SliceKind(contrast="T1w").coils
    8
    """

    contrast: str | None = None
    coils: int = COILS
    snr: float | int = 30.0
    size: int = SIZE

    def config(self, number: int) -> ScanConfig:
        """Return the configuration of scan ``number``."""
        spacing = FIELD_OF_VIEW_MM / self.size
        turn = CONTRASTS[number % len(CONTRASTS)]
        return ScanConfig(
            contrast=turn if self.contrast is None else BY_NAME[self.contrast],
            shape=(self.size, self.size),
            n_slices=1,
            voxel_size_mm=(SLICE_SPACING_MM, spacing, spacing),
            n_coils=self.coils,
            snr=float(self.snr),
        )


@dataclass(frozen=True, eq=False)
class DrawnScan:
    """A fully sampled slice of this simulator, whitened, with its coil maps.

    Parameters
    ----------
    samples
        Whitened, in the units of the scan: noise of the level ``sigma`` in every coil.
    maps
        ESPIRiT from the central 24 x 24 samples: what a calibration scan of its own would give,
        for a mask at 8x along one axis has fewer lines than that. Every method gets the same.
    sigma
        Standard deviation of a complex sample, ``E|n|^2 = sigma^2``, from the noise scan.
    reference
        Magnitude of the noise-free, fully sampled image, in the units of the scan.
    mask_seed
        Of the scan's masks.

    Examples
    --------
    >>> draw_scan("test", 0).maps.shape
    torch.Size([1, 1, 8, 128, 128])
    """

    samples: CoilKSpace
    maps: CoilMaps
    sigma: float
    reference: RealImages
    mask_seed: int


@dataclass(frozen=True, eq=False)
class Measured:
    """One scan in one cell: what a method sees, and what it is compared with.

    Parameters
    ----------
    measurement
        Undersampled, and divided by one scale.
    reference
        Magnitude in the units of ``measurement``.

    Examples
    --------
    >>> from medconsist.mri.bench.learned.cells import CELLS
    >>> seen = measured_in(CELLS[:1], draw_scan("test", 0))
    >>> [tuple(m.reference.shape) for m in seen]
    [(1, 128, 128)]
    """

    measurement: Measurement
    reference: RealImages


def draw_scan(
    role: Role,
    number: int,
    *,
    series: int = 0,
    phantom: Phantom | None = None,
    kind: SliceKind | None = None,
) -> DrawnScan:
    """Simulate scan ``number`` of a role.

    Parameters
    ----------
    role, number, series
        Make the seed; see `draw_seed`.
    phantom
        Where the anatomy comes from; by default the generated head.
    kind
        See `SliceKind`.
    """
    config = (kind or SliceKind()).config(number)
    generator = torch.Generator().manual_seed(draw_seed(role, number, series=series))
    scan = simulate(config, generator, phantom=phantom)
    full = prepare(scan.kspace)
    return DrawnScan(
        samples=full.kspace.data,
        maps=full.measurement.maps,
        sigma=full.measurement.sigma * full.scale,
        reference=scan.reference.abs(),
        mask_seed=int(torch.randint(2**31, (), generator=generator)),
    )


def measured_in(cells: Sequence[Cell], scan: DrawnScan) -> list[Measured]:
    """Return the scan as each cell samples it.

    The masks of a scan at 8x are part of those at 4x. The scale is that of the samples which the
    cell leaves, as in `prepare`: nothing of the full scan but maps and noise level reaches a
    method.
    """
    height, width = scan.samples.shape[-2:]
    found = []
    for cell in cells:
        generator = torch.Generator().manual_seed(scan.mask_seed)
        mask = cell.kind((height, width), generator)[None]
        samples = scan.samples * mask[:, None]
        scale = rss_scale(samples)
        measurement = Measurement(samples / scale, mask, scan.maps, scan.sigma / scale)
        found.append(Measured(measurement, scan.reference / scale))
    return found

"""Rows beside BART: coil maps, CG-SENSE and wavelet reconstructions of the same samples.

The phantom of the comparison is BART's own: analytic k-space of 8 coils with noise, variable
density Poisson-disc masks of three accelerations. Everything runs the installed program, in a
scratch folder; magnitudes are compared in place, nothing is flipped or shifted to fit.
"""

import logging
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from medconsist.errors import StorageError
from medconsist.metrics.image import nrmse_scaled
from medconsist.mri.acs import find_acs
from medconsist.mri.espirit import EspiritConfig, EspiritMaps, espirit
from medconsist.mri.formats.cfl import kspace_to_bart, read_cfl, write_cfl
from medconsist.mri.forward import Measurement
from medconsist.mri.kspace import KSpace
from medconsist.mri.methods import CgSense, CompressedSensing
from medconsist.mri.readers import read_kspace, read_maps
from medconsist.results.bench import BenchRow, BenchTable, Target
from medconsist.shapes import CoilMaps, RealImages

__all__ = ["SPREADS", "Bart", "Compared", "bart_table", "magnitude_error", "phantom_scans"]
__all__ += ["real_scan", "relative_difference"]

SPREADS = (1.3, 1.7, 2.2)  # density of the Poisson disc along each axis: accelerations 8.4 to 11.6
LAMBDA = 0.005
PHANTOM_CG_LAMBDA = 0.001
MAPS_LIMIT = 0.001
PHANTOM_RATIO_LIMIT = 1.05
REAL_LIMIT = 0.045
END_TO_END_LIMIT = 0.06
BUDGET_BYTES = 2**30

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bart:
    """The installed program and a scratch folder for its files.

    Parameters
    ----------
    program
        Path of ``bart``.
    folder
        Every file that a command names lies here.

    Examples
    --------
    >>> Bart("/usr/bin/bart", Path("scratch")).path("ksp").name
    'ksp'
    """

    program: str
    folder: Path

    def path(self, name: str) -> Path:
        """Return the path of a pair, without suffix."""
        return self.folder / name

    def run(self, command: str) -> str:
        """Run one command, words separated by blanks, and return what it printed.

        Raises
        ------
        StorageError
            The command failed; says what it printed.
        """
        done = subprocess.run(  # noqa: S603  the user's own program, no input of others
            [self.program, *command.split()], cwd=self.folder, capture_output=True, text=True
        )
        if done.returncode:
            msg = f"`bart {command}` failed: {done.stderr.strip() or done.stdout.strip()}"
            raise StorageError(msg)
        return done.stdout

    def image(self, name: str) -> Tensor:
        """Return an image pair, ``1 height width``, complex."""
        array = read_cfl(self.path(name), budget_bytes=BUDGET_BYTES)
        plane = [n for n in array.shape if n > 1]
        return array.reshape(1, *plane)


@dataclass(frozen=True, eq=False)
class Compared:
    """One scan that both programs reconstruct.

    Parameters
    ----------
    bart, name
        The program and the stem of the scan's files: ``<name>`` holds its k-space.
    """

    bart: Bart
    name: str

    @cached_property
    def kspace(self) -> KSpace:
        """The samples as our reader reads them."""
        return read_kspace(self.bart.path(self.name))

    @cached_property
    def bart_maps(self) -> CoilMaps:
        """Maps of ``bart ecalib -m1 -r 24``."""
        self.bart.run(f"ecalib -m1 -r 24 {self.name} {self.name}_maps")
        return read_maps(self.bart.path(f"{self.name}_maps"))

    def espirit(self, config: EspiritConfig) -> EspiritMaps:
        """Return maps of our ESPIRiT from the same region of at most 24 x 24 samples."""
        region = find_acs(self.kspace.mask).limited(24)
        height, width = self.kspace.data.shape[-2:]
        return espirit(region.extract(self.kspace.data), (height, width), config=config)

    def measurement(self, maps: CoilMaps) -> Measurement:
        """Return the samples as they are, in their own units."""
        return Measurement(self.kspace.data, self.kspace.mask, maps, sigma=1.0)

    def pics(self, flags: str) -> Tensor:
        """Return the image of ``bart pics`` with BART's maps; ``-R W:weight`` is the wavelet."""
        self.bart_maps  # noqa: B018  makes the file
        # BART's bit mask of the plane: axes 0 and 1, or 1 and 2 where axis 0 has length 1
        array = read_cfl(self.bart.path(self.name), budget_bytes=BUDGET_BYTES)
        plane = 6 if array.shape[0] == 1 else 3
        out = f"{self.name}_pics"
        command = f"pics -d0 -S {flags.replace('W:', f'W:{plane}:0:')}"
        self.bart.run(f"{command} {self.name} {self.name}_maps {out}")
        return self.bart.image(out)


def phantom_scans(bart: Bart) -> tuple[Tensor, dict[float, Compared]]:
    """Return the image of BART's phantom, and scans of it at each of `SPREADS`; about 15 s."""
    bart.run("phantom -k -s 8 -x 256 full_clean")
    bart.run("noise -s 1 -n 25 full_clean full")
    bart.run("ecalib -m1 -r 24 full full_maps")
    bart.run("fft -u -i 3 full full_images")
    bart.run("fmac -C -s 8 full_images full_maps full_reference")
    scans = {}
    for spread in SPREADS:
        name = f"scan_{spread}".replace(".", "_")
        bart.run(f"poisson -Y 256 -Z 256 -y {spread} -z {spread} -C 24 -v -e -s 1 {name}_plane")
        bart.run(f"squeeze {name}_plane {name}_mask")
        bart.run(f"fmac full {name}_mask {name}")
        scans[spread] = Compared(bart, name)
    return bart.image("full_reference"), scans


def real_scan(bart: Bart, path: Path) -> Compared:
    """Hand the real slice to BART in its own layout, ``1 height width coils``."""
    write_cfl(bart.path("real"), kspace_to_bart(read_kspace(path).data))
    return Compared(bart, "real")


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """Return ``||ours - theirs|| / ||theirs||``, no scale or phase taken out."""
    return float(torch.linalg.vector_norm(ours - theirs) / torch.linalg.vector_norm(theirs))


def magnitude_error(image: Tensor, reference: Tensor) -> float:
    """Return the error of the magnitudes as ``bart nrmse -s`` counts it, in place."""
    seen: RealImages = image.abs()
    return nrmse_scaled(seen, reference.abs())


def bart_table(bart: Bart, real: Path | None) -> BenchTable:
    """Return all rows beside BART.

    Parameters
    ----------
    bart
        Program and scratch folder.
    real
        The real slice; None leaves its rows out.
    """
    table = BenchTable()
    reference, scans = phantom_scans(bart)
    for spread, scan in scans.items():
        case = f"BART phantom, -y {spread}"
        logger.info("beside BART: %s", case)
        table = table.joined(_maps_rows(case, scan)).joined(_phantom_rows(case, scan, reference))
    if real is not None:
        logger.info("beside BART: real slice")
        scan = real_scan(bart, real)
        table = table.joined(_maps_rows("real 8-coil slice", scan)).joined(_real_rows(scan))
    return table


def _maps_rows(case: str, scan: Compared) -> BenchTable:
    rows = []
    for form in ("bart", "exact"):
        maps = scan.espirit(EspiritConfig(eigenvectors=form)).maps
        seen = relative_difference(maps, scan.bart_maps)
        rows.append(_row(case, f"ESPIRiT ({form} form) from bart ecalib", seen))
    limit = Target(
        name=f"{case}: ESPIRiT in BART's form",
        wanted=f"<= {MAPS_LIMIT:.1%} of bart ecalib",
        seen=rows[0].value,
        met=rows[0].value <= MAPS_LIMIT,
    )
    return BenchTable(tuple(rows), (limit,))


def _phantom_rows(case: str, scan: Compared, reference: Tensor) -> BenchTable:
    measured = scan.measurement(scan.bart_maps)
    pairs = {
        f"cs, lambda {LAMBDA}": (
            CompressedSensing(lambda_=LAMBDA)(measured),
            scan.pics(f"-R W:{LAMBDA} -i 60"),
        ),
        f"cgsense, lambda {PHANTOM_CG_LAMBDA}": (
            CgSense(lambda_=PHANTOM_CG_LAMBDA)(measured),
            scan.pics(f"-l2 -r {PHANTOM_CG_LAMBDA} -i 30"),
        ),
    }
    rows = []
    for name, (ours, theirs) in pairs.items():
        seen, known = (magnitude_error(image, reference) for image in (ours, theirs))
        rows.append(_row(case, f"NRMSE of {name}", seen, baseline=known))
    ratio = rows[0].value / (rows[0].baseline or 1.0)
    limit = Target(
        name=f"{case}: NRMSE of cs over NRMSE of bart pics",
        wanted=f"<= {PHANTOM_RATIO_LIMIT}",
        seen=ratio,
        met=ratio <= PHANTOM_RATIO_LIMIT,
    )
    return BenchTable(tuple(rows), (limit,))


def _real_rows(scan: Compared) -> BenchTable:
    theirs = scan.pics(f"-R W:{LAMBDA} -i 60")
    same_maps = CompressedSensing(lambda_=LAMBDA)(scan.measurement(scan.bart_maps))
    own_maps = CompressedSensing(lambda_=LAMBDA)(
        scan.measurement(scan.espirit(EspiritConfig()).maps)
    )
    cg = CgSense(lambda_=LAMBDA)(scan.measurement(scan.bart_maps))
    cg_theirs = scan.pics(f"-l2 -r {LAMBDA} -i 30")
    case = "real 8-coil slice"
    rows = (
        _row(case, "cs from bart pics, BART's maps", magnitude_error(same_maps, theirs)),
        _row(case, "cs from bart pics, end to end", magnitude_error(own_maps, theirs)),
        _row(case, "cgsense from bart pics -l2, BART's maps", magnitude_error(cg, cg_theirs)),
    )
    limits = {"BART's maps": REAL_LIMIT, "end to end": END_TO_END_LIMIT}
    targets = tuple(
        Target(
            name=f"{case}: cs from bart pics, {name}",
            wanted=f"<= {limit} NRMSE",
            seen=row.value,
            met=row.value <= limit,
        )
        for (name, limit), row in zip(limits.items(), rows, strict=False)
    )
    return BenchTable(rows, targets)


def _row(case: str, metric: str, value: float, *, baseline: float | None = None) -> BenchRow:
    return BenchRow(
        case=case,
        metric=metric,
        value=value,
        unit="1",
        baseline=baseline,
        ratio=None if baseline is None else value / baseline,
        n=1,
        unit_of_analysis="scan",
    )

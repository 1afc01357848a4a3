"""Simulated slices in number, fully sampled and with coil maps: what networks are trained on.

::

    scans of the simulator -> whitened, maps by ESPIRiT -> one file -> draws: symmetry, noise, mask

Made once for a configuration and a generator, and then only read: `load_pool` keeps the file under
the hash of both.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Complex, Float, Int64
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Generator, Tensor

from medconsist._atomic import atomic_replace, make_folder
from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import RefusedInputError, TruncatedFileError
from medconsist.mri.draw_seeds import Role, draw_seed
from medconsist.mri.kspace import KSpace
from medconsist.mri.prepare import prepare
from medconsist.mri.scan_series import CONTRASTS, FIELD_OF_VIEW_MM, SLICE_SPACING_MM
from medconsist.mri.simulate import Phantom, ScanConfig, SimulatedScan, generator_hash, simulate
from medconsist.operators.fourier import Fourier

__all__ = ["PoolConfig", "ScanPool", "load_pool", "stored_pool"]

_FIELDS = ("samples", "maps", "sigma", "reference")
_QUANTILE = 0.99
_SYMMETRIES = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """What is simulated; contrasts take turns, everything else is drawn.

    Parameters
    ----------
    scans, slices
        Number of scans, and slices of each.
    size, coils
        Rows and columns; receive coils.
    contrasts
        Names of sequences.
    snr
        Least and largest signal to noise ratio of a scan, drawn uniformly in its logarithm.
    lesions
        Fewest and most lesions of a scan.
    role, seed
        See `draw_seed`; pools that differ in one of them share no scan.

    Raises
    ------
    RefusedInputError
        A number, a contrast or a role is not allowed.

    Examples
    --------
    >>> PoolConfig(scans=1, slices=2).n_slices
    2
    """

    scans: int = 160
    slices: int = 3
    size: int = 128
    coils: int = 8
    contrasts: tuple[str, ...] = ("FLAIR", "T1w", "T2w")
    snr: tuple[float | int, float | int] = (20.0, 60.0)
    lesions: tuple[int, int] = (0, 6)
    role: Role = "training"
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.contrasts) - set(CONTRASTS))
        least, largest = self.snr
        counts = (self.scans, self.slices, self.size, self.coils)
        if unknown or not self.contrasts or min(counts) < 1:
            msg = (
                f"got {self.scans} scans of {self.slices} slices, size {self.size}, {self.coils} "
                f"coils and contrasts {self.contrasts}; allowed: at least 1 of each, contrasts of "
                f"{', '.join(CONTRASTS)}."
            )
            raise RefusedInputError(msg)
        draw_seed(self.role, self.scans - 1, series=self.seed)  # refuses what is out of range
        if not 0 < least <= largest < math.inf:
            msg = f"snr got {self.snr}; allowed: 0 < least <= largest, both finite."
            raise RefusedInputError(msg)

    @property
    def n_slices(self) -> int:
        """Slices of all scans."""
        return self.scans * self.slices

    def scan(self, number: int, generator: Generator) -> ScanConfig:
        """Return the configuration of scan ``number``; its SNR is drawn."""
        least, largest = (math.log(snr) for snr in self.snr)
        share = float(torch.rand((), generator=generator))
        spacing = FIELD_OF_VIEW_MM / self.size
        return ScanConfig(
            contrast=CONTRASTS[self.contrasts[number % len(self.contrasts)]],
            shape=(self.size, self.size),
            n_slices=self.slices,
            voxel_size_mm=(SLICE_SPACING_MM, spacing, spacing),
            n_coils=self.coils,
            snr=math.exp(least + share * (largest - least)),
            lesions=self.lesions,
        )


@dataclass(frozen=True, eq=False)
class ScanPool:
    """Whitened slices at unit scale, with their maps, noise levels and references.

    Parameters
    ----------
    samples
        Fully sampled k-space, divided by the 99th percentile of each slice's reference.
    maps
        ESPIRiT maps (one set) from the central 24 x 24 samples.
    sigma
        Noise level of each slice, ``E|n|^2 = sigma^2``.
    reference
        Magnitude of the noise-free image, on the scale of the samples.

    Examples
    --------
    >>> tiny = PoolConfig(scans=1, slices=1, size=32, coils=2)
    >>> ScanPool.simulate(tiny).reference.shape
    torch.Size([1, 32, 32])
    """

    samples: Complex[Tensor, "slices coils height width"]
    maps: Complex[Tensor, "slices coils height width"]
    sigma: Float[Tensor, " slices"]
    reference: Float[Tensor, "slices height width"]

    def __len__(self) -> int:
        return len(self.sigma)

    @classmethod
    def simulate(
        cls,
        config: PoolConfig,
        *,
        phantom: Phantom | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> "ScanPool":
        """Simulate all scans; scan i is the same whether or not others are made."""
        parts = []
        for number in range(config.scans):
            seed = draw_seed(config.role, number, series=config.seed)
            generator = Generator().manual_seed(seed)
            scan = simulate(config.scan(number, generator), generator, phantom=phantom)
            parts.append(_slices(scan.kspace, scan.reference))
            if progress is not None:
                progress(number + 1)
        return cls(*(torch.cat(values) for values in zip(*parts, strict=True)))

    @classmethod
    def of_scan(cls, scan: SimulatedScan) -> "ScanPool":
        """Return the slices of one fully sampled scan."""
        return cls(*_slices(scan.kspace, scan.reference))

    def at(self, index: Int64[Tensor, " draws"] | Sequence[int]) -> "ScanPool":
        """Return the slices of that index."""
        index = torch.as_tensor(index)
        return ScanPool(
            self.samples[index], self.maps[index], self.sigma[index], self.reference[index]
        )

    def noisier(self, sigma: Float[Tensor, " slices"], generator: Generator) -> "ScanPool":
        """Return the slices with white noise added up to ``sigma``, where it is above theirs."""
        added = (sigma.square() - self.sigma.square()).clamp_min(0).sqrt()
        noise = torch.randn(self.samples.shape, dtype=self.samples.dtype, generator=generator)
        noisy = self.samples + added[:, None, None, None] * noise
        return replace(self, samples=noisy, sigma=torch.maximum(sigma, self.sigma))

    def turned(self, symmetry: int) -> "ScanPool":
        """Return the slices under one of the eight symmetries of the square, 0 to 7.

        Bits: mirror rows, mirror columns, exchange rows and columns; about the pixel at n // 2,
        so that k-space and image turn alike.

        Raises
        ------
        RefusedInputError
            Another number.
        """
        if not 0 <= symmetry < _SYMMETRIES:
            msg = f"symmetry got {symmetry}; allowed: 0 to {_SYMMETRIES - 1}."
            raise RefusedInputError(msg)
        return ScanPool(
            _turned(self.samples, symmetry),
            _turned(self.maps, symmetry),
            self.sigma,
            _turned(self.reference, symmetry),
        )

    def smaller(self, size: int) -> "ScanPool":
        """Return the slices at a lower resolution: the centre of k-space, ``size x size``.

        Maps are taken at every n-th pixel. Intensities keep their level, and the noise per sample
        falls by n, as if larger voxels had been measured. The reference is the low-pass of the
        magnitude, which differs from the magnitude of the low-pass where the phase is steep.
        """
        old = self.samples.shape[-1]
        if size < 1 or old % size:
            msg = f"size got {size}; allowed: a divisor of {old}, the size of the pool."
            raise RefusedInputError(msg)
        start = old // 2 - size // 2
        centre = (..., slice(start, start + size), slice(start, start + size))
        step = old // size
        first = old // 2 - size // 2 * step
        fourier = Fourier()
        reference = fourier.H(fourier(self.reference.to(self.samples.dtype))[centre]).abs()
        maps = self.maps[..., first::step, first::step].contiguous()
        scale = 1 / step
        return ScanPool(self.samples[centre] * scale, maps, self.sigma * scale, reference * scale)


def load_pool(config: PoolConfig, folder: Path, *, phantom: Phantom | None = None) -> ScanPool:
    """Return the pool of that configuration, from its file in ``folder`` or made now.

    The file is named after the hash of configuration, anatomy and generator, and written at once.

    Raises
    ------
    TruncatedFileError
        The file is damaged.
    """
    made_of = {
        "config": asdict(config),
        "generator": generator_hash(),
        "phantom": None if phantom is None else phantom.name,
    }
    path = folder / f"pool-{sha256_of_bytes(canonical_json(made_of))[:16]}.safetensors"

    def make() -> ScanPool:
        logger.info("simulating %d scans ...", config.scans)
        return ScanPool.simulate(config, phantom=phantom)

    return stored_pool(path, make)


def stored_pool(path: Path, make: Callable[[], ScanPool]) -> ScanPool:
    """Return the pool of a file, which is made first where it is not there.

    Raises
    ------
    TruncatedFileError
        The file is damaged.
    """
    if not path.is_file():
        pool = make()
        make_folder(path.parent)
        with atomic_replace(path) as partial:
            save_file({name: getattr(pool, name) for name in _FIELDS}, partial)
    try:
        with safe_open(path, framework="pt") as file:
            return ScanPool(*(file.get_tensor(name) for name in _FIELDS))
    except SafetensorError as error:
        msg = f"{path} is damaged ({error}); delete it, and it is made again."
        raise TruncatedFileError(msg) from error


def _slices(kspace: KSpace, reference: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    made = prepare(kspace)
    prepared = made.measurement
    magnitude = reference.abs() / made.scale
    scale = magnitude.flatten(1).quantile(_QUANTILE, dim=1)
    per_slice = scale[:, None, None]
    return (
        prepared.samples / per_slice[:, None],
        prepared.maps[:, 0],
        prepared.sigma / scale,
        magnitude / per_slice,
    )


def _turned(values: Tensor, symmetry: int) -> Tensor:
    for bit, dim in ((1, -2), (2, -1)):
        if symmetry & bit:
            values = values.flip(dim).roll(1 - values.shape[dim] % 2, dim)
    return values.mT if symmetry & 4 else values

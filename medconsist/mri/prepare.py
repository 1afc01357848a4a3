"""From k-space as it was read to what a reconstruction sees: whitened, scaled, with coil maps."""

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.acs import CalibrationRegion, find_acs
from medconsist.mri.coil_compression import compress_coils
from medconsist.mri.espirit import EspiritConfig, espirit
from medconsist.mri.forward import Measurement
from medconsist.mri.kspace import KSpace
from medconsist.mri.oversampling import remove_readout_oversampling
from medconsist.mri.prewhitening import (
    apply_to_coils,
    coil_sigmas,
    estimate_sigma,
    noise_covariance,
    prewhiten,
    whitening_matrix,
)
from medconsist.operators.fourier import Fourier
from medconsist.shapes import CoilKSpace, CoilMaps

__all__ = ["PrepareConfig", "Prepared", "prepare", "prepare_without_maps"]

SCALE_QUANTILE = 0.99


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How k-space is made ready.

    Parameters
    ----------
    calibration
        Largest side of the calibration region that is used [samples].
    compress_to
        Number of virtual coils; None keeps all coils.
    espirit
        Parameters of the map estimation; not used where maps are given.

    Examples
    --------
    >>> PrepareConfig(compress_to=4).calibration
    24
    """

    calibration: int = 24
    compress_to: int | None = None
    espirit: EspiritConfig = field(default_factory=EspiritConfig)

    def __post_init__(self) -> None:
        if self.calibration < self.espirit.kernel:
            msg = (
                f"calibration must be at least the kernel of {self.espirit.kernel} samples, got "
                f"{self.calibration}; 24 is usual."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A measurement with what is needed to return to the scanner's units.

    Parameters
    ----------
    measurement
        Samples divided by ``scale``, mask, maps, noise level.
    scale
        Positive number; images of ``measurement`` times it are in the units of the k-space file.
    calibration
        True where samples made the maps, ``height width``; all False where maps were given.
    kspace
        The k-space after whitening and compression, in its own units, with all notes.
    """

    measurement: Measurement
    scale: float
    calibration: Bool[Tensor, "height width"]
    kspace: KSpace


def prepare(
    kspace: KSpace, *, config: PrepareConfig | None = None, maps: CoilMaps | None = None
) -> Prepared:
    """Whiten, remove readout oversampling, compress, scale and estimate the coil maps.

    Every step that was taken is a note of ``Prepared.kspace``. The scale is one positive number
    per volume, the 99th percentile of the zero-filled root-sum-of-squares image, so that
    ``y = A x`` still holds after it.

    Parameters
    ----------
    kspace
        As it was read.
    config
        See `PrepareConfig`.
    maps
        Sensitivities of the physical coils, on the grid of the k-space, for each slice or for all
        slices; they are whitened as the samples are, and get unit norm where they are not zero.

    Raises
    ------
    CalibrationError
        No maps are given and there is no calibration region.
    ShapeError
        Given maps do not fit.
    RefusedInputError
        Maps are given and coils are to be compressed.
    """
    config = config or PrepareConfig()
    if maps is not None and config.compress_to is not None:
        msg = "maps are given for the physical coils, so coils cannot be compressed; drop one."
        raise RefusedInputError(msg)
    whitened, sigma, given = _whiten(kspace, None if maps is None else _fitting(maps, kspace))
    if given is None:
        whitened = remove_readout_oversampling(whitened)
        if config.compress_to is not None:
            whitened = compress_coils(whitened, config.compress_to)
    scale = _scale(whitened.data)
    calibration = torch.zeros_like(whitened.mask[0])
    if given is None:
        region = find_acs(whitened.mask, kernel=config.espirit.kernel).limited(config.calibration)
        calibration[region.rows, region.columns] = True
        given = _estimate(whitened, region, config.espirit)
        whitened = whitened.with_note(
            f"Coil maps by ESPIRiT from a calibration region of {region.shape[0]} x "
            f"{region.shape[1]} samples."
        )
    measurement = Measurement(whitened.data / scale, whitened.mask, given, sigma / scale)
    return Prepared(measurement, scale, calibration, whitened)


def prepare_without_maps(kspace: KSpace) -> KSpace:
    """Return whitened k-space without readout oversampling, in the units of the file."""
    whitened, _, _ = _whiten(kspace, None)
    return remove_readout_oversampling(whitened)


def _whiten(kspace: KSpace, maps: CoilMaps | None) -> tuple[KSpace, float, CoilMaps | None]:
    """Whiten samples and maps, keeping the units of the file: the mean noise level stays."""
    if kspace.noise is None:
        sigmas = coil_sigmas(kspace)
        sigma = estimate_sigma(kspace)
        live = sigmas[sigmas > 0]  # a dead coil has none
        spread = float(live.max() / live.min())
        note = (
            "No noise scan: one noise level for all coils, estimated from the outermost samples "
            f"(coils differ by a factor of {spread:.2g}); not whitened."
        )
        return kspace.with_note(note), sigma, None if maps is None else _normalised(maps)
    covariance = noise_covariance(kspace.noise)
    level = math.sqrt(float(covariance.diagonal().real.mean()))
    white = prewhiten(kspace)
    data = white.data * level
    if maps is not None:
        maps = _normalised(apply_to_coils(whitening_matrix(covariance), maps))
    return replace(white, data=data, noise=None), level, maps


def _fitting(maps: Complex[Tensor, "given sets coils height width"], kspace: KSpace) -> CoilMaps:
    slices, coils, height, width = kspace.data.shape
    if maps.shape[0] not in (1, slices) or maps.shape[2:] != (coils, height, width):
        msg = (
            f"maps of shape {tuple(maps.shape)} do not fit k-space of shape "
            f"{tuple(kspace.data.shape)}; allowed: ({slices} or 1, sets, {coils}, {height}, "
            f"{width}). Pass the maps of this acquisition."
        )
        raise ShapeError(msg)
    return maps.expand(slices, -1, -1, -1, -1).to(kspace.data)


def _normalised(maps: CoilMaps) -> CoilMaps:
    norm = torch.linalg.vector_norm(maps, dim=2, keepdim=True)
    return torch.where(norm > 0, maps / norm.clamp_min(torch.finfo(norm.dtype).tiny), 0)


def _estimate(kspace: KSpace, region: CalibrationRegion, config: EspiritConfig) -> CoilMaps:
    height, width = kspace.data.shape[-2:]
    return espirit(region.extract(kspace.data), (height, width), config=config).maps


def _scale(samples: CoilKSpace) -> float:
    images = Fourier().adjoint(samples)
    rss = torch.linalg.vector_norm(images, dim=1).flatten()
    rank = max(1, math.ceil(SCALE_QUANTILE * rss.numel()))
    # kthvalue, since torch.quantile refuses more than 2^24 values
    return float(rss.kthvalue(rank).values)

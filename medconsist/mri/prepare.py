"""From k-space as it was read to what a reconstruction sees: whitened, scaled, with coil maps."""

import contextlib
import math
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from medconsist.errors import CalibrationError, RefusedInputError, ShapeError
from medconsist.mri.acs import CalibrationRegion, find_acs
from medconsist.mri.coil_compression import along_readout, compress_coils
from medconsist.mri.espirit import EspiritConfig, espirit
from medconsist.mri.forward import Measurement
from medconsist.mri.kspace import KSpace
from medconsist.mri.noise_level import calibration_sigma
from medconsist.mri.oversampling import remove_readout_oversampling
from medconsist.mri.prewhitening import (
    apply_to_coils,
    coil_sigmas,
    estimate_sigma,
    noise_covariance,
    whitening_matrix,
)
from medconsist.operators.fourier import Fourier
from medconsist.shapes import CoilKSpace, CoilMaps

__all__ = ["PrepareConfig", "Prepared", "prepare", "prepare_without_maps", "rss_scale"]

SCALE_QUANTILE = 0.99
NoiseSource = Literal["noise scan", "calibration region", "outermost samples"]


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
        True where samples made the maps and virtual coils, ``height width``; all False where maps
        were given. No other sample had a part in the forward operator.
    kspace
        The k-space after whitening and compression, in its own units, with all notes.
    noise_from
        Where the noise level comes from: a ``"noise scan"``, else the smaller of what the coils
        cannot explain of the ``"calibration region"`` (`calibration_sigma`) and of the level of
        the ``"outermost samples"`` (`estimate_sigma`): signal makes both too high.
    """

    measurement: Measurement
    scale: float
    calibration: Bool[Tensor, "height width"]
    kspace: KSpace
    noise_from: NoiseSource


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
        No maps are given and there is no calibration region, or none that gives maps.
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
    noise_from: NoiseSource = "noise scan"
    calibration = torch.zeros_like(whitened.mask[0])
    if given is None:
        whitened = remove_readout_oversampling(whitened)
        calibration = torch.zeros_like(whitened.mask[0])
        region = find_acs(whitened.mask, kernel=config.espirit.kernel).limited(config.calibration)
        calibration[region.rows, region.columns] = True
    if sigma is None:
        whitened, sigma, noise_from = _with_estimated_noise(whitened, config)
    if given is None:
        if config.compress_to is not None:
            calibration = along_readout(whitened, calibration)
            whitened = compress_coils(whitened, config.compress_to, calibration=calibration)
        given = _estimate(whitened, region, config.espirit)
        whitened = whitened.with_note(
            f"Coil maps by ESPIRiT from a calibration region of {region.shape[0]} x "
            f"{region.shape[1]} samples."
        )
    scale = rss_scale(whitened.data)
    measurement = Measurement(whitened.data / scale, whitened.mask, given, sigma / scale)
    return Prepared(measurement, scale, calibration, whitened, noise_from)


def prepare_without_maps(kspace: KSpace) -> KSpace:
    """Return k-space without readout oversampling, whitened where there is a noise scan."""
    whitened, sigma, _ = _whiten(kspace, None)
    if sigma is None:
        whitened = whitened.with_note("No noise scan: not whitened.")
    return remove_readout_oversampling(whitened)


def _with_estimated_noise(
    kspace: KSpace, config: PrepareConfig
) -> tuple[KSpace, float, NoiseSource]:
    """Return k-space with a note, its noise level, and where that comes from.

    Signal that is left makes both estimates too high, so the smaller one counts.
    """
    levels: dict[NoiseSource, float] = {"outermost samples": estimate_sigma(kspace)}
    with contextlib.suppress(CalibrationError):  # given maps need no calibration region
        region = find_acs(kspace.mask).limited(config.calibration)
        inner = calibration_sigma(region.extract(kspace.data))
        if inner is not None:
            levels["calibration region"] = inner
    source = min(levels, key=levels.__getitem__)
    sigmas = coil_sigmas(kspace)
    live = sigmas[sigmas > 0]  # a dead coil has none
    note = (
        f"No noise scan: one noise level for all coils, estimated from the {source} (in their "
        f"outermost samples coils differ by a factor of {float(live.max() / live.min()):.2g}); "
        "not whitened."
    )
    return kspace.with_note(note), levels[source], source


def _whiten(kspace: KSpace, maps: CoilMaps | None) -> tuple[KSpace, float | None, CoilMaps | None]:
    """Whiten samples and maps, keeping the units of the file: the mean noise level stays.

    Without a noise scan nothing is whitened, and the level is None.
    """
    if kspace.noise is None:
        return kspace, None, None if maps is None else _normalised(maps)
    covariance = noise_covariance(kspace.noise)
    level = math.sqrt(float(covariance.diagonal().real.mean()))
    matrix = level * whitening_matrix(covariance)
    note = (
        f"Prewhitened with {kspace.noise.shape[1]} noise samples, at the mean noise level of the "
        "coils: the units stay."
    )
    if maps is not None:
        maps = _normalised(apply_to_coils(matrix, maps))
    white = replace(kspace, data=apply_to_coils(matrix, kspace.data), noise=None)
    return white.with_note(note), level, maps


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
    found = espirit(region.extract(kspace.data), (height, width), config=config)
    empty = (~found.maps.flatten(1).any(1)).nonzero().flatten().tolist()
    if empty:
        msg = (
            f"ESPIRiT found no coil maps in slices {empty}: from a calibration region of "
            f"{region.shape[0]} x {region.shape[1]} samples the largest eigenvalue is "
            f"{float(found.eigenvalues[empty].max()):.2g}, and more than {config.crop:g} is "
            "needed. The region is too small or too noisy: pass maps with --maps FILE, or "
            "reconstruct without maps: --method zerofilled --combine rss."
        )
        raise CalibrationError(msg)
    return found.maps


def rss_scale(samples: CoilKSpace) -> float:
    """Return the 99th percentile of the root sum of squares of the zero-filled coil images."""
    images = Fourier().adjoint(samples)
    rss = torch.linalg.vector_norm(images, dim=1).flatten()
    rank = max(1, math.ceil(SCALE_QUANTILE * rss.numel()))
    # kthvalue, since torch.quantile refuses more than 2^24 values
    return float(rss.kthvalue(rank).values)

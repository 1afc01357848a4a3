"""The steps from k-space as it was read to coil maps, at once or slab by slab."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Bool, Complex
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.acs import CalibrationRegion, find_acs
from medconsist.mri.coil_calibration import CoilCalibration, EspiritOfSlabs
from medconsist.mri.espirit import EspiritConfig
from medconsist.mri.kspace import KSpace
from medconsist.mri.oversampling import remove_readout_oversampling
from medconsist.mri.prewhitening import apply_to_coils
from medconsist.mri.volumes.overwrite import Slabs
from medconsist.mri.whitening import NoiseSource, whiten, with_estimated_noise
from medconsist.shapes import Array, CoilMaps

__all__ = ["Coils", "Preparation", "PrepareConfig", "calibration_region"]


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
class Coils:
    """Where coil maps come from, if not from the calibration of the scan itself.

    Parameters
    ----------
    maps
        Sensitivities of the physical coils, on the grid of the k-space, for each slice or for all
        slices; they are whitened as the samples are, and get unit norm where they are not zero.
    calibration
        Of another frame, see `calibrate_coils`.

    Raises
    ------
    RefusedInputError
        Both are given.

    Examples
    --------
    >>> Coils().calibration is None
    True
    """

    maps: Complex[Tensor, "given sets coils height width"] | None = None
    calibration: CoilCalibration | None = None

    def __post_init__(self) -> None:
        if self.maps is not None and self.calibration is not None:
            msg = "got coil maps and a calibration to make them from; pass one of the two."
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class Preparation:
    """K-space that is ready but for its scale, and where its coil maps come from.

    Parameters
    ----------
    kspace, sigma, noise_from
        See `PreparedVolume`; in the units of the file.
    maps_of
        Slices to their coil maps.
    used
        True where samples had a part in maps or virtual coils.
    espirit
        What ``maps_of`` asks; None where maps were given.

    Examples
    --------
    >>> data = torch.randn(1, 2, 16, 16, dtype=torch.complex64)
    >>> scan = KSpace(data, torch.ones(1, 16, 16, dtype=torch.bool))
    >>> Preparation.of(scan, PrepareConfig(), Coils(data[:, None])).used.any()
    tensor(False)
    """

    kspace: KSpace
    sigma: float
    noise_from: NoiseSource
    maps_of: Callable[[slice], CoilMaps]
    used: Bool[Tensor, "height width"]
    espirit: EspiritOfSlabs | None = None

    @classmethod
    def of(
        cls, kspace: KSpace, config: PrepareConfig, coils: Coils, slabs: Slabs | None = None
    ) -> "Preparation":
        """Whiten, remove readout oversampling, find the noise level, compress.

        Parameters
        ----------
        kspace
            As it was read.
        config, coils
            See their classes.
        slabs
            Overwrite the samples slab by slab; None makes new ones.

        Raises
        ------
        CalibrationError, ShapeError, RefusedInputError
            As `prepare`.
        """
        if coils.maps is not None and config.compress_to is not None:
            msg = "maps are given for the physical coils, so coils cannot be compressed; drop one."
            raise RefusedInputError(msg)
        given = None if coils.maps is None else _fitting(coils.maps, kspace)
        white, matrix, sigma = whiten(kspace, slabs)
        if given is None:
            white = remove_readout_oversampling(white, slabs=slabs)
        lent = coils.calibration
        noise_from: NoiseSource = "noise scan"
        if sigma is None:
            side = config.calibration
            white, sigma, noise_from = with_estimated_noise(white, calibration=side)
        device = kspace.data.device if slabs is None else slabs.device
        if given is not None:
            maps_of = partial(_whitened_maps, given, matrix, device)
            unused = torch.zeros_like(white.mask[0])
            return cls(white, sigma, noise_from, maps_of, unused)
        if lent is not None:
            white, calibration = lent.combine_coils_of(white, slabs), lent
        else:
            white, calibration = CoilCalibration.of(
                white,
                calibration_region(white, config),
                compress_to=config.compress_to,
                slabs=slabs,
            )
        estimate = EspiritOfSlabs(calibration, config.espirit)
        white = white.with_note(calibration.note)
        maps_of = partial(estimate.maps_of, device=device)
        used = calibration.used.to(white.data.device)  # a lent one lies where its frame was read
        return cls(white, sigma, noise_from, maps_of, used, estimate)


def calibration_region(kspace: KSpace, config: PrepareConfig) -> CalibrationRegion:
    """Return the calibration region that is used.

    Raises
    ------
    CalibrationError
        There is none.
    """
    return find_acs(kspace.mask, kernel=config.espirit.kernel).limited(config.calibration)


def _whitened_maps(maps: CoilMaps, matrix: Tensor | None, device: torch.device, at: slice) -> Array:
    some = maps[at].to(device)
    return _normalised(some if matrix is None else apply_to_coils(matrix, some))


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

"""From k-space as it was read to what a reconstruction sees: whitened, scaled, with coil maps."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from medconsist.mri.forward import Measurement
from medconsist.mri.kspace import KSpace
from medconsist.mri.oversampling import remove_readout_oversampling
from medconsist.mri.preparation import Coils, Preparation, PrepareConfig
from medconsist.mri.volumes.overwrite import Slabs
from medconsist.mri.volumes.volume import Measured
from medconsist.mri.whitening import NoiseSource, whiten
from medconsist.mri.zerofilled_rss import rss_scale
from medconsist.shapes import CoilMaps

__all__ = ["PrepareConfig", "Prepared", "PreparedVolume", "prepare", "prepare_with"]
__all__ += ["prepare_without_maps"]


@dataclass(frozen=True, eq=False)
class PreparedVolume:
    """A measurement, whole or in slabs, with what is needed to return to the scanner's units.

    Parameters
    ----------
    measurement
        Samples divided by ``scale``, mask, maps, noise level.
    scale
        Positive number; images of ``measurement`` times it are in the units of the k-space file.
    calibration
        True where samples made the maps and virtual coils, here or in the frame that they come
        from, ``height width``; all False where maps were given. No other sample had a part in the
        forward operator.
    kspace
        Mask, geometry and all notes after whitening and compression. Of `prepare`, the samples are
        in the units of the file; of a volume in slabs, they are those of the measurement.
    noise_from
        Where the noise level comes from: a ``"noise scan"``, else the smaller of what the coils
        cannot explain of the ``"calibration region"`` (`calibration_sigma`) and of the level of
        the ``"outermost samples"`` (`estimate_sigma`): signal makes both too high.
    """

    measurement: Measured
    scale: float
    calibration: Bool[Tensor, "height width"]
    kspace: KSpace
    noise_from: NoiseSource


@dataclass(frozen=True, eq=False)
class Prepared(PreparedVolume):
    """What `prepare` makes: all slices at once.

    Parameters
    ----------
    measurement, scale, calibration, kspace, noise_from
        As of `PreparedVolume`.
    """

    measurement: Measurement


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
        See `Coils`.

    Raises
    ------
    CalibrationError
        No maps are given and there is no calibration region, or none that gives maps.
    ShapeError
        Given maps do not fit.
    RefusedInputError
        Maps are given and coils are to be compressed.
    """
    return prepare_with(kspace, config or PrepareConfig(), Coils(maps))


def prepare_without_maps(kspace: KSpace, slabs: Slabs | None = None) -> KSpace:
    """Return k-space without readout oversampling, whitened where there is a noise scan.

    ``slabs`` overwrites the samples slab by slab; None makes new ones.
    """
    whitened, _, sigma = whiten(kspace, slabs)
    if sigma is None:
        whitened = whitened.with_note("No noise scan: not whitened.")
    return remove_readout_oversampling(whitened, slabs=slabs)


def prepare_with(kspace: KSpace, config: PrepareConfig, coils: Coils) -> Prepared:
    """Return what `prepare` returns, for coil maps from elsewhere too."""
    ready = Preparation.of(kspace, config, coils)
    maps = ready.maps_of(slice(0, len(kspace.data)))
    if ready.espirit is not None:
        ready.espirit.refuse_empty()
    data, mask = ready.kspace.data, ready.kspace.mask
    scale = rss_scale(data)
    measurement = Measurement(data / scale, mask, maps, ready.sigma / scale)
    return Prepared(measurement, scale, ready.used, ready.kspace, ready.noise_from)

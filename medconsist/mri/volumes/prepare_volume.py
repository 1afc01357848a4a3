"""`prepare` for a volume that the memory holds about once."""

from dataclasses import dataclass
from pathlib import Path

import torch

from medconsist.mri.coil_calibration import CoilCalibration
from medconsist.mri.kspace import KSpace
from medconsist.mri.oversampling import remove_readout_oversampling
from medconsist.mri.preparation import Coils, Preparation, PrepareConfig, calibration_region
from medconsist.mri.prepare import PreparedVolume, prepare_with
from medconsist.mri.volumes.map_spool import MapSpool
from medconsist.mri.volumes.overwrite import Slabs
from medconsist.mri.volumes.progress import told
from medconsist.mri.volumes.volume import SLAB_BYTES, Volume, slabs_within
from medconsist.mri.whitening import whiten
from medconsist.mri.zerofilled_rss import rss_scale

__all__ = ["Room", "calibrate_coils", "prepare_volume"]


@dataclass(frozen=True, kw_only=True)
class Room:
    """What memory and disk a volume may take.

    Parameters
    ----------
    slab_bytes
        See `slabs_within`.
    device
        Where slabs are computed; the volume stays where it was read unless it is one slab.
    folder
        Where coil maps are kept, in a file without a name, if there are several slabs.

    Examples
    --------
    >>> Room(folder=Path("out")).slab_bytes // 2**20
    512
    """

    folder: Path
    slab_bytes: int = SLAB_BYTES
    device: str = "cpu"


def prepare_volume(
    kspace: KSpace, room: Room, *, config: PrepareConfig | None = None, coils: Coils | None = None
) -> PreparedVolume:
    """Return what `prepare` returns, within the memory of the k-space and of a slab.

    **The samples of ``kspace`` are overwritten** if there are several slabs. Each step runs slab
    by slab; coil maps go to a temporary file.

    Parameters
    ----------
    kspace
        As it was read; of no use afterwards.
    room
        See its class.
    config
        See `PrepareConfig`.
    coils
        See its class.

    Raises
    ------
    CalibrationError, ShapeError, RefusedInputError
        As `prepare`.
    StorageError
        The maps cannot be kept.
    """
    config, coils = config or PrepareConfig(), coils or Coils()
    sets = config.espirit.sets if coils.maps is None else coils.maps.shape[1]
    parts = slabs_within(kspace.data.shape, sets=sets, slab_bytes=room.slab_bytes)
    if len(parts) == 1:
        return prepare_with(kspace.to(room.device), config, coils)
    slabs = Slabs(parts, torch.device(room.device))
    ready = Preparation.of(kspace, config, coils, slabs)
    scale = rss_scale(ready.kspace.data)
    maps_of = ready.maps_of
    if ready.espirit is not None:
        maps_of = MapSpool(room.folder, device=room.device)
        for at in told(parts, "coil maps"):
            maps_of.add(at, ready.maps_of(at))
        ready.espirit.refuse_empty()
    samples = ready.kspace.data.div_(scale)
    volume = Volume(samples, ready.kspace.mask, ready.sigma / scale, parts, maps_of)
    return PreparedVolume(volume, scale, ready.used, ready.kspace, ready.noise_from)


def calibrate_coils(kspace: KSpace, room: Room, *, config: PrepareConfig) -> CoilCalibration:
    """Return the calibration of a frame, for other frames of the same scan.

    **The samples of ``kspace`` are overwritten.**

    Parameters
    ----------
    kspace
        The frame, as it was read.
    room, config
        As for `prepare_volume`.

    Raises
    ------
    CalibrationError
        There is no calibration region.
    """
    parts = slabs_within(kspace.data.shape, sets=config.espirit.sets, slab_bytes=room.slab_bytes)
    slabs = Slabs(parts, torch.device(room.device))
    white, _, _ = whiten(kspace, slabs)
    white = remove_readout_oversampling(white, slabs=slabs)
    return CoilCalibration.of(
        white, calibration_region(white, config), compress_to=config.compress_to, slabs=slabs
    )[1]

"""ISMRMRD raw data (HDF5): Cartesian readouts of any vendor, planes or a volume.

Inati et al. 2017, doi:10.1002/mrm.26089; flags and counters as in its document
``doc/mrd_raw_data.md``. Positions and directions are in the patient's left-posterior-superior
frame.
"""

import numpy as np
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.formats.foreign_hdf5 import ForeignHdf5
from medconsist.mri.readers.acquisitions import PLACED, Acquisitions, Encoding, Role
from medconsist.mri.readers.ismrmrd_header import (
    IsmrmrdHeader,
    asked_matrix,
    parse_ismrmrd_header,
)
from medconsist.mri.readers.patient_frame import (
    affine_of_slices,
    affine_of_volume,
    common_frame,
    order_of_slices,
)
from medconsist.mri.readers.placement import Placed, PlaceOptions, frame_count, place
from medconsist.mri.readers.readout_planes import planes_along_readout
from medconsist.mri.readers.volume import Volume, refuse_other_axes

__all__ = ["count_ismrmrd", "ismrmrd_groups", "read_ismrmrd", "volume_of_readouts"]

# Numbers of the flags as ISMRMRD counts them, from 1.
_NOISE, _CALIBRATION, _CALIBRATION_AND_IMAGE, _REVERSE = 19, 20, 21, 22
_OTHER = (23, 24, 26, 27, 28, 29, 30, 31)
_EMBEDDED = (None, "embedded", "other")


def ismrmrd_groups(file: ForeignHdf5) -> list[str]:
    """Return the groups that hold rows of readouts, ``["dataset"]`` as a rule."""
    return [
        name.removesuffix("/data")
        for name, listed in file.datasets.items()
        if name.endswith("/data") and "head" in listed.fields
    ]


def read_ismrmrd(file: ForeignHdf5, *, frame: int | None) -> Volume:
    """Read one image: readouts sorted onto the grid, noise scan apart, geometry from the heads.

    ``height`` is the readout and ``width`` the phase encoding; with two phase encodings slices are
    positions along the readout, ``height`` the first and ``width`` the second. Where contrast,
    phase, repetition or set take several values, ``frame`` counts the combinations in that order.

    Raises
    ------
    RefusedInputError
        If the header is missing, the trajectory is not Cartesian, readouts are reversed (echo
        planar), a frame must be chosen, or the readouts do not fit the encoded matrix.
    """
    name, group = file.path.name, _one_group(file)
    header = _header(file, f"{group}/xml")
    acquisitions = _acquisitions(file.read_acquisition_heads(f"{group}/data"), name)
    placed = place(
        acquisitions,
        Encoding(
            matrix=header.encoded_matrix,
            line_centre=header.line_centre,
            partition_centre=header.partition_centre,
        ),
        lambda rows: file.read_acquisition_samples(f"{group}/data", rows),
        path=file.path,
        options=PlaceOptions(
            frame=frame,
            budget_bytes=file.budget_bytes,
            calibration=header.calibration_mode in _EMBEDDED,
            noise_bandwidth=header.noise_bandwidth or 1.0,
        ),
    )
    return volume_of_readouts(placed, header, name=name)


def count_ismrmrd(file: ForeignHdf5) -> int:
    """Return how many frames the heads of the readouts count; no sample is read.

    Raises
    ------
    RefusedInputError
        As `read_ismrmrd`, as far as the heads tell.
    """
    heads = file.read_acquisition_heads(f"{_one_group(file)}/data")
    return frame_count(_acquisitions(heads, file.path.name), path=file.path)


def _one_group(file: ForeignHdf5) -> str:
    groups = ismrmrd_groups(file)
    if len(groups) > 1:
        msg = (
            f"{file.path.name} holds several ISMRMRD groups {groups}; allowed: one. Split the file."
        )
        raise RefusedInputError(msg)
    return groups[0]


def volume_of_readouts(
    placed: Placed, header: IsmrmrdHeader, *, name: str, kind: str = "ISMRMRD"
) -> Volume:
    """Return planes, or a volume split along its readout, with voxel size and affine.

    Raises
    ------
    RefusedInputError
        If a volume's readout is not fully sampled, or it has several slabs.
    """
    if placed.samples.shape[-1] > 1:
        return _volume(placed, header, name=name, kind=kind)
    data, acquired = placed.samples[..., 0], placed.acquired[..., 0]
    refuse_other_axes(*data.shape[1:], name=name)
    frame, notes = common_frame(placed.image), placed.notes
    order = order_of_slices(frame)
    if order is not None and frame is not None:
        data, acquired = data[order], acquired[order]
        frame = type(frame)(frame.read, frame.phase, frame.slice, frame.centres[order])
        notes = (*notes, f"Slices put in order along their normal: {order.tolist()}.")
    rows_mm, columns_mm, thickness_mm = _spacings(header, (*data.shape[-2:], 1))
    affine: Float[Tensor, "4 4"] | None = None
    step_mm: float | None = None
    said: tuple[str, ...] = ()
    if frame is not None:
        spacings, lengths = (rows_mm, columns_mm), (data.shape[-2], data.shape[-1])
        affine, step_mm, said = affine_of_slices(frame, spacings, lengths, thickness_mm)
    return Volume(
        data.contiguous(),
        acquired=_one_if_same(acquired),
        affine=affine,
        noise=placed.noise,
        voxel_size_mm=(step_mm, rows_mm, columns_mm),
        field_strength_t=header.field_strength_t,
        recon_matrix=asked_matrix(header)[:2],
        notes=(f"{kind}: height is the readout, width the phase encoding.", *notes, *said),
    )


def _volume(placed: Placed, header: IsmrmrdHeader, *, name: str, kind: str) -> Volume:
    slabs, _, read, lines, partitions = placed.samples.shape
    if slabs > 1:
        msg = f"{name} holds {slabs} slabs of a volume; allowed: one. Split the file."
        raise RefusedInputError(msg)
    spectrum = placed.samples[0].transpose(0, 1)
    refuse_other_axes(*spectrum.shape[1:], name=name)
    data, said = planes_along_readout(spectrum, name=name)
    kept = asked_matrix(header)[0]
    kept = read if kept is None or kept > read else kept
    first = read // 2 - kept // 2
    spacings = _spacings(header, (read, lines, partitions))
    frame = common_frame(placed.image)
    affine: Float[Tensor, "4 4"] | None = None
    about: tuple[str, ...] = ()
    if frame is not None:
        affine, about = affine_of_volume(frame, spacings, (read, lines, partitions), first)
    note = (
        f"{kind} volume split by the inverse transform along the readout, central {kept} of "
        f"{read} positions kept as slices; height is the line, width the partition."
    )
    return Volume(
        data if kept == read else data[first : first + kept].clone(),  # the rest is let go
        acquired=placed.acquired[:, 0],
        affine=affine,
        noise=placed.noise,
        voxel_size_mm=spacings,
        field_strength_t=header.field_strength_t,
        recon_matrix=asked_matrix(header)[1:],
        notes=(note, *placed.notes, *said, *about),
    )


def _one_if_same(acquired: Bool[Tensor, "slices h w"]) -> Bool[Tensor, "some h w"]:
    same = bool((acquired == acquired[:1]).all())
    return (acquired[:1] if same else acquired).contiguous()


def _header(file: ForeignHdf5, name: str) -> IsmrmrdHeader:
    texts = file.read(texts=(name,)).texts
    header = parse_ismrmrd_header(texts[name]) if name in texts else None
    if header is None:
        what = "is not readable" if name in texts else "is missing"
        msg = (
            f"{file.path.name}: the ISMRMRD header {name} {what}; without it the matrix and the "
            "trajectory are unknown. Convert the file again."
        )
        raise RefusedInputError(msg)
    if header.trajectory not in (None, "cartesian"):
        msg = (
            f"{file.path.name} was acquired on a {header.trajectory} trajectory; allowed: "
            "cartesian. Grid it first, e.g. with BART or Gadgetron."
        )
        raise RefusedInputError(msg)
    return header


def _acquisitions(heads: dict[str, Shaped[np.ndarray, "..."]], name: str) -> Acquisitions:
    flags, length = heads["flags"], heads["number_of_samples"]
    role = np.full(len(flags), int(Role.IMAGE))
    role[_flag(flags, _CALIBRATION) & ~_flag(flags, _CALIBRATION_AND_IMAGE)] = Role.CALIBRATION
    role[np.any([_flag(flags, other) for other in _OTHER], axis=0)] = Role.OTHER
    role[heads["encoding_space_ref"] > 0] = Role.OTHER
    role[_flag(flags, _NOISE)] = Role.NOISE
    reversed_ones = int((_flag(flags, _REVERSE) & np.isin(role, PLACED)).sum())
    if reversed_ones:
        msg = (
            f"{name} holds {reversed_ones} reversed readouts (echo planar), which need a phase "
            "correction; allowed: readouts in one direction."
        )
        raise RefusedInputError(msg)
    frames = np.stack([heads[key] for key in ("contrast", "phase", "repetition", "set")], axis=1)
    return Acquisitions(
        number=np.arange(len(flags)),
        role=role,
        length=length,
        channels=heads["active_channels"],
        first=heads["discard_pre"],
        stop=length - heads["discard_post"],
        centre=heads["center_sample"],
        line=heads["kspace_encode_step_1"],
        partition=heads["kspace_encode_step_2"],
        average=heads["average"],
        slice=heads["slice"],
        frames=frames,
        dwell_us=heads["sample_time_us"],
        **{key: heads[key] for key in Acquisitions.VECTORS},
    )


def _flag(flags: Shaped[np.ndarray, " rows"], number: int) -> Bool[np.ndarray, " rows"]:
    marked: Bool[np.ndarray, " rows"] = (flags & np.uint64(1 << (number - 1))) != 0
    return marked


def _spacings(
    header: IsmrmrdHeader, lengths: tuple[int, int, int]
) -> tuple[float | None, float | None, float | None]:
    """Divide the encoded field of view by the encoded matrix, where that is the grid."""
    x, y, z = (
        fov / n if fov is not None and matrix == n else None
        for fov, matrix, n in zip(
            header.encoded_fov_mm, header.encoded_matrix, lengths, strict=True
        )
    )
    return x, y, z

"""Siemens raw data (twix ``.dat``, VB to VE), parsed by twixtools in a disposable process.

Counters and flags as in the measurement data header. The orientation stays unknown: the relation
of Siemens' slice quaternions to the pixel order could not be checked on a scan of known pose.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from medconsist.errors import RefusedInputError
from medconsist.mri.formats.child import Child, open_in_child
from medconsist.mri.readers.acquisitions import PLACED, Acquisitions, Encoding, Role
from medconsist.mri.readers.ismrmrd import volume_of_readouts
from medconsist.mri.readers.ismrmrd_header import LONGEST_MATRIX, IsmrmrdHeader
from medconsist.mri.readers.placement import PlaceOptions, frame_count, place
from medconsist.mri.readers.volume import Volume

__all__ = ["count_twix_frames", "read_twix_kspace"]

_WORKER = "medconsist.mri.formats.twix_worker"
_IN_PLACE = 2  # ucRefScanMode: reference lines belong to the image
_CARTESIAN, _NO_REGRIDDING, _VOLUME = 1, 1, 4
_NOT_AN_IMAGE = (
    *("RTFEEDBACK", "HPFEEDBACK", "REFPHASESTABSCAN", "PHASESTABSCAN", "PHASCOR", "noname60"),
    *("RETRO_DUMMYSCAN", "MDH_VOP", "SLICE_ACCEL_REFSCAN", "SLICE_ACCEL_PHASCOR"),
)

_ORDER = (
    "Slices in the order of the scanner's counter, as a rule that of acquisition: neighbours here "
    "need not be neighbours in the patient."
)

Flagged = Callable[[str], Bool[np.ndarray, " rows"]]


def read_twix_kspace(path: Path, *, budget_bytes: int, frame: int | None) -> Volume:
    """Read the last measurement of a file; noise scans of earlier ones come along.

    ``height`` is the readout (oversampled; the header says to which height it belongs), ``width``
    the phase encoding; with partitions, slices are positions along the readout.

    Raises
    ------
    MissingExtraError
        If twixtools is not installed.
    TruncatedFileError
        If the file is damaged or ends early.
    RefusedInputError
        If the trajectory is not Cartesian, readouts are reflected (echo planar) or sampled on the
        ramps, or a frame (echo, phase, repetition, set) must be chosen.
    """
    with _opened(path, budget_bytes) as (child, columns, heads, protocol):
        header = _header(protocol)
        image = heads.role == Role.IMAGE
        encoding = Encoding(
            matrix=header.encoded_matrix,
            line_centre=_common(columns["line_centre"][image]),
            partition_centre=_common(columns["partition_centre"][image]),
        )
        options = PlaceOptions(
            frame=frame,
            budget_bytes=budget_bytes,
            calibration=protocol.get("reference_mode", _IN_PLACE) == _IN_PLACE,
        )
        placed = place(
            heads, encoding, lambda rows: _fetch(child, columns, rows), path=path, options=options
        )
    if len(placed.samples) > 1:
        placed = replace(placed, notes=(*placed.notes, _ORDER))
    return volume_of_readouts(placed, header, name=path.name, kind="Siemens twix")


def count_twix_frames(path: Path, *, budget_bytes: int) -> int:
    """Return how many frames the heads of the last measurement count; no sample is read.

    Raises
    ------
    MedconsistError
        As `read_twix_kspace`, as far as the heads tell.
    """
    with _opened(path, budget_bytes) as (_, _, heads, _):
        return frame_count(heads, path=path)


@contextmanager
def _opened(
    path: Path, budget_bytes: int
) -> Iterator[tuple[Child, dict[str, Shaped[np.ndarray, " rows"]], Acquisitions, dict[str, float]]]:
    """Give the process that holds the file, the columns of its heads, and its last protocol."""
    bound = min(budget_bytes, 16 * path.stat().st_size + 2**28)
    with open_in_child(_WORKER, path, budget_bytes=bound) as child:
        opening = {"path": str(path.absolute()), "budget_bytes": bound}
        said, columns = child.ask(opening)
        protocols: list[dict[str, float]] = said["protocol"]
        heads = _acquisitions(columns, said["flags"], protocols, path.name)
        yield child, columns, heads, protocols[-1]


def _fetch(
    child: Child,
    columns: dict[str, Shaped[np.ndarray, " rows"]],
    chosen: Shaped[np.ndarray, " chosen"],
) -> Shaped[np.ndarray, " samples"]:
    points = columns["length"] * columns["channels"]
    places = np.stack([columns["place"], columns["modern"], points], axis=1)[chosen]
    return child.ask({"places": places.tolist()})[1]["samples"]


def _acquisitions(
    columns: dict[str, Shaped[np.ndarray, " rows"]],
    flags: list[str],
    protocols: list[dict[str, Any]],
    name: str,
) -> Acquisitions:
    def flagged(flag: str) -> Bool[np.ndarray, " rows"]:
        marked: Bool[np.ndarray, " rows"] = (columns["flags"] >> flags.index(flag)) & 1 == 1
        return marked

    scan = columns["scan"]
    role = _roles(flagged, scan == len(protocols) - 1)
    _refuse_other_sampling(protocols[-1], flagged("REFLECT") & np.isin(role, PLACED), name)
    dwells = np.array([protocol.get("dwell_ns", 0.0) for protocol in protocols]) / 1000
    # A noise scan inside the measurement has a sampling time of its own, which nothing states.
    inside = (role == Role.NOISE) & (scan == len(protocols) - 1)
    nowhere = np.zeros((len(scan), 3))
    counters = ("contrast", "phase", "repetition", "set")
    return Acquisitions(
        number=np.arange(len(scan)),
        role=role,
        length=columns["length"],
        channels=columns["channels"],
        first=columns["first"],
        stop=columns["length"] - columns["cut"],
        centre=columns["centre"],
        line=columns["line"],
        partition=columns["partition"],
        average=columns["average"],
        slice=columns["slice"],
        frames=np.stack([columns[counter] for counter in counters], axis=1),
        dwell_us=np.where(inside, 0.0, dwells[scan]),
        **dict.fromkeys(Acquisitions.VECTORS, nowhere),
    )


def _roles(flagged: Flagged, last: Bool[np.ndarray, " rows"]) -> Shaped[np.ndarray, " rows"]:
    role = np.full(len(last), int(Role.IMAGE))
    role[flagged("PATREFSCAN") & ~flagged("PATREFANDIMASCAN")] = Role.CALIBRATION
    role[np.any([flagged(flag) for flag in _NOT_AN_IMAGE], axis=0)] = Role.OTHER
    role[~last] = Role.OTHER
    role[flagged("NOISEADJSCAN")] = Role.NOISE
    return role


def _refuse_other_sampling(
    protocol: dict[str, float], reflected: Bool[np.ndarray, " rows"], name: str
) -> None:
    wrong = None
    if protocol.get("trajectory", _CARTESIAN) != _CARTESIAN:
        wrong = "was not acquired on a Cartesian trajectory"
    elif reflected.any():
        wrong = f"holds {int(reflected.sum())} reflected readouts (echo planar)"
    elif protocol.get("regridding", _NO_REGRIDDING) != _NO_REGRIDDING:
        wrong = "was sampled on the gradient ramps"
    if wrong is not None:
        msg = (
            f"{name} {wrong}; allowed: Cartesian readouts in one direction on a flat gradient. "
            "Grid it first, e.g. with Gadgetron."
        )
        raise RefusedInputError(msg)


def _header(protocol: dict[str, float]) -> IsmrmrdHeader:
    """Return matrix and field of view, oversampling included, in the words of ISMRMRD."""
    read = _points(protocol.get("samples", 0.0))
    over = (
        protocol.get("readout_oversampling", 1.0),
        1 + protocol.get("line_oversampling", 0.0),
        1 + protocol.get("partition_oversampling", 0.0),
    )
    volume = protocol.get("dimension") == _VOLUME
    fov = tuple(protocol.get(key, 0.0) for key in ("read_fov_mm", "line_fov_mm", "thickness_mm"))
    matrix = (
        _points((read or 0) * over[0]),
        _points(protocol.get("lines", 0.0)),
        _points(protocol.get("partitions", 0.0)) if volume else 1,
    )
    return IsmrmrdHeader(
        encoded_matrix=matrix,
        encoded_fov_mm=(
            fov[0] * over[0] or None,
            fov[1] * over[1] or None,
            (fov[2] * over[2] if volume else fov[2]) or None,
        ),
        recon_matrix=(read, None, None),
        recon_fov_mm=(fov[0] or None, None, None),
        field_strength_t=protocol.get("field_strength_t") or None,
    )


def _points(value: float) -> int | None:
    return int(value) if 1 <= value < LONGEST_MATRIX else None


def _common(values: Shaped[np.ndarray, " rows"]) -> int | None:
    found = np.unique(values)
    return int(found[0]) if len(found) == 1 else None

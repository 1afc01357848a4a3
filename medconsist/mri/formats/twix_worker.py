"""The disposable process that parses a Siemens raw data file (twix) with the package twixtools.

Run by `readers.twix` as ``python -m medconsist.mri.formats.twix_worker``; no torch here. The
first line is answered with one array per counter of the readouts and the numbers of the protocol,
further ones with samples.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped

from medconsist._extras import require
from medconsist.errors import (
    BudgetError,
    MedconsistError,
    MissingExtraError,
    RefusedInputError,
    TruncatedFileError,
)
from medconsist.mri.formats.files import check_budget
from medconsist.mri.formats.worker_process import Answer, serve

__all__ = ["COLUMNS", "PROTOCOL", "is_twix", "open_file"]

COLUMNS = {
    "length": "SamplesInScan",
    "channels": "UsedChannels",
    "centre": "CenterCol",
    "line_centre": "CenterLin",
    "partition_centre": "CenterPar",
}
_COUNTERS = {
    "line": "Lin",
    "partition": "Par",
    "slice": "Sli",
    "average": "Ave",
    "contrast": "Eco",
    "phase": "Phs",
    "repetition": "Rep",
    "set": "Set",
}
PROTOCOL = {
    "samples": ("MeasYaps", "sKSpace", "lBaseResolution"),
    "lines": ("MeasYaps", "sKSpace", "lPhaseEncodingLines"),
    "partitions": ("MeasYaps", "sKSpace", "lPartitions"),
    "dimension": ("MeasYaps", "sKSpace", "ucDimension"),
    "trajectory": ("MeasYaps", "sKSpace", "ucTrajectory"),
    "line_oversampling": ("MeasYaps", "sKSpace", "dPhaseOversamplingForDialog"),
    "partition_oversampling": ("MeasYaps", "sKSpace", "dSliceOversamplingForDialog"),
    "reference_mode": ("MeasYaps", "sPat", "ucRefScanMode"),
    "read_fov_mm": ("MeasYaps", "sSliceArray", "asSlice", 0, "dReadoutFOV"),
    "line_fov_mm": ("MeasYaps", "sSliceArray", "asSlice", 0, "dPhaseFOV"),
    "thickness_mm": ("MeasYaps", "sSliceArray", "asSlice", 0, "dThickness"),
    "dwell_ns": ("MeasYaps", "sRXSPEC", "alDwellTime", 0),
    "readout_oversampling": ("Meas", "flReadoutOSFactor"),
    "field_strength_t": ("Meas", "flMagneticFieldStrength"),
    "regridding": ("Meas", "alRegridMode", 0),
}
_MOST_SCANS = 64
_NAME = re.compile(rb"[A-Za-z]\w{3,}\0")


def is_twix(path: Path) -> bool:
    """Tell whether the header of a measurement lies where twix files (VB, VD, VE) have it."""
    with path.open("rb") as file:
        first, second = np.frombuffer(file.read(8).ljust(8, b"\0"), dtype="<u4").tolist()
        if first < 10_000 and 1 <= second <= _MOST_SCANS:
            file.seek(16)
            offset = int.from_bytes(file.read(8), "little")
            if offset > path.stat().st_size:
                return False
            file.seek(offset + 8)
        return _NAME.match(file.read(64)) is not None


@contextmanager
def open_file(
    first: dict[str, Any], *, missing: MissingExtraError | None = None
) -> Iterator[Answer]:
    """Open the file that the first request names; give what answers it and all others.

    Raises
    ------
    MedconsistError
        If twixtools is missing, the file ends early, or twixtools cannot parse it.
    """
    if missing is not None:
        raise missing
    path, budget_bytes = Path(first["path"]), int(first["budget_bytes"])
    try:
        with path.open("rb") as file:

            def answer(asked: dict[str, Any]) -> Iterator[bytes]:
                if "path" in asked:
                    return _heads(file, path)
                return _samples(file, np.asarray(asked["places"]), path, budget_bytes)

            yield answer
    except MedconsistError:
        raise
    except MemoryError as error:
        msg = f"{path.name} needs more memory than its size and the budget allow."
        raise BudgetError(msg) from error
    # A parser of foreign bytes may fail in any way; the process ends with it.
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        msg = f"{path.name} is damaged: twixtools says {reason!r}. Copy the file again."
        raise TruncatedFileError(msg) from error


def _heads(file: IO[bytes], path: Path) -> Iterator[bytes]:
    if not path.suffix:  # twixtools would look for another file
        msg = f"{path.name} is raw data of Siemens, which needs a name ending in .dat; rename it."
        raise RefusedInputError(msg)
    twixtools = require("twixtools", extra="siemens")
    scans = twixtools.read_twix(
        str(path), parse_data=False, parse_pmu=False, parse_geometry=False, verbose=False
    )
    rows: list[tuple[int, ...]] = []
    for index, scan in enumerate(scans):
        rows += _walk(file, path, scan, index)
    if not rows:
        msg = f"{path.name} holds no readout; copy the file again."
        raise RefusedInputError(msg)
    table = np.array(rows, dtype="<i8")
    names = ("scan", "place", "flags", "modern", "first", "cut", *COLUMNS, *_COUNTERS)
    columns = dict(zip(names, np.ascontiguousarray(table.T), strict=True))
    items = [{"name": n, "dtype": "<i8", "shape": [len(rows)]} for n in columns]
    protocol = [_protocol(scan["hdr"]) for scan in scans]
    mask = list(twixtools.mdb.mdh_def.mask_id)
    yield json.dumps({"arrays": items, "protocol": protocol, "flags": mask}).encode() + b"\n"
    for column in columns.values():
        yield column.tobytes()


def _walk(
    file: IO[bytes], path: Path, scan: dict[str, Any], index: int
) -> Iterator[tuple[int, ...]]:
    """Yield the heads of one measurement; twixtools' own loop need not end on a damaged file."""
    mdb_module = require("twixtools", extra="siemens").mdb
    modern = "raidfile_hdr" in scan
    size = path.stat().st_size
    start, length = 0, size
    if modern:
        start, length = int(scan["raidfile_hdr"]["off_"]), int(scan["raidfile_hdr"]["len_"])
    place, end = start + len(scan["hdr_str"]), min(size, start + (length or size))
    while True:
        file.seek(place)
        if place + 128 > end:
            raise _cut_off(path)
        head = mdb_module.Mdb(file, modern)
        if head.is_flag_set("ACQEND"):
            return
        step = int(head.dma_len)
        if step < 128 or place + step > end:
            raise _cut_off(path)
        mdh = head.mdh
        if not head.is_flag_set("SYNCDATA"):
            yield (
                *(index, place, _signed(mdh.EvalInfoMask), int(modern)),
                *(int(mdh.CutOff.Pre), int(mdh.CutOff.Post)),
                *(int(getattr(mdh, name)) for name in COLUMNS.values()),
                *(int(getattr(mdh.Counter, name)) for name in _COUNTERS.values()),
            )
        place += step


def _samples(
    file: IO[bytes], places: Shaped[np.ndarray, "rows 3"], path: Path, budget_bytes: int
) -> Iterator[bytes]:
    mdb_module = require("twixtools", extra="siemens").mdb
    total = int(places[:, 2].sum())
    check_budget(path, 8 * total, budget_bytes)
    item = {"name": "samples", "dtype": "<c8", "shape": [total]}
    yield json.dumps({"arrays": [item]}).encode() + b"\n"
    for place, modern, _ in places.tolist():
        file.seek(place)
        yield np.ascontiguousarray(mdb_module.Mdb(file, bool(modern)).data, dtype="<c8").tobytes()


def _protocol(header: dict[str, Any]) -> dict[str, float]:
    """Return the finite numbers of the protocol that are wanted, by our names."""
    found = {}
    for name, keys in PROTOCOL.items():
        value: Any = header
        for key in keys:
            inside = isinstance(value, dict) and key in value
            listed = isinstance(value, list) and isinstance(key, int) and key < len(value)
            value = value[key] if inside or listed else None
        if isinstance(value, int | float) and math.isfinite(value):
            found[name] = float(value)
    return found


def _signed(flags: int) -> int:
    return int(np.uint64(flags).astype(np.int64))


def _cut_off(path: Path) -> TruncatedFileError:
    msg = (
        f"{path.name} ends before the end mark of its measurement: it was cut off, or the scan was "
        "aborted. Copy the file again."
    )
    return TruncatedFileError(msg)


def main() -> None:
    """Import before memory and files are limited, then serve."""
    missing: MissingExtraError | None = None
    try:
        require("twixtools", extra="siemens")
    except MissingExtraError as error:
        missing = error

    def opened(first: dict[str, Any]) -> AbstractContextManager[Answer]:
        return open_file(first, missing=missing)

    serve(opened)


if __name__ == "__main__":
    main()

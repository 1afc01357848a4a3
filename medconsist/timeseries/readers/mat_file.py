"""MATLAB 5 files of CinC / CPSC 2018: a struct ``ECG`` with ``sex``, ``age`` and ``data``.

``data`` is ``12 time``; the file has neither rate nor unit nor names. The leads are those of the
challenge's documentation (Liu et al. 2018, doi:10.1166/jmihi.2018.2442): I, II, III, aVR, aVL,
aVF, V1 to V6. Compressed parts are inflated within a budget before the library sees them.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

from medconsist._extras import require
from medconsist._library_errors import library_errors
from medconsist.errors import CorruptInputError, TruncatedFileError, UnsupportedInputError
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS
from medconsist.timeseries.readers.files import (
    as_float32,
    require_budget,
    require_file,
)
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.raw_header import RawHeader, info_of
from medconsist.timeseries.recording import InMemoryRecording, Recording

__all__ = ["MAT_MAGIC", "open_mat"]

MAT_MAGIC = b"MATLAB 5.0 MAT-file"
_HEAD = 128
_COMPRESSED = 15  # miCOMPRESSED
_PIECE = 2**20


def open_mat(path: Path, options: ReadOptions) -> Recording:
    """Read a struct ``ECG``; the format is compressed as one, so it is read whole.

    Raises
    ------
    RefusedInputError
        No rate was given.
    UnsupportedInputError
        It holds no ``ECG.data`` of twelve leads.
    TruncatedFileError, CorruptInputError, BudgetError
        As their names say.
    """
    require_file(path)
    _refuse_bad_parts(path, options.budget_bytes)
    scipy_io = require("scipy.io", extra="timeseries")
    with library_errors(path.name, "scipy"):
        found = scipy_io.loadmat(path, variable_names=["ECG"])
    ecg = found.get("ECG")
    names = (ecg.dtype.names if isinstance(ecg, np.ndarray) else None) or ()
    if ecg is None or "data" not in names or ecg.size != 1:
        msg = (
            f"{path.name} holds no struct ECG with a field data (fields: {list(names)}); allowed: "
            "files of CPSC 2018, and .mat files of WFDB beside their .hea header."
        )
        raise UnsupportedInputError(msg)
    data = ecg["data"].item()
    number = isinstance(data, np.ndarray) and data.dtype.kind in "fiu"
    if not number or data.ndim != 2 or data.shape[0] != len(TWELVE_LEADS) or not data.shape[1]:
        msg = f"{path.name}: ECG.data has shape {np.shape(data)}; allowed: (12 leads, samples)."
        raise UnsupportedInputError(msg)
    raw = RawHeader(
        kind="MAT",
        rate=None,
        channels=TWELVE_LEADS,
        units=(None,) * len(TWELVE_LEADS),
        samples=data.shape[1],
        notes=(
            "Lead names by the documentation of CPSC 2018; the file has none.",
            *(("Sex and age of the file are left out.",) if {"sex", "age"} & set(names) else ()),
        ),
    )
    return InMemoryRecording(info_of(raw, path, options), as_float32(data.T, path.name))


def _refuse_bad_parts(path: Path, budget: int) -> None:
    """Walk over the parts of the file: each must be there, and inflate within the budget."""
    require_budget(path.name, path.stat().st_size, budget)
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        msg = f"{path.name} is damaged: its MATLAB header names no byte order. Copy it again."
        raise CorruptInputError(msg)
    at = _HEAD
    while at < len(content):
        tag = content[at : at + 8].ljust(8, b"\0")
        kind, size = struct.unpack(f"{order}II", tag)
        at += 8
        if at + size > len(content):
            msg = (
                f"{path.name} ends {at + size - len(content)} bytes before what its header claims. "
                "Copy the file again."
            )
            raise TruncatedFileError(msg)
        if kind == _COMPRESSED:
            _inflate(content[at : at + size], path.name, budget)
        at += size


def _inflate(part: bytes, name: str, budget: int) -> None:
    machine, made = zlib.decompressobj(), 0
    with library_errors(name, "zlib"):
        while part and not machine.eof:
            made += len(machine.decompress(part, _PIECE))
            part = machine.unconsumed_tail
            require_budget(name, made, budget)
    if not machine.eof:
        msg = f"{name}: a compressed part ends early. Copy the file again."
        raise TruncatedFileError(msg)

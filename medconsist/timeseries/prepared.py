"""A prepared folder: samples to map, whose each window is, and the record that is written last."""

from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from medconsist import __version__
from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._digests import canonical_json, sha256_of_path
from medconsist._records import read_record
from medconsist.errors import CorruptResultError, MissingInputError, RefusedInputError
from medconsist.timeseries.prepared_record import (
    RECORD,
    SIGNALS,
    TABLE,
    FileFacts,
    PreparedFacts,
    PreparedRecord,
    fingerprint_of_facts,
)
from medconsist.timeseries.signals_file import mapped_signals
from medconsist.timeseries.window_set import WindowSet, WindowTable

__all__ = ["read_prepared", "read_prepared_record", "seal"]

_COLUMNS = ("patient", "trial", "start", "label")


def seal(folder: Path, facts: PreparedFacts, table: WindowTable) -> PreparedRecord:
    """Write the table and then, last, the record of a folder whose samples are there.

    Raises
    ------
    StorageError
        The disk is full or not writable; the folder is not read then.
    """
    columns = {name: np.ascontiguousarray(getattr(table, name)) for name in _COLUMNS}
    atomic_write_bytes(folder / TABLE, save(columns))
    files = {
        name: FileFacts(bytes=(folder / name).stat().st_size, sha256=sha256_of_path(folder / name))
        for name in (SIGNALS, TABLE)
    }
    record = PreparedRecord(
        facts=facts,
        files=files,
        fingerprint=fingerprint_of_facts(facts, files),
        made_by=f"medconsist {__version__}",
    )
    atomic_write_bytes(folder / RECORD, canonical_json(record.model_dump(mode="json")) + b"\n")
    return record


def read_prepared_record(folder: Path) -> PreparedRecord:
    """Return what ``prepared.json`` says, after comparing it with its own fingerprint.

    Raises
    ------
    MissingInputError
        There is none: not a prepared folder, or its preparation did not finish.
    CorruptResultError
        It was changed.
    RefusedInputError
        It is no such record.
    """
    path = folder / RECORD
    if not path.is_file():
        msg = (
            f"there is no {RECORD} in {folder}: it was never prepared, or that did not finish. "
            "Prepare the recordings (again)."
        )
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        record = read_record(PreparedRecord, path.read_bytes(), source=str(path))
    if record.fingerprint != fingerprint_of_facts(record.facts, record.files):
        msg = f"{path} was changed after it was written. Prepare the recordings again."
        raise CorruptResultError(msg)
    return record


def read_prepared(
    folder: Path, *, verify: Literal["sizes", "bytes"] = "sizes", expected: str | None = None
) -> WindowSet:
    """Return the windows of a prepared folder, their samples mapped and read when used.

    Parameters
    ----------
    folder
        As `medconsist.timeseries.prepare.prepare` wrote it.
    verify
        ``"sizes"`` compares the sizes of the samples' file and every byte of table and record;
        ``"bytes"`` every byte of the samples too.
    expected
        Fingerprint that it must have, such as that of a published table.

    Raises
    ------
    MissingInputError
        Not prepared, or not to the end.
    CorruptResultError
        Bytes differ from their recorded sha256 or size.
    RefusedInputError
        Another fingerprint than expected.
    """
    record = read_prepared_record(folder)
    if expected is not None and record.fingerprint != expected:
        msg = (
            f"{folder} has the fingerprint {record.fingerprint}, expected is {expected}: other "
            "recordings, other settings or another library. Numbers made with one do not hold for "
            "the other."
        )
        raise RefusedInputError(msg)
    for name in (SIGNALS, TABLE):
        _refuse_changed(folder / name, record.files[name], whole=name == TABLE or verify == "bytes")
    facts, settings = record.facts, record.facts.settings
    shape = (facts.windows, settings.samples, len(facts.channels))
    return WindowSet(
        mapped_signals(folder / SIGNALS, shape=shape),
        _table(folder / TABLE, facts),
        rate=settings.rate,
        channels=facts.channels,
        units=facts.units,
        fingerprint=record.fingerprint,
    )


def _refuse_changed(path: Path, wanted: FileFacts, *, whole: bool) -> None:
    size = path.stat().st_size if path.is_file() else -1
    if size != wanted.bytes or (whole and sha256_of_path(path) != wanted.sha256):
        found = "is missing" if size < 0 else f"has {size} bytes, recorded are {wanted.bytes}"
        if size == wanted.bytes:
            found = "differs from its recorded sha256"
        msg = f"{path} {found}. Prepare the recordings again, into another folder."
        raise CorruptResultError(msg)


def _table(path: Path, facts: PreparedFacts) -> WindowTable:
    with storage_errors(path, doing="read"):
        data = path.read_bytes()
    try:
        columns = load(data)
    except SafetensorError as error:
        msg = f"{path} is no table of windows ({error}). Prepare the recordings again."
        raise CorruptResultError(msg) from error
    return WindowTable(
        **{name: columns[name] for name in _COLUMNS},
        patients=tuple(count.patient for count in facts.kept),
        classes=facts.settings.classes,
        sites=tuple(count.site for count in facts.kept),
    )

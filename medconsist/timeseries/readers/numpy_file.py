"""NumPy arrays: one ``time channels`` array, or the folder layout of COMET (arXiv:2310.14017).

A COMET folder holds ``Feature/feature_ID.npy`` (``trials time channels``), one file a patient, and
``Label/label.npy`` with a row ``[label, id]`` for each. The released loader sorts the file names
and takes the position for the id, so that one missing or extra file shifts every label behind it;
here a patient is looked up by id. ``meta.json`` beside may give ``fs``, ``units``, ``channels`` (or
``channel_names``) and ``labels`` (``{"0": "control"}``).
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Shaped

from medconsist._library_errors import library_errors
from medconsist.errors import (
    CorruptInputError,
    MissingInputError,
    RefusedInputError,
    UnsafeFileError,
    UnsupportedInputError,
)
from medconsist.timeseries.readers.files import as_float32, require_file
from medconsist.timeseries.readers.options import ReadOptions
from medconsist.timeseries.readers.raw_header import RawHeader, info_of
from medconsist.timeseries.readers.recording_set import RecordingSet
from medconsist.timeseries.recording import Recording, RecordingInfo

__all__ = ["NPY_MAGIC", "MappedRecording", "is_comet", "open_comet", "open_npy"]

NPY_MAGIC = b"\x93NUMPY"
_FEATURE = re.compile(r"feature_(\d{1,18})\.npy")
_MOST_JSON = 2**24
_EXACT = 2**53  # 64-bit floats hold every whole number below


class MappedRecording(Recording):
    """A recording whose samples lie in an array, which may be a mapped file.

    Parameters
    ----------
    info
        Of the recording.
    array
        ``time channels``, of any numbers.

    Examples
    --------
    >>> info = RecordingInfo(rate=1.0, channels=("I",), units=(None,), samples=2)
    >>> MappedRecording(info, np.ones((2, 1), np.float16)).read(1).dtype
    dtype('float32')
    """

    def __init__(self, info: RecordingInfo, array: Shaped[np.ndarray, "time channels"]) -> None:
        super().__init__(info)
        self._array = array

    def read(
        self, start: int = 0, stop: int | None = None
    ) -> Float32[npt.NDArray[np.float32], "time channels"]:
        """Return samples as they are stored."""
        return as_float32(self._array[self._span(start, stop)], self.info.source)


@dataclass(frozen=True, kw_only=True)
class _Meta:
    rate: float | None = None
    unit: str | None = None
    channels: tuple[str, ...] | None = None
    labels: dict[str, str] | None = None


def open_npy(path: Path, options: ReadOptions) -> Recording:
    """Open one array ``time channels``; its rate, names and unit are the caller's.

    Raises
    ------
    RefusedInputError
        No rate was given, or another number of names than of channels.
    UnsupportedInputError
        It has not two axes.
    TruncatedFileError, CorruptInputError, UnsafeFileError
        As their names say.
    """
    array = _mapped(path)
    if array.ndim != 2:
        msg = (
            f"{path.name} has axes {array.shape}; allowed: (time, channels). Open trials through "
            "open_dataset, in a folder of COMET's layout."
        )
        raise UnsupportedInputError(msg)
    meta = _Meta(rate=None, channels=options.channels)
    raw = _header(meta, array.shape[0], array.shape[1], path.name)
    return MappedRecording(info_of(raw, path, options), array)


def is_comet(folder: Path) -> bool:
    """Say whether a folder looks like one of COMET's layout."""
    return (folder / "Feature").is_dir() or (folder / "Label").is_dir()


def open_comet(folder: Path, options: ReadOptions) -> RecordingSet:
    """Open a folder of COMET's layout; each trial is a recording, mapped.

    Patient ids are the ids as text, trials are numbered by their row from 0.

    Raises
    ------
    MissingInputError
        No label file, or no feature file for an id that has a label.
    RefusedInputError
        A feature file without a label, two for one id, a strange file among them, or no rate.
    TruncatedFileError, CorruptInputError, UnsafeFileError
        As their names say.
    """
    labels = _labels(folder / "Label" / "label.npy")
    files = _features(folder / "Feature")
    _refuse_other_ids(set(labels), set(files), folder.name)
    meta = _meta(folder / "meta.json")
    recordings: list[Recording] = []
    for patient in sorted(files):
        recordings += _trials(files[patient], str(patient), meta, options)
    shapes = {(r.info.samples, len(r.info.channels)) for r in recordings}
    if len({channels for _, channels in shapes}) > 1:
        msg = f"{folder.name}: patients differ in their number of channels ({sorted(shapes)[:9]})."
        raise CorruptInputError(msg)
    names = meta.labels or {}
    classes = {number: names.get(str(number), str(number)) for number in sorted({*labels.values()})}
    gap = () if set(files) == set(range(1, len(files) + 1)) else (_GAP,)
    return RecordingSet.of(
        recordings,
        labels={str(patient): classes[label] for patient, label in labels.items()},
        classes=tuple(classes.values()),
        source=f"COMET folder {folder.name}",
        notes=gap,
    )


_GAP = (
    "Ids are not 1 to the number of patients: a loader that counts file names, as COMET's released "
    "one does, would give patients the labels of others."
)


def _mapped(path: Path) -> Shaped[np.ndarray, "..."]:
    """Map an array after comparing its header with the length of the file."""
    size = require_file(path)
    with library_errors(path.name, "NumPy"):
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            if "pickle" not in str(error).lower() and "object" not in str(error).lower():
                raise
            msg = f"{path.name} holds pickled Python objects, which can run code; save numbers."
            raise UnsafeFileError(msg) from error
    if not isinstance(array, np.memmap) or array.dtype.kind not in "fiu" or not array.size:
        msg = f"{path.name} holds {array.dtype} of shape {np.shape(array)}; allowed: numbers."
        raise CorruptInputError(msg)
    claimed = array.offset + array.nbytes
    if claimed != size:
        msg = f"{path.name} has {size} bytes, its header claims {claimed}. Save the array again."
        raise CorruptInputError(msg)
    return array


def _labels(path: Path) -> dict[int, int]:
    table = _mapped(path)
    if table.ndim != 2 or table.shape[1] != 2 or not _whole(table):
        msg = (
            f"{path.name} holds {table.dtype} of shape {table.shape}; allowed: whole numbers of "
            "shape (patients, 2), each row [label, id]. Ids as 32-bit floats lose digits above "
            "2**24, as 64-bit ones above 2**53."
        )
        raise RefusedInputError(msg)
    rows = [(int(label), int(patient)) for label, patient in table]
    found = {patient: label for label, patient in rows}
    if len(found) != len(rows):
        ids = [patient for _, patient in rows]
        twice = sorted({patient for patient in ids if ids.count(patient) > 1})
        msg = f"{path.name} has several rows for the ids {twice[:9]}; allowed: one row a patient."
        raise RefusedInputError(msg)
    return found


def _whole(table: Shaped[np.ndarray, "..."]) -> bool:
    """Say whether these are whole numbers, each stored exactly; the released AD labels are floats.

    Of 32 bits none are taken: whether they were rounded before cannot be seen.
    """
    if table.dtype.kind in "iu":
        return True
    whole = bool((np.floor(table) == table).all() and (np.abs(table) < _EXACT).all())
    return table.dtype == np.float64 and whole


def _features(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        msg = f"{folder.parent.name} has no folder Feature; COMET's layout keeps the trials there."
        raise MissingInputError(msg)
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        match = _FEATURE.fullmatch(path.name)
        if match is None:
            msg = f"Feature holds {path.name!r}; allowed: feature_ID.npy alone. Take it out."
            raise RefusedInputError(msg)
        if int(match[1]) in found:
            msg = f"{path.name} and {found[int(match[1])].name} are of one id; keep one of them."
            raise RefusedInputError(msg)
        found[int(match[1])] = path
    return found


def _refuse_other_ids(labelled: set[int], there: set[int], name: str) -> None:
    if labelled == there:
        return
    missing, extra = sorted(labelled - there), sorted(there - labelled)
    kind = MissingInputError if missing else RefusedInputError
    msg = (
        f"{name}: ids with a label and no feature file: {missing[:9]}; ids with a feature file and "
        f"no label: {extra[:9]}; allowed: one file and one label an id. Nothing is shifted."
    )
    raise kind(msg)


def _trials(path: Path, patient: str, meta: _Meta, options: ReadOptions) -> list[Recording]:
    array = _mapped(path)
    if array.ndim != 3:
        msg = f"{path.name} has axes {array.shape}; allowed: (trials, time, channels)."
        raise UnsupportedInputError(msg)
    raw = _header(meta, array.shape[1], array.shape[2], path.name)
    info = info_of(raw, path, options)
    return [
        MappedRecording(_of_trial(info, options.patient or patient, str(row)), array[row])
        for row in range(len(array))
    ]


def _of_trial(info: RecordingInfo, patient: str, trial: str) -> RecordingInfo:
    values = {name: getattr(info, name) for name in info.__dataclass_fields__}
    return RecordingInfo(**{**values, "patient": patient, "trial": trial})


def _header(meta: _Meta, samples: int, channels: int, name: str) -> RawHeader:
    names = meta.channels or tuple(f"channel {n + 1}" for n in range(channels))
    if len(names) != channels:
        msg = f"{name} has {channels} channels, {len(names)} names are given; give one each."
        raise RefusedInputError(msg)
    unnamed = () if meta.channels else ("Channels have no names in the file.",)
    return RawHeader(
        kind="NumPy",
        rate=meta.rate,
        channels=names,
        units=(meta.unit,) * channels,
        samples=samples,
        notes=unnamed,
    )


def _meta(path: Path) -> _Meta:
    if not path.is_file():
        return _Meta()
    if require_file(path) > _MOST_JSON:
        msg = f"{path.name} is longer than {_MOST_JSON} bytes; allowed: fs, units, names, labels."
        raise RefusedInputError(msg)
    with library_errors(path.name, "the JSON decoder"):
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        names = found.get("channels", found.get("channel_names"))
        labels = found.get("labels")
        return _Meta(
            rate=None if found.get("fs") is None else float(found["fs"]),
            unit=None if found.get("units") is None else str(found["units"]),
            channels=None if names is None else tuple(str(name) for name in names),
            labels=None if labels is None else {str(k): str(v) for k, v in labels.items()},
        )

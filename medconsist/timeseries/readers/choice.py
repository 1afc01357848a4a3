"""`open_recording` and `open_dataset`: any known file or folder in, recordings out."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from medconsist.errors import MissingInputError, RefusedInputError, UnsupportedInputError
from medconsist.timeseries.readers.csv_file import open_csv
from medconsist.timeseries.readers.dicom_file import count_groups, open_dicom
from medconsist.timeseries.readers.edf_file import BDF_MAGIC, EDF_MAGIC, open_edf
from medconsist.timeseries.readers.files import require_file
from medconsist.timeseries.readers.hdf5_file import HDF5_MAGIC, open_hdf5
from medconsist.timeseries.readers.lead_checks import with_lead_notes
from medconsist.timeseries.readers.mat_file import MAT_MAGIC, open_mat
from medconsist.timeseries.readers.numpy_file import NPY_MAGIC, is_comet, open_comet, open_npy
from medconsist.timeseries.readers.options import DEFAULT_OPTIONS, ReadOptions
from medconsist.timeseries.readers.recording_set import RecordingSet
from medconsist.timeseries.readers.wfdb_file import open_wfdb
from medconsist.timeseries.readers.zarr_folder import is_zarr, open_zarr
from medconsist.timeseries.recording import Recording

__all__ = ["KNOWN_KINDS", "open_dataset", "open_recording"]

KNOWN_KINDS = (
    "WFDB (.hea with .dat or .mat)",
    "EDF, EDF+ and BDF",
    "CSV and TSV with a row of names",
    "NumPy .npy (time, channels), or a folder of COMET's layout",
    "MATLAB 5 .mat of CPSC 2018",
    "DICOM waveform",
    "HDF5 and Zarr of medconsist's layout",
)
_Open = Callable[[Path, ReadOptions], Recording]
_MAGIC: dict[bytes, _Open] = {
    EDF_MAGIC: open_edf,
    BDF_MAGIC: open_edf,
    NPY_MAGIC: open_npy,
    HDF5_MAGIC: open_hdf5,
    MAT_MAGIC: open_mat,
}
_DICOM_AT = 128
_DICOM = b"DICM"
_TABLES = (".csv", ".tsv", ".txt")
_OF_WFDB = ("", ".hea", ".dat", ".mat")  # of files that a header of the same name may describe
_IN_FOLDERS = (
    ".hea",
    ".edf",
    ".bdf",
    ".csv",
    ".tsv",
    ".mat",
    ".npy",
    ".dcm",
    ".h5",
    ".hdf5",
    ".zarr",
)


def open_recording(path: Path | str, *, options: ReadOptions = DEFAULT_OPTIONS) -> Recording:
    r"""Open one recording; samples are read when they are asked for, where the format allows.

    The kind is taken from the first bytes; a table is known by its suffix, and a file with a
    header of the same name beside (``.hea``) is a WFDB record. Flat leads, missing samples and
    what else `check_leads` sees are added to the notes, where ``options.look_values`` allows.

    Parameters
    ----------
    path
        A file, or a folder of Zarr.
    options
        What the file does not say.

    Raises
    ------
    MissingInputError
        Nothing is there.
    UnsupportedInputError
        No known kind, or something of it that nothing here reads.
    RefusedInputError
        Something must be given or chosen; the message says what.
    TruncatedFileError, CorruptInputError, UnsafeFileError, BudgetError
        As their names say.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("time [ms],avr [mv]\n0,0.1\n2,0.2\n4,0.1\n")
    >>> info = open_recording(path).info
    >>> info.rate, info.channels, info.units
    (500.0, ('aVR',), ('mV',))
    """
    path = Path(path)
    recording = _opener(path)(path, options)
    size = recording.info.samples * len(recording.info.channels)
    if size <= options.look_values:
        with_lead_notes(recording)
    return recording


def open_dataset(path: Path | str, *, options: ReadOptions = DEFAULT_OPTIONS) -> RecordingSet:
    """Open what holds many recordings.

    A folder of COMET's layout gives one recording a trial, with the labels of patients; any other
    folder one a file of a known suffix, in the order of their names and opened when asked for; a
    DICOM file one a multiplex group. Folders within it are not looked into.

    Parameters
    ----------
    path
        The folder, or a DICOM file.
    options
        As of `open_recording`, for each of them.

    Raises
    ------
    RefusedInputError
        The folder holds nothing of a known suffix, or a patient was given for several files.
    MedconsistError
        As `open_comet` and `open_recording`.
    """
    path = Path(path)
    if path.is_dir() and is_comet(path):
        return open_comet(path, options)
    if path.is_dir() and not is_zarr(path):
        return _folder(path, options)
    if path.is_file() and _opener(path) is open_dicom:
        groups = range(count_groups(path, options))
        openers = [partial(open_recording, path, options=replace(options, group=n)) for n in groups]
        return RecordingSet(openers=tuple(openers), source=f"DICOM {path.name}")
    return RecordingSet.of([open_recording(path, options=options)], source=path.name)


def _folder(folder: Path, options: ReadOptions) -> RecordingSet:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _IN_FOLDERS)
    # The samples of a WFDB record are found by its header.
    paths = [p for p in paths if p.suffix == ".hea" or not p.with_suffix(".hea").is_file()]
    if not paths:
        msg = f"{folder.name} holds no recording; allowed: {', '.join(_IN_FOLDERS)}."
        raise RefusedInputError(msg)
    if options.patient is not None and len(paths) > 1:
        msg = (
            f"{folder.name} holds {len(paths)} recordings, which cannot all be of the one patient "
            f"{options.patient!r} that was given. Leave it out, and map file names to patients."
        )
        raise RefusedInputError(msg)
    stems = [path.stem for path in paths]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        msg = f"{folder.name} holds several recordings named {twice[:9]}; give each its own name."
        raise RefusedInputError(msg)
    openers = tuple(partial(open_recording, path, options=options) for path in paths)
    return RecordingSet(openers=openers, source=f"folder {folder.name}")


def _opener(path: Path) -> _Open:
    """Return the reader by header beside, content, then suffix."""
    if path.suffix.lower() in _OF_WFDB and not path.is_dir() and path.with_suffix(".hea").is_file():
        return open_wfdb
    if path.is_dir() and is_zarr(path):
        return open_zarr
    if path.is_dir():
        msg = f"{path.name} is a folder and no Zarr; open many recordings with open_dataset."
        raise RefusedInputError(msg)
    if path.suffix == ".dat" and path.is_file():
        msg = f"{path.name} has no header {path.stem}.hea beside it; copy it there, too."
        raise MissingInputError(msg)
    require_file(path)
    with path.open("rb") as file:
        start = file.read(_DICOM_AT + len(_DICOM))
    found = next((opener for magic, opener in _MAGIC.items() if start.startswith(magic)), None)
    if found is None and start[_DICOM_AT:] == _DICOM:
        found = open_dicom
    if found is None and path.suffix.lower() in _TABLES:
        found = open_csv
    if found is None:
        msg = f"{path.name} is of no known kind; allowed: {'; '.join(KNOWN_KINDS)}."
        raise UnsupportedInputError(msg)
    return found

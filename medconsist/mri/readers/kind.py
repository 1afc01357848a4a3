"""Which reader a file is for: by its first bytes, then by its suffix."""

from pathlib import Path

from medconsist.errors import TruncatedFileError, UnsupportedInputError
from medconsist.mri.formats.files import require_file
from medconsist.mri.formats.twix_worker import is_twix

__all__ = ["KNOWN_KINDS", "kind_of"]

KNOWN_KINDS = (
    "NumPy .npy (coils, height, width) or (slices, coils, height, width)",
    "fastMRI HDF5 .h5 (dataset kspace)",
    "BART .cfl with .hdr",
    "ISMRMRD HDF5 .h5 (dataset/data with dataset/xml)",
    "Siemens twix .dat",
    "CMRxRecon MATLAB v7.3 .mat (kspace_full, kspace_sub04, kus)",
    "SKM-TEA HDF5 .h5 (kspace with maps or target)",
    "Calgary-Campinas HDF5 .h5 (kspace of real numbers)",
)
_MAGIC = {
    b"\x93NUMPY": "npy",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"MATLAB 7.3 MAT-file": "hdf5",
    b"MATLAB 5.0 MAT-file": "old MATLAB",
}
_LONGEST_MAGIC = max(map(len, _MAGIC))
_SUFFIXES = {
    ".npy": "npy",
    **dict.fromkeys((".h5", ".hdf5", ".mat"), "hdf5"),
    **dict.fromkeys((".cfl", ".hdr"), "bart"),
}


def kind_of(path: Path) -> str:
    """Return ``"npy"``, ``"hdf5"``, ``"bart"`` or ``"twix"``.

    Raises
    ------
    MissingInputError
        If there is no such file.
    TruncatedFileError
        If it ends within its first bytes.
    UnsupportedInputError
        If it is of no known kind.
    """
    if path.suffix in (".cfl", ".hdr") or (not path.exists() and _is_pair(path)):
        return "bart"
    require_file(path)
    with path.open("rb") as file:
        start = file.read(_LONGEST_MAGIC)
    kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
    if kind == "old MATLAB":
        msg = f"{path.name} is a MATLAB 5 file; allowed: version 7.3. Save it with -v7.3."
        raise UnsupportedInputError(msg)
    if kind is not None or is_twix(path):
        return kind or "twix"
    claimed = _SUFFIXES.get(path.suffix.lower())
    if claimed is not None and (not start or any(m.startswith(start) for m in _MAGIC)):
        msg = f"{path.name} ends after {len(start)} bytes; copy the file again."
        raise TruncatedFileError(msg)
    known = "; ".join(KNOWN_KINDS)
    what = f"is named {path.suffix} but does not begin as one" if claimed else "is of unknown kind"
    msg = f"{path.name} {what}. Known kinds: {known}. Convert the file to one of them."
    raise UnsupportedInputError(msg)


def _is_pair(path: Path) -> bool:
    return Path(f"{path}.cfl").is_file() or Path(f"{path}.hdr").is_file()

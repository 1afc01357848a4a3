"""`read_kspace`: any known file in, one `KSpace` out, every inference written down."""

from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist._digests import sha256_of_path
from medconsist.errors import TruncatedFileError, UnsupportedInputError
from medconsist.mri.centring import centre_axis
from medconsist.mri.formats.cfl import cfl_pair
from medconsist.mri.formats.files import require_file
from medconsist.mri.formats.twix_worker import is_twix
from medconsist.mri.kspace import KSpace
from medconsist.mri.pattern import describe_pattern
from medconsist.mri.readers.acquired import acquired_mask, read_mask
from medconsist.mri.readers.bart_file import read_bart_kspace
from medconsist.mri.readers.frames import choose_frame
from medconsist.mri.readers.hdf5_file import read_hdf5_kspace
from medconsist.mri.readers.numpy_file import read_numpy_kspace
from medconsist.mri.readers.twix import read_twix_kspace
from medconsist.mri.readers.volume import Volume

__all__ = ["DEFAULT_BUDGET_BYTES", "KNOWN_KINDS", "read_kspace"]

DEFAULT_BUDGET_BYTES = 8 * 2**30
KNOWN_KINDS = (
    "NumPy .npy (coils, height, width) or (slices, coils, height, width)",
    "fastMRI HDF5 .h5 (dataset kspace)",
    "BART .cfl with .hdr",
    "ISMRMRD HDF5 .h5 (dataset/data with dataset/xml)",
    "Siemens twix .dat",
    "CMRxRecon MATLAB v7.3 .mat (kspace_full, kspace_sub04, kus)",
    "SKM-TEA HDF5 .h5 (kspace with maps or target)",
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


def read_kspace(
    path: Path,
    *,
    mask: Path | None = None,
    budget_bytes: int = DEFAULT_BUDGET_BYTES,
    frame: int | None = None,
) -> KSpace:
    """Read Cartesian multi-coil k-space, fully sampled or undersampled.

    The kind is taken from the first bytes, the layout of HDF5 from the names of its datasets, and
    from the suffix for BART pairs (also named without suffix). Rows and columns of the file stay
    rows and columns: nothing is flipped. K-space stored with its centre at index 0 is moved to
    ``n // 2``. Inferences are in ``KSpace.notes``.

    Parameters
    ----------
    path
        The file.
    mask
        File with the sampling mask of this acquisition (``.npy``, a BART pair, or CMRxRecon's
        ``.mat``), 0 and 1, laid out as the k-space of the file; by default the file's own, else
        inferred from its zeros.
    budget_bytes
        Most bytes that a header may claim for its samples; checked before they are read. The
        whole volume is held in memory, and checking and centring need about as much again.
    frame
        Which time frame, echo or repetition to read, from 0; a file that holds several must be
        told. Where the layout allows, only that part is read.

    Returns
    -------
    KSpace
        complex64, centred, zero where the mask is False.

    Raises
    ------
    MissingInputError
        If a file does not exist.
    RefusedInputError
        If the kind is unknown, values are not finite, all are zero, a mask disagrees, or a frame
        must be chosen.
    MissingExtraError
        If the kind needs a package that is not installed (Siemens twix: twixtools).
    ShapeError, TruncatedFileError, UnsafeFileError
        As their names say.
    BudgetError
        If a header claims more than ``budget_bytes``.

    Examples
    --------
    >>> import numpy, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "scan.npy"
    >>> numpy.save(path, numpy.ones((2, 8, 6), dtype=numpy.complex64))
    >>> tuple(read_kspace(path).data.shape)
    (1, 2, 8, 6)
    """
    kind = _kind(path)
    files = cfl_pair(path) if kind == "bart" else (path,)
    volume = _read(kind, path, budget_bytes=budget_bytes, frame=frame)
    given = None
    if mask is not None:
        given = read_mask(mask, budget_bytes=budget_bytes, frame=frame)
        files = (*files, mask) if mask.is_file() else (*files, *cfl_pair(mask))
    source = {file.name: sha256_of_path(file.resolve()) for file in files}
    return _to_kspace(volume, given, source)


def _read(kind: str, path: Path, *, budget_bytes: int, frame: int | None) -> Volume:
    if kind == "hdf5":
        return read_hdf5_kspace(path, budget_bytes=budget_bytes, frame=frame)
    if kind == "twix":
        return read_twix_kspace(path, budget_bytes=budget_bytes, frame=frame)
    choose_frame(1, frame, what="one image", name=path.name)
    read = read_numpy_kspace if kind == "npy" else read_bart_kspace
    return read(path, budget_bytes=budget_bytes)


def _to_kspace(volume: Volume, given: Bool[Tensor, "..."] | None, source: dict[str, str]) -> KSpace:
    acquired, notes = acquired_mask(volume, given)
    data = volume.data
    said: tuple[str, ...] = ()
    for axis, name in ((-2, "height"), (-1, "width")):
        moved, sentences = centre_axis(data, axis=axis, name=name)
        if moved is not data:
            acquired = torch.fft.fftshift(acquired, dim=axis)
        data = moved
        said += sentences
    return KSpace(
        data=data,
        mask=acquired,
        voxel_size_mm=volume.voxel_size_mm,
        affine=volume.affine,
        noise=volume.noise,
        contrast=volume.contrast,
        field_strength_t=volume.field_strength_t,
        notes=(*volume.notes, *notes, *said, *describe_pattern(acquired)),
        source=source,
        recon_matrix=volume.recon_matrix,
    )


def _kind(path: Path) -> str:
    """Return the key of the reader by content, then by suffix."""
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

"""`read_kspace`: any known file in, one `KSpace` out, every inference written down."""

from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist._digests import sha256_of_path
from medconsist.mri.centring import measured_centring
from medconsist.mri.formats.cfl import cfl_pair
from medconsist.mri.kspace import KSpace
from medconsist.mri.pattern import describe_pattern
from medconsist.mri.readers.acquired import acquired_mask, read_mask
from medconsist.mri.readers.asked import Asked, FirstAxis, refuse_first_axis
from medconsist.mri.readers.bart_file import read_bart_kspace
from medconsist.mri.readers.frames import choose_frame
from medconsist.mri.readers.hdf5_file import read_hdf5_kspace
from medconsist.mri.readers.kind import KNOWN_KINDS, kind_of
from medconsist.mri.readers.numpy_file import read_numpy_kspace
from medconsist.mri.readers.twix import read_twix_kspace
from medconsist.mri.readers.volume import Volume

__all__ = ["DEFAULT_BUDGET_BYTES", "KNOWN_KINDS", "read_kspace"]

DEFAULT_BUDGET_BYTES = 8 * 2**30


def read_kspace(
    path: Path,
    *,
    mask: Path | None = None,
    budget_bytes: int = DEFAULT_BUDGET_BYTES,
    frame: int | None = None,
    first_axis: FirstAxis | None = None,
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
        whole volume is held in memory, and centred and transformed there in blocks; files of
        double precision and NumPy arrays in Fortran's order need a second copy.
    frame
        Which time frame, echo or repetition to read, from 0; a file that holds several must be
        told. Where the layout allows, only that part is read.
    first_axis
        What the first axis of a NumPy array of four axes, or of fastMRI's layout, is: ``"slices"``,
        or ``"readout"``, the frequencies along the readout of a volume, which then are transformed.
        By default header and energy say it (`split_first_axis`). All other layouts say it
        themselves.

    Returns
    -------
    KSpace
        complex64, centred, zero where the mask is False.

    Raises
    ------
    MissingInputError
        If a file does not exist.
    RefusedInputError
        If the kind is unknown, values are not finite, all are zero, a mask disagrees, a frame must
        be chosen, or ``first_axis`` must be said, or is said of a layout that says it itself.
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
    kind = kind_of(path)
    files = cfl_pair(path) if kind == "bart" else (path,)
    volume = _read(kind, path, Asked(budget_bytes, frame, first_axis))
    given = None
    if mask is not None:
        given = read_mask(mask, budget_bytes=budget_bytes, frame=frame)
        files = (*files, mask) if mask.is_file() else (*files, *cfl_pair(mask))
    source = {file.name: sha256_of_path(file.resolve()) for file in files}
    return _to_kspace(volume, given, source)


def _read(kind: str, path: Path, asked: Asked) -> Volume:
    if kind == "hdf5":
        return read_hdf5_kspace(path, asked)
    if kind == "npy":
        choose_frame(1, asked.frame, what="one image", name=path.name)
        return read_numpy_kspace(path, asked)
    refuse_first_axis(asked, name=path.name)
    if kind == "twix":
        return read_twix_kspace(path, budget_bytes=asked.budget_bytes, frame=asked.frame)
    choose_frame(1, asked.frame, what="one image", name=path.name)
    return read_bart_kspace(path, budget_bytes=asked.budget_bytes)


def _to_kspace(volume: Volume, given: Bool[Tensor, "..."] | None, source: dict[str, str]) -> KSpace:
    acquired, notes = acquired_mask(volume, given)
    data = volume.data
    said: tuple[str, ...] = ()
    for axis, name in ((-2, "height"), (-1, "width")):
        centring = measured_centring(lambda: data, axis=axis, name=name)
        if centring.changes:
            for plane in data:  # in place: the samples are ours, and may fill the memory
                plane.copy_(centring.apply(plane, axis=axis))
            acquired = torch.roll(acquired, centring.shift, dims=axis)
        said += centring.notes
    return KSpace(
        data=data,
        mask=acquired,
        voxel_size_mm=volume.voxel_size_mm,
        affine=volume.affine,
        noise=volume.noise,
        contrast=volume.contrast,
        field_strength_t=volume.field_strength_t,
        patient=volume.patient,
        notes=(*volume.notes, *notes, *said, *describe_pattern(acquired)),
        source=source,
        recon_matrix=volume.recon_matrix,
    )

"""CMRxRecon cardiac k-space: MATLAB v7.3 files of 2023 to 2025, which are HDF5.

Wang et al. 2024, doi:10.1038/s41597-024-03525-4. MATLAB's ``(kx, ky, coil, slice, time)`` lies in
the file in reverse, complex numbers as compounds of real and imag; trailing axes of length 1 are
absent. Files carry no geometry.
"""

import re

from jaxtyping import Bool
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.formats.foreign_hdf5 import ForeignHdf5
from medconsist.mri.readers.frames import choose_frame
from medconsist.mri.readers.volume import Volume, as_complex64, as_mask, refuse_other_axes

__all__ = ["cmrxrecon_names", "count_cmrxrecon", "read_cmrxrecon", "read_matlab_mask"]

_NAME = re.compile(r"(kspace(_single)?_(full|sub\d+)|kus)")
_MASK = re.compile(r"mask\d*")


def cmrxrecon_names(file: ForeignHdf5) -> list[str]:
    """Return the datasets that are k-space of this layout, one as a rule.

    ``kspace_full``, ``kspace_sub04``, ``kspace_single_full`` ... (2023), ``kus`` (2024), and
    ``kspace`` where it is a compound of real and imag (2025).
    """
    return [
        name
        for name, listed in file.datasets.items()
        if _NAME.fullmatch(name) or (name == "kspace" and listed.fields == ("real", "imag"))
    ]


def read_cmrxrecon(file: ForeignHdf5, *, frame: int | None) -> Volume:
    """Read one time frame: ``height`` is kx (the readout), ``width`` ky.

    Raises
    ------
    RefusedInputError
        If the file holds several k-spaces, or several time frames and none was chosen.
    ShapeError
        If the axes do not fit the layout.
    """
    name = file.path.name
    key, count = _found(file)
    single, timed = "_single_" in key, count is not None
    chosen, said = choose_frame(count or 1, frame, what="time or contrast frames", name=name)
    array = file.read(arrays=(key,), picks={key: (0, chosen)} if timed else None).arrays[key]
    data = as_complex64(array, name=f"{name}: {key}")
    data = data.reshape(-1, *((1,) if single else ()), *data.shape[-2 if single else -3 :])
    data = data.transpose(-2, -1).contiguous()
    refuse_other_axes(*data.shape[1:], name=name)
    note = f"CMRxRecon layout: {key}, height is kx (readout), width ky."
    return Volume(data, notes=(note, *said))


def count_cmrxrecon(file: ForeignHdf5) -> int:
    """Return how many time or contrast frames there are.

    Raises
    ------
    RefusedInputError, ShapeError
        As `read_cmrxrecon`.
    """
    return _found(file)[1] or 1


def _found(file: ForeignHdf5) -> tuple[str, int | None]:
    """Return the name of the k-space and the length of its axis of time, None without one."""
    name, names = file.path.name, cmrxrecon_names(file)
    if len(names) > 1:
        msg = f"{name} holds several k-spaces {names}; allowed: one. Save each to its own file."
        raise RefusedInputError(msg)
    key = names[0]
    shape, single = file.datasets[key].shape, "_single_" in key
    # Axes as they lie: [time, [slice,]] [coil,] ky, kx.
    most = 4 if single else 5
    if not most - 2 <= len(shape) <= most or min(shape) < 1:
        msg = (
            f"{name}: {key} has axes {shape}; allowed, in MATLAB's order: kx, ky"
            f"{'' if single else ', coil'}[, slice[, time]], none empty."
        )
        raise ShapeError(msg)
    return key, shape[0] if len(shape) == most else None


def read_matlab_mask(file: ForeignHdf5, *, frame: int | None) -> Bool[Tensor, "height width"]:
    """Read a mask of its own file, ``mask`` or ``mask04``: ``(kx, ky)`` or ``(kx, ky, time)``.

    Raises
    ------
    RefusedInputError
        If there is not exactly one such dataset, or it has time frames and none was chosen.
    ShapeError
        If it has other axes.
    """
    name = file.path.name
    names = [key for key in file.datasets if _MASK.fullmatch(key)]
    if len(names) != 1:
        found = ", ".join(list(file.datasets)[:20]) or "nothing"
        msg = f"{name} must hold exactly one dataset mask or mask04 ...; found: {found}."
        raise RefusedInputError(msg)
    shape = file.datasets[names[0]].shape
    if len(shape) not in (2, 3):
        msg = f"{name}: {names[0]} has axes {shape}; allowed: kx, ky[, time] in MATLAB's order."
        raise ShapeError(msg)
    picks = None
    if len(shape) == 3:
        chosen, _ = choose_frame(shape[0], frame, what="time or contrast frames", name=name)
        picks = {names[0]: (0, chosen)}
    array = file.read(arrays=(names[0],), picks=picks).arrays[names[0]]
    return as_mask(array, name=f"{name}: {names[0]}").transpose(0, 1).contiguous()

"""Which samples were acquired: from the zeros of the file, checked against a given mask."""

from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.formats.cfl import read_cfl
from medconsist.mri.formats.foreign_hdf5 import open_foreign_hdf5
from medconsist.mri.formats.npy import read_npy
from medconsist.mri.readers.bart_file import bart_plane
from medconsist.mri.readers.cmrxrecon import read_matlab_mask
from medconsist.mri.readers.volume import Volume, as_mask
from medconsist.shapes import CoilKSpace, SamplingMask

__all__ = ["acquired_mask", "read_mask"]


def read_mask(path: Path, *, budget_bytes: int, frame: int | None = None) -> Bool[Tensor, "..."]:
    """Read a mask of 0 and 1: ``.npy`` (1 to 3 axes), a BART pair, or CMRxRecon's ``.mat``."""
    if path.suffix == ".npy":
        return as_mask(read_npy(path, budget_bytes=budget_bytes), name=path.name)
    if path.suffix in (".mat", ".h5", ".hdf5"):
        with open_foreign_hdf5(path, budget_bytes=budget_bytes) as file:
            return read_matlab_mask(file, frame=frame)
    pattern = read_cfl(path, budget_bytes=budget_bytes)
    return bart_plane(as_mask(pattern.numpy(), name=path.name), name=path.name)


def acquired_mask(
    volume: Volume, given: Bool[Tensor, "..."] | None
) -> tuple[SamplingMask, tuple[str, ...]]:
    """Return the mask ``slices|1 height width`` in the frame of the file, and notes.

    Readouts that the file counts say themselves where they lie. Without that and without a mask, a
    position was acquired if any coil is not exactly zero there. With one, both
    must agree everywhere, but for padding that the header declares and rows of a partial echo
    (never acquired in any column), which a mask of columns alone cannot express.

    Parameters
    ----------
    volume
        What the file says, its own mask included.
    given
        A mask from elsewhere; it takes the place of the file's.

    Raises
    ------
    RefusedInputError
        If k-space, or one slice of it, is zero everywhere, or a mask disagrees with the data.
    ShapeError
        If the mask's shape does not fit.
    """
    nonzero = torch.stack([(plane != 0).any(0) for plane in volume.data])
    _refuse_empty(nonzero)
    if volume.acquired is not None:
        nonzero = volume.acquired.expand_as(nonzero)
    notes = _dead_coils(volume.data)
    mask = volume.mask if given is None else given
    if mask is None and volume.acquired is not None:
        notes.append("Sampling mask from the counters of the readouts.")
        return volume.acquired, tuple(notes)
    if mask is None:
        notes.append("Sampling mask inferred from the zeros of the file.")
        inferred = nonzero[:1] if (nonzero == nonzero[:1]).all() else nonzero
        return inferred.clone(), tuple(notes)
    fitted, said = _fit(mask, nonzero, volume.padding)
    _refuse_disagreement(fitted, nonzero)
    return fitted, (*notes, "Sampling mask as given; it agrees with the data.", *said)


def _fit(
    mask: Bool[Tensor, "..."],
    nonzero: Bool[Tensor, "slices height width"],
    padding: tuple[int, int] | None,
) -> tuple[SamplingMask, tuple[str, ...]]:
    slices, height, width = nonzero.shape
    shape = tuple(mask.shape)
    if shape not in {(width,), (height, width), (1, height, width), (slices, height, width)}:
        msg = (
            f"the mask has shape {shape} and k-space planes of {height} x {width}; allowed: "
            f"({width},), ({height}, {width}), (1 or {slices}, {height}, {width})."
        )
        raise ShapeError(msg)
    notes = []
    full = mask.expand(height, width) if mask.ndim == 1 else mask
    full = full.clone().reshape(-1, height, width)
    if padding is not None:
        outside = torch.ones(width, dtype=torch.bool)
        outside[padding[0] : padding[1]] = False
        empty = outside & ~nonzero.any(0).any(0)
        dropped = int((full.any(0).any(0) & empty).sum())
        if dropped:
            full[..., empty] = False
            notes.append(f"{dropped} columns of the mask are padding by the header: left out.")
    rows = nonzero.any(0).any(1)
    if mask.ndim == 1 and not rows.all():
        full[:, ~rows] = False
        notes.append(f"{int((~rows).sum())} of {height} rows were never acquired (partial echo).")
    return full, tuple(notes)


def _refuse_disagreement(mask: SamplingMask, nonzero: Bool[Tensor, "slices height width"]) -> None:
    outside, missing = nonzero & ~mask, mask & ~nonzero
    if not (outside.any() or missing.any()):
        return
    first = tuple(torch.nonzero(outside | missing)[0].tolist())
    msg = (
        f"the mask disagrees with the data: {int(outside.sum())} positions hold samples but are "
        f"marked as not acquired, {int(missing.sum())} are marked as acquired but zero in every "
        f"coil (first: slice, row, column {first}). Allowed: agreement everywhere. Pass the mask "
        "of this acquisition, centred as the file is, or leave it out and it is inferred."
    )
    raise RefusedInputError(msg)


def _refuse_empty(nonzero: Bool[Tensor, "slices height width"]) -> None:
    empty = torch.nonzero(~nonzero.flatten(1).any(1)).flatten().tolist()
    if len(empty) == len(nonzero):
        msg = "k-space is zero everywhere; export the file again."
        raise RefusedInputError(msg)
    if empty:
        msg = f"slices {empty} of k-space are zero everywhere; remove them or export again."
        raise RefusedInputError(msg)


def _dead_coils(data: CoilKSpace) -> list[str]:
    alive = torch.stack([(plane != 0).flatten(1).any(1) for plane in data]).any(0)
    dead = torch.nonzero(~alive).flatten().tolist()
    return [f"Coils {dead} (counted from 0) are zero everywhere."] if dead else []

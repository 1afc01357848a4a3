"""The cells of the benchmark: what was trained for, and one shift at a time away from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from medconsist.mri.bench.learned.cells import Cell
from medconsist.mri.bench.learned.scans import SliceKind
from medconsist.mri.benchmark.map_error import MapError
from medconsist.mri.sampling_masks import Gaussian1D, Gaussian2D, MaskKind, Poisson2D

__all__ = ["DOSES", "MAIN", "SHIFTS_PX", "TRAINED_ON", "ShiftedCell", "cells_of", "dose_cells"]
__all__ += ["kinds_of"]

TRAINED_ON = "T1w"
MAIN = ("1-D 4x", "1-D 8x", "2-D 4x", "2-D 8x")
DOSE_CELL = "1-D 8x"
DOSES = (0.02, 0.05, 0.1, 0.2)
SHIFTS_PX = (1, 2, 4)
_USUAL = SliceKind(contrast=TRAINED_ON)


@dataclass(frozen=True, kw_only=True)
class ShiftedCell(Cell):
    """A cell of scans of one kind, with maps that may be wrong.

    Parameters
    ----------
    name, kind
        See `Cell`.
    shift
        What differs from training; empty where nothing does.
    scans
        What the scans are.
    maps
        See `MapError`.

    Examples
    --------
    >>> [cell.name for cell in cells_of(128) if cell.shift == "contrast"][:2]
    ['FLAIR, 1-D 8x', 'T2w, 1-D 8x']
    """

    shift: str = ""
    scans: SliceKind = field(default_factory=lambda: _USUAL)
    maps: MapError = field(default_factory=MapError)


def cells_of(size: int) -> tuple[ShiftedCell, ...]:
    """Return all cells at ``size x size``: the four of training, then the shifts.

    Networks are trained on T1w scans of 8 coils, SNR 20 to 60 and with up to twice the noise added,
    with Gaussian masks of one and two dimensions at 3.5x to 9x, and exact maps (those of ESPIRiT).
    The shifts: acceleration 12x; FLAIR and T2w; 4 and 16 coils; SNR 5, and SNR 10, which is the
    edge of what training draws and not beyond it; Poisson-disc sampling at 7.5x, of T1w and of
    FLAIR, as the paper's prospective scan was accelerated (its pattern is not known here); wrong
    maps.
    """
    usual = SliceKind(contrast=TRAINED_ON, size=size)
    masks = {name: _mask(size, name) for name in (*MAIN, "1-D 12x", "2-D 12x")}
    masks["Poisson-disc 7.5x"] = Poisson2D(acceleration=7.5, center=_centre(size))

    def cell(name: str, shift: str = "", words: str = "", **other: Any) -> ShiftedCell:  # noqa: ANN401
        named = f"{words}, {name}" if words else name
        scans = replace(usual, **other)
        return ShiftedCell(name=named, kind=masks[name], shift=shift, scans=scans)

    eight = ("1-D 8x", "2-D 8x")
    return (
        *(cell(name) for name in MAIN),
        *(cell(name, "acceleration") for name in ("1-D 12x", "2-D 12x")),
        *(cell(name, "contrast", one, contrast=one) for name in eight for one in ("FLAIR", "T2w")),
        *(cell("2-D 8x", "coils", f"{coils} coils", coils=coils) for coils in (4, 16)),
        *(cell(name, "noise", f"SNR {snr}", snr=float(snr)) for name in eight for snr in (10, 5)),
        cell("Poisson-disc 7.5x", "pattern"),
        cell("Poisson-disc 7.5x", "pattern and contrast", "FLAIR", contrast="FLAIR"),
        *dose_cells(size)[1:],
    )


def dose_cells(size: int) -> tuple[ShiftedCell, ...]:
    """Return the cells of the dose response, the one without an error first."""
    mask = _mask(size, DOSE_CELL)
    errors = [MapError(relative=dose) for dose in DOSES]
    errors += [MapError(shift=pixels) for pixels in SHIFTS_PX]
    scans = SliceKind(contrast=TRAINED_ON, size=size)
    clean = ShiftedCell(name=DOSE_CELL, kind=mask, scans=scans)
    return (
        clean,
        *(replace(clean, name=f"{e.said}, {DOSE_CELL}", shift="maps", maps=e) for e in errors),
    )


def kinds_of(cells: Sequence[ShiftedCell]) -> dict[SliceKind, tuple[ShiftedCell, ...]]:
    """Return the cells by the kind of their scans: each scan is drawn once for all of them."""
    ordered = sorted(cells, key=lambda cell: repr(cell.scans))
    return {kind: tuple(found) for kind, found in groupby(ordered, key=lambda cell: cell.scans)}


def _mask(size: int, name: str) -> MaskKind:
    """Return the mask of a name; the centre of 8x along one axis is that of training, size / 16."""
    plane, acceleration = name.split()
    factor = int(acceleration[:-1])
    if plane == "1-D":
        lines = min(size // 16, size // (2 * factor))
        return Gaussian1D(acceleration=factor, center_lines=lines)
    return Gaussian2D(acceleration=factor, center=_centre(size))


def _centre(size: int) -> tuple[int, int]:
    side = max(4, size * 3 // 16)
    return (side, side)

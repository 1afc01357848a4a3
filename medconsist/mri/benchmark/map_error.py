"""Coil maps that are wrong by a known dose: a smooth complex error, or maps of another place."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.phantom.smooth_field import SmoothField
from medconsist.shapes import CoilMaps

__all__ = ["MapError"]

_WAVELENGTH = 0.5  # of the field of view, and up to twice that: as coil maps vary themselves


@dataclass(frozen=True, kw_only=True)
class MapError:
    """``S'_c(r) = (1 + e f_c(r)) S_c(r - d)``, normalised to ``sum_c |S'_c|^2 = 1``.

    f_c is a smooth complex Gaussian function of place with ``E|f|^2 = 1``, drawn anew for every
    coil, map set and slice; what all coils share of it is taken out again by the normalisation, as
    by every estimator of maps.

    Parameters
    ----------
    relative
        e, the size of the error beside the map: 0.05 is 5 %. 0 to 1.
    shift
        d, columns by which the maps lie beside the anatomy, as after a movement of the head since
        their calibration [pixels].

    Raises
    ------
    RefusedInputError
        An error outside [0, 1], or a negative shift.

    Examples
    --------
    >>> MapError(relative=0.05).said
    'map error 5 %'
    """

    relative: float | int = 0.0
    shift: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.relative <= 1 or self.shift < 0:
            msg = (
                f"got a map error of {self.relative} and a shift of {self.shift}; allowed: 0 to 1, "
                "and 0 or more pixels."
            )
            raise RefusedInputError(msg)

    @property
    def said(self) -> str:
        """As a cell is named after it; empty without an error."""
        smooth = [f"map error {100 * self.relative:g} %"] if self.relative else []
        moved = [f"maps moved by {self.shift} px"] if self.shift else []
        return ", ".join(smooth + moved)

    def __call__(self, maps: CoilMaps, generator: Generator) -> CoilMaps:
        """Return the wrong maps; the same generator state gives the same f at every size e."""
        if not self.relative and not self.shift:
            return maps
        wrong = maps.roll(self.shift, dims=-1)
        if self.relative:
            wrong = wrong * (1 + self.relative * _fields(maps, generator))
        norm = torch.linalg.vector_norm(wrong, dim=2, keepdim=True)
        return torch.where(norm > 0, wrong / norm.clamp_min(torch.finfo(norm.dtype).tiny), 0)


def _fields(maps: CoilMaps, generator: Generator) -> Tensor:
    """Return f for each map; the plane is taken as 1 wide and high."""
    slices, sets, coils, height, width = maps.shape
    rows, columns = torch.meshgrid(
        torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij"
    )
    plane = torch.stack([columns, rows, torch.zeros_like(rows)], dim=-1)
    drawn = [
        SmoothField.draw(_WAVELENGTH, generator)(plane) for _ in range(2 * slices * sets * coils)
    ]
    parts = torch.stack(drawn).reshape(2, slices, sets, coils, height, width) / math.sqrt(2)
    return torch.complex(parts[0], parts[1]).to(maps)

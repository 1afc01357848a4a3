"""Where the file puts the centre of k-space, and moving it to ``n // 2``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import pi

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.shapes import Array

__all__ = ["Centring", "Parts", "centre_axis", "energy_falls_off", "energy_in_the_middle"]
__all__ += ["measured_centring"]

_CLEAR = 4.0  # energy ratio that decides; in-vivo data show 10 to 1000

Parts = Callable[[], Iterable[Array]]
"""Gives the samples part by part, each whole along the axis in question; may be called twice."""


@dataclass(frozen=True, eq=False)
class Centring:
    """What brings the centre of k-space along one axis to ``n // 2``.

    Parameters
    ----------
    shift
        Samples by which it is rolled.
    ramp
        Phase of each sample after that, which moves the image by whole pixels; None for none.
    notes
        What was found, as sentences.

    Examples
    --------
    >>> Centring().apply(torch.arange(3), axis=0)
    tensor([0, 1, 2])
    """

    shift: int = 0
    ramp: Complex[Tensor, " n"] | None = None
    notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        return self.shift != 0 or self.ramp is not None

    def apply(self, samples: Array, *, axis: int) -> Tensor:
        """Return the samples, or a part of them that is whole along ``axis``, centred."""
        moved = torch.roll(samples, self.shift, dims=axis) if self.shift else samples
        if self.ramp is None:
            return moved
        shape = [-1 if d == axis % samples.ndim else 1 for d in range(samples.ndim)]
        return moved * self.ramp.to(samples.dtype).reshape(shape)


def centre_axis(samples: Array, *, axis: int, name: str) -> tuple[Tensor, tuple[str, ...]]:
    """Return k-space with its centre at ``n // 2`` of ``axis``, and notes on what was changed.

    Parameters
    ----------
    samples
        K-space with any axes, zero where nothing was acquired.
    axis
        Axis to look at.
    name
        Its name in notes, e.g. ``"height"``.

    Returns
    -------
    tuple
        Samples in the same shape, and zero to two sentences; see `measured_centring`.
    """
    centring = measured_centring(lambda: (samples,), axis=axis, name=name)
    return centring.apply(samples, axis=axis), centring.notes


def measured_centring(
    parts: Parts, *, axis: int, name: str, origin_of_centred: str = "kept"
) -> Centring:
    r"""Return how the centre of k-space comes to ``n // 2`` of ``axis``.

    The energy near ``n // 2`` is compared with the energy near index 0 (cyclically), each over a
    sixteenth of the axis. If the corner holds four times more, the samples were written by a plain
    transform, ``K[k] = sum_j x[j] exp(-2 pi i k j / n)``, and are moved by n // 2. Such a writer
    has put the image origin either at index 0 or, without a shift in image space either, at the
    first pixel. The second is known by its neighbours of opposite sign,

    .. math:: \mathrm{Re} \sum_k K_k \overline{K_{k+1}} = \sum_j |x_j|^2 \cos(2 \pi j / n) < 0

    (an object centred in the field of view), and then the linear phase of n // 2 pixels is
    applied, which leaves every pixel in its place. Where neither place holds clearly more, nothing
    is changed and a note says so.

    Parameters
    ----------
    parts
        The samples, zero where nothing was acquired, in parts so that no whole copy is made.
    axis
        Axis to look at, in every part.
    name
        Its name in notes, e.g. ``"height"``.
    origin_of_centred
        ``"kept"``, or ``"measured"``: look for an origin at the first pixel where the centre is at
        n // 2 already, for layouts that are known to be written so.

    Raises
    ------
    ShapeError
        If there are no parts.
    """
    energy = _energy(parts, axis)
    n = len(energy)
    if n < 4:
        return Centring()
    notes: tuple[str, ...] = ()
    index = torch.arange(n, device=energy.device)
    centre, corner = _near_centre_and_corner(energy)
    if centre >= _CLEAR * corner:
        if origin_of_centred == "kept" or _neighbour_product(parts, axis, 0) >= 0:
            return Centring()
        shift = 0
    elif corner < _CLEAR * centre:
        note = (
            f"The centre of k-space along {name} is not clear from the energy (near index {n // 2} "
            f"{centre:.3g}, near index 0 {corner:.3g}): taken as centred."
        )
        return Centring(notes=(note,))
    else:
        shift = n // 2
        notes = (f"K-space was stored with its centre at index 0 along {name}: moved to {shift}.",)
        if _neighbour_product(parts, axis, shift) >= 0:
            return Centring(shift, None, notes)
    ramp = torch.exp(2j * pi * (index - n // 2).to(energy.dtype) * (n // 2) / n)
    origin = f"Its image origin was the first pixel along {name}: taken as {n // 2}."
    return Centring(shift, ramp, (*notes, origin))


def energy_in_the_middle(parts: Parts, *, axis: int) -> float:
    """Return the share of the energy that lies within a sixteenth of the axis about one place.

    That place is n // 2 or index 0, whichever holds more. Frequencies of anatomy hold nearly all
    of it there, positions about a sixteenth.
    """
    energy = _energy(parts, axis)
    return max(_near_centre_and_corner(energy)) / max(float(energy.sum()), 1e-300)


def energy_falls_off(parts: Parts, *, axis: int) -> bool:
    """Return whether the energy outside the middle lies near it: four times what is further away.

    The middle is that of `energy_in_the_middle`; near is within a quarter of the axis. Frequencies
    of anatomy fall off like that. One bright slice stands out of others that do not.
    """
    energy = _energy(parts, axis)
    n = len(energy)
    centre, corner = _near_centre_and_corner(energy)
    index = torch.arange(n, device=energy.device)
    distance = (index - n // 2).abs() if centre >= corner else torch.minimum(index, n - index)
    outside, near = distance > _middle(n), distance <= n // 4
    return float(energy[outside & near].sum()) >= _CLEAR * float(energy[~near].sum())


def _middle(n: int) -> int:
    return max(1, n // 32)


def _near_centre_and_corner(energy: Float[Tensor, " n"]) -> tuple[float, float]:
    n = len(energy)
    index = torch.arange(n, device=energy.device)
    from_corner = torch.minimum(index, n - index)
    from_centre = (index - n // 2).abs()
    width = _middle(n)
    return float(energy[from_centre <= width].sum()), float(energy[from_corner <= width].sum())


def _energy(parts: Parts, axis: int) -> Float[Tensor, " n"]:
    total: Tensor | None = None
    for part in parts():
        other = [d for d in range(part.ndim) if d != axis % part.ndim]
        energy = part.abs().square().sum(other, dtype=torch.float64)
        total = energy if total is None else total + energy
    if total is None:
        msg = "there are no samples to centre; pass at least one part."
        raise ShapeError(msg)
    return total


def _neighbour_product(parts: Parts, axis: int, shift: int) -> float:
    total = 0.0
    for part in parts():
        moved = torch.roll(part, shift, dims=axis) if shift else part
        n = moved.shape[axis]
        here, after = moved.narrow(axis, 0, n - 1), moved.narrow(axis, 1, n - 1)
        total += float((here * after.conj()).sum().real)
    return total

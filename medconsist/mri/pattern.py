"""What a sampling mask says about the acquisition: its kind, its readout, partial Fourier."""

from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from medconsist.shapes import SamplingMask

__all__ = ["describe_pattern", "full_axis", "partial_fourier"]

_MISSING_SHARE = 0.05  # smaller one-sided gaps are the ragged edge of any random mask
_AXES = ("height", "width")


def full_axis(mask: SamplingMask) -> Literal["height", "width"] | None:
    """Return the axis along which every acquired line is complete, or None.

    The axis of the readout. If both are complete (a fully sampled plane) it is ``"height"``, the
    readout axis of fastMRI files.
    """
    for axis in (1, 2):
        if (mask == mask.any(axis, keepdim=True)).all():
            return "height" if axis == 1 else "width"
    return None


def partial_fourier(mask: SamplingMask) -> dict[str, float]:
    """Return, per axis with a one-sided gap, the acquired share of its symmetric extent.

    With ``c = n // 2`` and first and last acquired index f and l, the share is
    ``(l - f + 1) / (2 e)``, ``e = max(c - f, l - c + 1)``, for even n, and ``(l - f + 1) /
    (2 e + 1)``, ``e = max(c - f, l - c)``, for odd n: 0.75 is "6/8". A gap counts when it is more
    than one line, a twentieth of the axis and one and a half times the largest gap inside.

    Returns
    -------
    dict
        Keys ``"height"``, ``"width"``; values in (0, 1); empty without partial Fourier.
    """
    found = {}
    for name, lines in zip(_AXES, (mask.any(2).any(0), mask.any(1).any(0)), strict=True):
        share = _one_sided_share(lines)
        if share is not None:
            found[name] = share
    return found


def describe_pattern(mask: SamplingMask) -> tuple[str, ...]:
    """Return the sentences of a reader: kind of mask, share acquired, partial Fourier."""
    share = float(mask.float().mean())
    readout = full_axis(mask)
    if bool(mask.all()):
        return ("Fully sampled.",)
    said = [f"{share:.1%} of k-space acquired (acceleration {1 / max(share, 1e-9):.2f})"]
    if readout is None:
        said.append("two-dimensional sampling pattern")
    else:
        said.append(f"one-dimensional sampling pattern, readout along {readout}")
    notes = ["; ".join(said) + "."]
    notes += [
        f"Partial Fourier along {name}: {part:.3g} of the symmetric extent was acquired."
        for name, part in partial_fourier(mask).items()
    ]
    return tuple(notes)


def _one_sided_share(lines: Bool[Tensor, " lines"]) -> float | None:
    acquired = torch.nonzero(lines).flatten()
    if len(acquired) < 2:
        return None
    n, centre = len(lines), len(lines) // 2
    first, last = int(acquired[0]), int(acquired[-1])
    odd = n % 2
    symmetric = 2 * max(centre - first, last - centre + 1 - odd) + odd
    missing = symmetric - (last - first + 1)
    inside = int(acquired.diff().max()) - 1
    if missing <= max(1, _MISSING_SHARE * n, 1.5 * inside):
        return None
    return (last - first + 1) / symmetric

"""Splits of what was observed: who sees what. Masks are bool, True = visible."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["Split", "random_split"]


@dataclass(frozen=True, eq=False)
class Split:
    """Two disjoint masks of one shape: what is seen and what is withheld.

    Parameters
    ----------
    keep
        True where the entry may be seen.
    hold
        True where the entry is withheld, to be predicted; never where ``keep`` is.

    Examples
    --------
    >>> import torch
    >>> keep = torch.tensor([[True, True, False]])
    >>> Split(keep, ~keep).hold.tolist()
    [[False, False, True]]
    """

    keep: Bool[Tensor, "..."]
    hold: Bool[Tensor, "..."]

    def __post_init__(self) -> None:
        if self.keep.shape != self.hold.shape:
            msg = (
                f"keep {tuple(self.keep.shape)} and hold {tuple(self.hold.shape)} must have the "
                "same shape; expand one of them."
            )
            raise ShapeError(msg)
        shared = int((self.keep & self.hold).sum())
        if shared:
            msg = (
                f"keep and hold share {shared} entries, which would be seen and withheld at once; "
                "they must be disjoint. Take hold & ~keep."
            )
            raise RefusedInputError(msg)


def random_split(
    observed: Bool[Tensor, "batch ..."],
    hold_frac: float,
    always_keep: Bool[Tensor, "..."] | None = None,
    group: Int[Tensor, "..."] | None = None,
    generator: torch.Generator | None = None,
) -> Split:
    """Withhold a share of the observed entries of each element of the batch at random.

    ``keep | hold == observed`` and ``keep & hold`` is empty, as in SSDU (Yaman et al. 2020,
    doi:10.1002/mrm.28378), where the share is 0.4. With ``m`` units that may be withheld,
    exactly ``floor(hold_frac * m + 0.5)`` are, all equally likely; that is none where
    ``hold_frac * m < 0.5``, and never all: one observed unit stays visible in each element.

    Parameters
    ----------
    observed
        True where there is an entry: ``batch tokens``, ``batch time`` or ``batch 1 rows columns``.
        The draw of one element does not depend on its padding (entries not observed).
    hold_frac
        Share to withhold, in (0, 1).
    always_keep
        True where an entry must stay visible; expanded to ``observed``. With groups it protects
        the whole unit. These entries do not count among the m.
    group
        Integer ids of units that stay together (lines, channels, blocks), expanded to
        ``observed``; the same id in two elements names two units. None makes every entry a unit.
    generator
        On the device of ``observed``; None draws from torch's own generator.

    Raises
    ------
    RefusedInputError
        ``hold_frac`` outside (0, 1), or an element without an observed entry.
    ShapeError
        ``always_keep`` or ``group`` cannot be expanded to ``observed``.
    """
    if not 0.0 < hold_frac < 1.0:
        msg = f"hold_frac must lie in (0, 1); got {hold_frac}. SSDU takes 0.4."
        raise RefusedInputError(msg)
    seen = observed.flatten(1)
    if not seen.any(1).all():
        empty = (~seen.any(1)).nonzero().flatten().tolist()
        msg = f"elements {empty} of the batch have no observed entry to keep; leave them out."
        raise RefusedInputError(msg)
    forced = torch.zeros_like(seen) if always_keep is None else _like(always_keep, observed)
    units = _units(observed, group)
    hold = torch.stack(
        [
            _withhold(seen[i], forced[i], units[i], hold_frac, generator)
            for i in range(seen.shape[0])
        ]
    )
    return Split((seen & ~hold).view_as(observed), hold.view_as(observed))


def _withhold(
    seen: Tensor, forced: Tensor, unit: Tensor, hold_frac: float, generator: torch.Generator | None
) -> Tensor:
    """Return what is withheld of one flat element."""
    n_units = int(unit.max()) + 1
    present = torch.zeros(n_units, dtype=torch.bool, device=seen.device)
    present[unit[seen]] = True
    eligible = present.clone()
    eligible[unit[seen & forced]] = False
    candidates = eligible.nonzero().flatten()
    n_hold = int(hold_frac * len(candidates) + 0.5)
    n_hold = min(n_hold, int(present.sum()) - 1)
    order = torch.randperm(len(candidates), generator=generator, device=seen.device)
    drawn = torch.zeros_like(present)
    drawn[candidates[order[:n_hold]]] = True
    return drawn[unit] & seen


def _units(observed: Tensor, group: Tensor | None) -> Tensor:
    """Return the unit of each entry as 0 ... n-1, one flat row per element."""
    if group is None:
        row = torch.arange(observed[0].numel(), device=observed.device)
        return row.expand(observed.shape[0], -1)
    return torch.unique(_like(group, observed), return_inverse=True)[1]


def _like(values: Tensor, observed: Tensor) -> Tensor:
    try:
        return values.expand(observed.shape).flatten(1)
    except RuntimeError as error:
        msg = (
            f"an array of shape {tuple(values.shape)} cannot be expanded to observed, "
            f"{tuple(observed.shape)}; give it length 1 or the same length on each axis."
        )
        raise ShapeError(msg) from error

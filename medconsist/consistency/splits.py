"""Splits of what was observed: who sees what. Masks are bool, True = visible."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Inexact, Int, Real, Shaped
from torch import Tensor

from medconsist.consistency._axes import on_leading_axes, require_bool
from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["Split", "apply_mask", "block_mask", "random_split", "topk_hold", "topk_split"]


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
        require_bool(self.keep, name="keep")
        require_bool(self.hold, name="hold")
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
        ``hold_frac`` outside (0, 1), an element without an observed entry, or a mask not bool.
    ShapeError
        ``always_keep`` or ``group`` cannot be expanded to ``observed``, or that is no batch.
    """
    if not 0.0 < hold_frac < 1.0:
        msg = f"hold_frac must lie in (0, 1); got {hold_frac}. SSDU takes 0.4."
        raise RefusedInputError(msg)
    require_bool(observed, name="observed")
    if observed.ndim < 2:
        msg = f"observed {tuple(observed.shape)} must have a batch axis and at least one more."
        raise ShapeError(msg)
    if not observed.shape[0]:
        return Split(observed, observed.clone())
    seen = observed.flatten(1)
    if not seen.any(1).all():
        empty = (~seen.any(1)).nonzero().flatten().tolist()
        msg = f"elements {empty} of the batch have no observed entry to keep; leave them out."
        raise RefusedInputError(msg)
    forced = torch.zeros_like(seen)
    if always_keep is not None:
        require_bool(always_keep, name="always_keep")
        forced = _like(always_keep, observed)
    units = _units(observed, group)
    hold = torch.stack(
        [
            _withhold(seen[i], forced[i], units[i], hold_frac, generator)
            for i in range(seen.shape[0])
        ]
    )
    return Split((seen & ~hold).view_as(observed), hold.view_as(observed))


def topk_split(
    score: Real[Tensor, "batch tokens"],
    frac_hold: float | int,
    random_frac: float | int = 1.0,
    valid: Bool[Tensor, "..."] | None = None,
    generator: torch.Generator | None = None,
) -> Split:
    """Withhold high-scored entries of each element, so that the easy evidence is not enough.

    With n valid entries, share h = ``frac_hold`` and rho = ``random_frac``: of the
    ``t = ceil(n h / rho)`` highest scores, ``ceil(rho t)`` drawn at random are withheld; for
    ``h / rho > 1``, ``ceil(n h)`` of all. So rho = 1 withholds the top h deterministically, and
    rho = h draws the share h uniformly. Never all: one valid entry stays visible. The hard-instance
    masks of MHIM-MIL (Tang et al. 2023, arXiv:2307.15254); its low masks are those of ``-score``,
    and several of them combine by ``|`` of ``hold``, each computed on all entries.

    Parameters
    ----------
    score
        Any real numbers; among equal ones the lower index counts as higher.
    frac_hold
        h in [0, 1); 0 withholds nothing, anything above at least one entry (of two or more).
    random_frac
        rho in (0, 1].
    valid
        False on padding, which is neither seen nor withheld; None is all True.
    generator
        On the device of ``score``, used for rho < 1; None draws from torch's own generator.

    Raises
    ------
    RefusedInputError
        A share outside its range, an element without a valid entry, or a NaN among valid scores.
    ShapeError
        ``valid`` has another shape than ``score``.

    Examples
    --------
    >>> import torch
    >>> topk_split(torch.tensor([[0.1, 0.7, 0.2, 0.0]]), 0.25).keep.tolist()
    [[True, False, True, True]]
    """
    _require_shares(frac_hold, random_frac)
    seen = torch.ones_like(score, dtype=torch.bool) if valid is None else valid
    require_bool(seen, name="valid")
    _check_scores(score, seen)
    hold = topk_hold(score, frac_hold, random_frac, seen, generator)
    return Split(seen & ~hold, hold)


def topk_hold(
    score: Real[Tensor, "batch tokens"],
    frac_hold: float | int,
    random_frac: float | int = 1.0,
    valid: Bool[Tensor, "batch tokens"] | None = None,
    generator: torch.Generator | None = None,
) -> Bool[Tensor, "batch tokens"]:
    """Return what `topk_split` withholds, without a look at the values.

    For inner loops on an accelerator: nothing here waits for it, so scores are not checked. A NaN
    counts as the highest score; an element without a valid entry withholds none.

    Parameters
    ----------
    score, frac_hold, random_frac, valid, generator
        As of `topk_split`.

    Raises
    ------
    RefusedInputError
        A share outside its range.

    Examples
    --------
    >>> import torch
    >>> topk_hold(torch.tensor([[0.1, 0.7, 0.2, 0.0]]), 0.25).tolist()
    [[False, True, False, False]]
    """
    _require_shares(frac_hold, random_frac)
    seen = torch.ones_like(score, dtype=torch.bool) if valid is None else valid
    n_valid = seen.sum(1, keepdim=True)
    ratio = frac_hold / random_frac
    n_top = _ceil_share(n_valid, ratio) if ratio <= 1.0 else n_valid
    n_hold = _ceil_share(n_top, random_frac) if ratio <= 1.0 else _ceil_share(n_valid, frac_hold)
    n_hold = torch.minimum(n_hold, n_valid - 1)
    rank = _rank(score, seen)
    if random_frac < 1.0:
        noise = torch.rand(score.shape, generator=generator, device=score.device)
        rank = _rank(noise, rank < n_top)
    return rank < n_hold


def block_mask(
    shape: Sequence[int],
    block: int | Sequence[int],
    ratio: float | int,
    generator: torch.Generator | None = None,
) -> Bool[Tensor, "..."]:
    """Draw a mask of blocks for each element, each block hidden with probability ``ratio``.

    One uniform number per cell of a grid of ``round(n / block)`` cells per axis (at least one),
    visible where it is not below ``ratio``, enlarged by nearest neighbour to ``shape``, as in MIC
    (Hoyer et al. 2023, arXiv:2212.01322; block 64 with 0.7, or 32 with 0.5). The hidden share is
    exact only on average; with few blocks an element may be hidden as a whole.

    Parameters
    ----------
    shape
        Of the mask, batch first. Axes of length 1 are one cell: ``(batch, 1, rows, columns)`` is
        one mask for all channels, ``(batch, time, 1)`` one for all features.
    block
        Length of a block in entries, one for all axes after the batch or one for each.
    ratio
        Probability of a block to be hidden, in [0, 1].
    generator
        The mask is on its device; None draws from torch's own generator of the CPU.

    Raises
    ------
    RefusedInputError
        ``ratio`` outside [0, 1] or a block shorter than one entry.
    ShapeError
        ``shape`` without an axis after the batch, or with an empty one; or another number of blocks
        than of axes.

    Examples
    --------
    >>> import torch
    >>> mask = block_mask((2, 1, 8, 8), 4, 0.5, torch.Generator().manual_seed(0))
    >>> mask.shape, int(mask.sum()) % 16
    (torch.Size([2, 1, 8, 8]), 0)
    """
    axes = tuple(shape[1:])
    blocks = (block,) * len(axes) if isinstance(block, int) else tuple(block)
    if not axes or min(axes) < 1 or len(blocks) != len(axes):
        msg = (
            f"a mask of shape {tuple(shape)} with blocks {blocks}: wanted a batch axis and at "
            "least one more, none of them empty, and one block length per axis after the batch."
        )
        raise ShapeError(msg)
    if min(blocks) < 1 or not 0.0 <= ratio <= 1.0:
        msg = f"blocks must be >= 1 and ratio in [0, 1]; got {blocks} and {ratio}."
        raise RefusedInputError(msg)
    cells = [max(1, round(n / length)) for n, length in zip(axes, blocks, strict=True)]
    device = None if generator is None else generator.device
    mask = torch.rand((shape[0], *cells), generator=generator, device=device) >= ratio
    for dim, (n, n_cells) in enumerate(zip(axes, cells, strict=True), start=1):
        mask = mask.index_select(dim, torch.arange(n, device=device) * n_cells // n)
    return mask


def apply_mask(
    x: Inexact[Tensor, "..."],
    keep: Bool[Tensor, "..."],
    fill: float | int | Shaped[Tensor, "..."] | Literal["mean"] = 0.0,
) -> Inexact[Tensor, "..."]:
    """Return ``x`` where it is visible and ``fill`` elsewhere, in the shape and dtype of ``x``.

    Hidden values are replaced, never multiplied: they may be NaN, and the gradient with respect to
    them is exactly zero. Zero may be a plausible value of the data (after normalisation it is their
    mean), hence ``fill``.

    Parameters
    ----------
    x
        Real or complex, batch first.
    keep
        True = visible. Its axes are the leading ones of ``x``, of length 1 where one value serves
        all: ``batch tokens`` for ``x`` of ``batch tokens features``.
    fill
        A number; a tensor that broadcasts to ``x`` (a learnt token; it receives gradients); or
        ``"mean"``: of the visible values of each element, over the axes on which ``keep`` varies
        (one mean per channel for a mask with one channel); 0 where nothing is visible.

    Raises
    ------
    RefusedInputError
        ``keep`` is not bool, or ``fill`` another word than ``"mean"``.
    ShapeError
        ``keep`` or ``fill`` does not lie on ``x``.

    Examples
    --------
    >>> import torch
    >>> apply_mask(torch.tensor([[1.0, 2.0, 6.0]]), torch.tensor([[True, True, False]]), "mean")
    tensor([[1.0000, 2.0000, 1.5000]])
    """
    require_bool(keep, name="keep")
    keep = on_leading_axes(keep, x.shape, name="keep")
    if isinstance(fill, str):
        if fill != "mean":
            msg = f"fill must be a number, a tensor or 'mean'; got {fill!r}."
            raise RefusedInputError(msg)
        return torch.where(keep, x, _visible_mean(x, keep))
    if not isinstance(fill, Tensor):
        return torch.where(keep, x, x.new_tensor(fill))
    try:
        token = fill.to(x.dtype).expand(x.shape)
    except RuntimeError as error:
        msg = (
            f"fill of shape {tuple(fill.shape)} does not broadcast to x, {tuple(x.shape)}; its "
            "axes are the trailing ones, each of length 1 or of the same length."
        )
        raise ShapeError(msg) from error
    return torch.where(keep, x, token)


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


def _require_shares(frac_hold: float | int, random_frac: float | int) -> None:
    if not (0.0 <= frac_hold < 1.0 and 0.0 < random_frac <= 1.0):
        msg = (
            "frac_hold must lie in [0, 1) and random_frac in (0, 1]; "
            f"got {frac_hold} and {random_frac}. To withhold nothing, take frac_hold = 0."
        )
        raise RefusedInputError(msg)


def _check_scores(score: Tensor, seen: Tensor) -> None:
    if score.ndim != 2 or seen.shape != score.shape:
        msg = (
            f"score {tuple(score.shape)} and valid {tuple(seen.shape)} must have the same two "
            "axes, batch tokens."
        )
        raise ShapeError(msg)
    if not seen.any(1).all():
        empty = (~seen.any(1)).nonzero().flatten().tolist()
        msg = f"elements {empty} of the batch have no valid entry to keep; leave them out."
        raise RefusedInputError(msg)
    n_nan = int((score.isnan() & seen).sum())
    if n_nan:
        msg = (
            f"{n_nan} of {int(seen.sum())} valid scores, of shape {tuple(score.shape)}, are NaN "
            "and have no order; give numbers, or mark them False in valid."
        )
        raise RefusedInputError(msg)


def _rank(score: Tensor, among: Tensor) -> Tensor:
    """Return 0 for the highest score of a row, and so on; all others follow after ``among``."""
    order = score.argsort(dim=1, descending=True, stable=True)
    others_last = (~among).gather(1, order).byte().argsort(dim=1, stable=True)
    return order.gather(1, others_last).argsort(dim=1)


def _ceil_share(count: Tensor, share: float) -> Tensor:
    """Return ``ceil(share * count)``, where a rounding error does not add one."""
    wanted = count.double() * share
    # 100 * 0.07 is 7.000000000000001 in floating point and must give 7
    rounded = (wanted * (1.0 - 4 * torch.finfo(torch.float64).eps)).ceil()
    return rounded.long().clamp(max=count)


def _visible_mean(x: Tensor, keep: Tensor) -> Tensor:
    dims = [dim for dim in range(1, x.ndim) if keep.shape[dim] > 1]
    visible = torch.where(keep, x, 0)
    if not dims:
        return visible
    n_visible = keep.sum(dims, keepdim=True).clamp(min=1)
    return visible.sum(dims, keepdim=True) / n_visible

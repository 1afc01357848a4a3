"""Windows of one part that are in another part too: bit by bit, rescaled, or nearly."""

import hashlib
import math
from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.results.finding import Finding
from medconsist.timeseries.audit.across import Parts, placed_rows
from medconsist.timeseries.window_set import WindowSet, WindowTable

__all__ = ["copies_across"]

_DIM = 64  # of the random projection that finds suspects
_ERRORS = 6.0  # of its cosine, which errs as a correlation of _DIM samples (Fisher's z)
_SAME = 1 - 1e-6  # cosine of a copy that was moved, scaled and rounded, also to float16
_FEWEST = 32  # values of a window: fewer are alike by chance
_ENOUGH = 10_000  # near pairs, after which no more are looked for
_BLOCK, _READ = 256, 256
_FLAT = 1e-12

Columns = Int64[npt.NDArray[np.int64], " rows"]
Pairs = list[tuple[int, int]]


def copies_across(
    windows: WindowSet, parts: Parts, *, generator: Generator, cosine: float = 0.999
) -> tuple[Finding, Finding]:
    """Say whether windows of two parts are equal, and whether some are nearly equal.

    Equal: all values, bit by bit; or up to an offset of each channel, one factor of either sign,
    and rounding. Nearly: the absolute cosine of the windows, each channel less its mean, is
    ``cosine`` or more; suspects come from a random projection, and are then compared whole. A copy
    is a leak; near copies are a warning, as short beats of two hearts can be alike. Windows
    without any change are left out. Rows of features (one sample) are less their mean over the
    channels, and never equal up to a factor. Copies moved in time are not found.

    Parameters
    ----------
    windows
        All of them.
    parts
        Two or more.
    generator
        Of the projection.
    cosine
        From which two windows are near copies, 0.9 to 1.

    Raises
    ------
    RefusedInputError
        Fewer than two parts, or a cosine out of range.
    """
    if len(parts) < 2 or not 0.9 <= cosine <= 1:
        msg = f"got {len(parts)} parts and cosine {cosine}; allowed: two or more, 0.9 to 1."
        raise RefusedInputError(msg)
    rows, part = placed_rows(parts)
    kind, sketch = _sketched(windows, rows, generator)
    alive = (sketch.abs().sum(1) > 0).numpy()
    equal, near = _equal_pairs(kind, part, alive), Pairs()
    many = windows.samples * len(windows.channels) >= _FEWEST
    suspects = _suspects(sketch, part, kind, cosine) if many else iter(())
    for one, other, alike in islice(_compared(windows, rows, suspects, cosine), _ENOUGH):
        is_copy = windows.samples > 1 and alike >= _SAME
        (equal if is_copy else near).append((one, other))
    flat = int((~alive).sum())
    counted = f"{len(rows)} windows" + (f", {flat} flat ones left out" if flat else "")
    findings = []
    for name, what, pairs in (("copies", "equal", equal), ("near copies", "nearly equal", near)):
        sentence = f"No window is {what} to one of another part ({counted})."
        if pairs:
            first, second = (_told(windows.table, int(rows[place])) for place in pairs[0])
            least = " or more" if len(near) + len(equal) >= _ENOUGH else ""
            sentence = (
                f"{len(pairs)}{least} pairs of windows in two parts are {what}; the first: {first} "
                f"and {second} ({counted}). Copies belong to one patient."
            )
        elif name == "near copies" and not many:
            sentence = f"Not looked at: windows of fewer than {_FEWEST} values are alike by chance."
        numbers = {"windows": len(rows), "pairs": len(pairs), "flat": flat}
        findings.append(
            Finding(
                name=name,
                passed=not pairs and (many or name == "copies"),
                sentence=sentence,
                numbers=numbers,
                weight="leak" if name == "copies" else "warning",
            )
        )
    return findings[0], findings[1]


def _sketched(
    windows: WindowSet, rows: Columns, generator: Generator
) -> tuple[Columns, Float[Tensor, "rows dim"]]:
    """Return a number for all windows of the same values, and the projection of each, length 1."""
    values = windows.samples * len(windows.channels)
    basis = torch.randn(values, _DIM, generator=generator)
    numbers, sketch = dict[bytes, int](), torch.empty(len(rows), _DIM)
    kind = np.empty(len(rows), np.int64)
    for first in range(0, len(rows), _READ):
        batch = windows.batch(rows[first : first + _READ])
        for place, one in enumerate(batch, start=first):
            digest = hashlib.blake2b(one.numpy().tobytes()).digest()
            kind[place] = numbers.setdefault(digest, len(numbers))
        centred = _centred(batch)
        length = centred.norm(dim=1, keepdim=True)
        unit = torch.where(length > _FLAT, centred / length.clamp(min=_FLAT), torch.tensor(0.0))
        sketch[first : first + _READ] = torch.nn.functional.normalize(unit @ basis, dim=1)
    return kind, sketch


def _centred(batch: Float[Tensor, "rows time channels"]) -> Float[Tensor, "rows values"]:
    # a row of features is one sample: less its mean over time nothing would be left
    axis = 1 if batch.shape[1] > 1 else 2
    return (batch - batch.mean(axis, keepdim=True)).flatten(1)


def _equal_pairs(kind: Columns, part: Columns, alive: npt.NDArray[np.bool_]) -> Pairs:
    first = dict[int, int]()
    pairs = Pairs()
    for place, number in enumerate(kind.tolist()):
        if alive[place] and part[first.setdefault(number, place)] != part[place]:
            pairs.append((first[number], place))
    return pairs


def _suspects(
    sketch: Float[Tensor, "rows dim"], part: Columns, kind: Columns, cosine: float
) -> Iterator[Int64[Tensor, "pairs 2"]]:
    """Yield places whose projections are alike, of two parts and of other values; flat ones never.

    Of pairs of the least cosine that is asked for, six standard errors are let through.
    """
    least = math.tanh(math.atanh(min(cosine, _SAME)) - _ERRORS / math.sqrt(_DIM - 3))
    where, what = torch.from_numpy(part), torch.from_numpy(kind)
    for first in range(0, len(sketch), _BLOCK):
        here = slice(first, first + _BLOCK)
        alike = (sketch[here] @ sketch[first:].T).abs() >= least
        alike &= (where[here, None] != where[first:]) & (what[here, None] != what[first:])
        yield from torch.split(alike.triu(1).nonzero() + first, _READ)


def _compared(
    windows: WindowSet,
    rows: Columns,
    suspects: Iterator[Int64[Tensor, "pairs 2"]],
    cosine: float,
) -> Iterator[tuple[int, int, float]]:
    """Yield the places of near copies, and their absolute cosine."""
    for places in suspects:
        one, other = (_centred(windows.batch(rows[side.numpy()]).double()) for side in places.T)
        alike = torch.nn.functional.cosine_similarity(one, other, dim=1).abs()
        for (first, second), how in zip(places.tolist(), alike.tolist(), strict=True):
            if how >= cosine:
                yield first, second, how


def _told(table: WindowTable, row: int) -> str:
    return f"patient {table.patients[table.patient[row]]}, trial {table.trial[row]}"

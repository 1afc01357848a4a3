"""What may not be on two sides of a split: a patient, a window, or samples of one recording."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.results.finding import Finding
from medconsist.timeseries.evaluation.rounds import PatientRound
from medconsist.timeseries.window_set import WindowSet, WindowTable

__all__ = [
    "Parts",
    "copies_across",
    "overlaps_across",
    "parts_of_round",
    "patients_apart",
    "sites_apart",
]

Parts = Mapping[str, Int64[npt.NDArray[np.int64], " _"]]
"""Rows of the windows of each part, such as ``{"train": ..., "test": ...}``."""

_DIM = 64  # of the random projection that finds suspects; its cosine errs by about 1 / 8
_SUSPECT = 0.6
_BLOCK = 1024
_READ = 256
_FLAT = 1e-12


def parts_of_round(one: PatientRound, table: WindowTable) -> dict[str, npt.NDArray[np.int64]]:
    """Return the rows of a round's parts; empty ones are left out.

    Examples
    --------
    >>> table = WindowTable(patient=np.arange(2), trial=np.arange(2), start=np.zeros(2, np.int64),
    ...                     label=np.arange(2), patients=("a", "b"), classes=("control", "case"),
    ...                     sites=(None, None))
    >>> one = PatientRound(repeat=0, number=0, train=("a",), learn=("a",), test=("b",))
    >>> sorted(parts_of_round(one, table))
    ['test', 'train']
    """
    names = {"train": one.train, "validation": one.validation, "test": one.test}
    rows = {
        part: np.flatnonzero(
            np.isin(table.patient, [n for n, name in enumerate(table.patients) if name in chosen])
        )
        for part, chosen in names.items()
    }
    return {part: found for part, found in rows.items() if len(found)}


def patients_apart(table: WindowTable, parts: Parts) -> Finding:
    """Say whether a patient has windows in two parts: then the split is void."""
    owners = _owners(table.patient, parts)
    shared = sorted(number for number, inside in owners.items() if len(inside) > 1)
    counted = f"{len(owners)} patients in {len(parts)} parts"
    sentence = f"No patient is in two parts ({counted})."
    if shared:
        where = " and ".join(sorted(owners[shared[0]]))
        sentence = (
            f"{len(shared)} of {counted} are in more than one; the first, "
            f"{table.patients[shared[0]]}, is in {where}: split by patient again."
        )
    numbers = {"patients": len(owners), "shared": len(shared)}
    return Finding(name="patients", passed=not shared, sentence=sentence, numbers=numbers)


def sites_apart(table: WindowTable, parts: Parts) -> Finding:
    """Say whether a site is in two parts: a warning, as the test then says nothing of a new one."""
    names = sorted({site for site in table.sites if site is not None})
    number = np.array([-1 if site is None else names.index(site) for site in table.sites])
    owners = _owners(number[table.patient], parts)
    owners.pop(-1, None)
    shared = [names[site] for site, inside in sorted(owners.items()) if len(inside) > 1]
    sentence = f"No site is in two parts ({len(owners)} sites)."
    if shared:
        sentence = (
            f"{len(shared)} of {len(owners)} sites are in more than one part (first: {shared[0]}): "
            "the test says nothing of a new site."
        )
    if not owners:
        sentence = "No patient names a site: whether a site is in two parts is unknown."
    numbers = {"sites": len(owners), "shared": len(shared)}
    return Finding(
        name="sites",
        passed=bool(owners) and not shared,
        sentence=sentence,
        numbers=numbers,
        weight="warning",
    )


def overlaps_across(table: WindowTable, parts: Parts, *, samples: int) -> Finding:
    """Say whether windows of two parts share samples of a recording.

    Parameters
    ----------
    table
        Of all windows.
    parts
        Two or more.
    samples
        Length of a window.
    """
    rows, part = _placed(parts)
    order = np.lexsort((table.start[rows], table.trial[rows]))
    rows, part = rows[order], part[order]
    pairs, step = list[tuple[int, int]](), 1
    while step < len(rows):
        near = table.trial[rows[step:]] == table.trial[rows[:-step]]
        near &= table.start[rows[step:]] - table.start[rows[:-step]] < samples
        if not near.any():
            break  # sorted by start: windows further on are further away
        across = np.flatnonzero(near & (part[step:] != part[:-step]))
        pairs += [(int(rows[place]), int(rows[place + step])) for place in across]
        step += 1
    sentence = f"No window overlaps one of another part ({len(rows)} windows)."
    if pairs:
        one, other = pairs[0]
        sentence = (
            f"{len(pairs)} pairs of windows in two parts share samples; the first: trial "
            f"{table.trial[one]} of patient {table.patients[table.patient[one]]}, from "
            f"{table.start[one]} and from {table.start[other]}. Keep a recording on one side."
        )
    numbers = {"windows": len(rows), "pairs": len(pairs)}
    return Finding(name="overlaps", passed=not pairs, sentence=sentence, numbers=numbers)


def copies_across(
    windows: WindowSet, parts: Parts, *, generator: Generator, cosine: float = 0.999
) -> tuple[Finding, Finding]:
    """Say whether windows of two parts are equal, and whether some are nearly equal.

    Equal: all samples, bit by bit. Nearly: the cosine of the windows, each channel less its mean,
    is ``cosine`` or more; suspects come from a random projection, and are then compared whole. A
    copy is a leak; near copies are a warning, as short beats of two hearts can be alike. Windows
    without any change in any channel are left out.

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
    rows, part = _placed(parts)
    digests, sketch, alive = _sketched(windows, rows, generator)
    equal = _equal_pairs(digests, part, alive)
    near = [
        (one, other)
        for one, other in _suspects(sketch, part, alive)
        if digests[one] != digests[other]
        and _cosine(windows, int(rows[one]), int(rows[other])) >= cosine
    ]
    flat = int((~alive).sum())
    counted = f"{len(rows)} windows" + (f", {flat} flat ones left out" if flat else "")
    findings = []
    for name, what, pairs in (("copies", "equal", equal), ("near copies", "nearly equal", near)):
        sentence = f"No window is {what} to one of another part ({counted})."
        if pairs:
            first, second = (_told(windows.table, int(rows[place])) for place in pairs[0])
            sentence = (
                f"{len(pairs)} pairs of windows in two parts are {what}; the first: {first} and "
                f"{second} ({counted}). Copies belong to one patient."
            )
        numbers = {"windows": len(rows), "pairs": len(pairs), "flat": flat}
        findings.append(
            Finding(
                name=name,
                passed=not pairs,
                sentence=sentence,
                numbers=numbers,
                weight="leak" if name == "copies" else "warning",
            )
        )
    return findings[0], findings[1]


def _owners(numbers: npt.NDArray[np.int64], parts: Parts) -> dict[int, set[str]]:
    owners = defaultdict[int, set[str]](set)
    for part, rows in parts.items():
        for number in np.unique(numbers[rows]).tolist():
            owners[number].add(part)
    return owners


def _placed(parts: Parts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return all rows, and the number of the part of each."""
    rows = np.concatenate(list(parts.values()))
    return rows, np.repeat(np.arange(len(parts)), [len(one) for one in parts.values()])


def _sketched(
    windows: WindowSet, rows: npt.NDArray[np.int64], generator: Generator
) -> tuple[list[bytes], Float[Tensor, "rows dim"], npt.NDArray[np.bool_]]:
    """Return the digest of each window, its projection of length 1, and whether it changes."""
    values = windows.samples * len(windows.channels)
    basis = torch.randn(values, _DIM, generator=generator)
    digests, sketch = list[bytes](), torch.empty(len(rows), _DIM)
    for first in range(0, len(rows), _READ):
        batch = windows.batch(rows[first : first + _READ])
        digests += [hashlib.blake2b(one.numpy().tobytes()).digest() for one in batch]
        centred = (batch - batch.mean(1, keepdim=True)).flatten(1)
        length = centred.norm(dim=1, keepdim=True)
        unit = torch.where(length > _FLAT, centred / length.clamp(min=_FLAT), torch.tensor(0.0))
        sketch[first : first + _READ] = torch.nn.functional.normalize(unit @ basis, dim=1)
    return digests, sketch, (sketch.abs().sum(1) > 0).numpy()


def _equal_pairs(
    digests: Sequence[bytes], part: npt.NDArray[np.int64], alive: npt.NDArray[np.bool_]
) -> list[tuple[int, int]]:
    first = dict[bytes, int]()
    pairs = list[tuple[int, int]]()
    for place, digest in enumerate(digests):
        if alive[place] and part[first.setdefault(digest, place)] != part[place]:
            pairs.append((first[digest], place))
    return pairs


def _suspects(
    sketch: Float[Tensor, "rows dim"],
    part: npt.NDArray[np.int64],
    alive: npt.NDArray[np.bool_],
) -> list[tuple[int, int]]:
    where, usable = torch.from_numpy(part), torch.from_numpy(alive)
    pairs = list[tuple[int, int]]()
    for first in range(0, len(sketch), _BLOCK):
        here = slice(first, first + _BLOCK)
        alike = sketch[here] @ sketch.T >= _SUSPECT
        alike &= (where[here, None] != where) & usable[here, None] & usable
        for one, other in alike.nonzero().tolist():
            if first + one < other:
                pairs.append((first + one, other))
    return pairs


def _cosine(windows: WindowSet, one: int, other: int) -> float:
    both = windows.batch([one, other]).double()
    first, second = (both - both.mean(1, keepdim=True)).flatten(1)
    return float(torch.nn.functional.cosine_similarity(first, second, dim=0))


def _told(table: WindowTable, row: int) -> str:
    return f"patient {table.patients[table.patient[row]]}, trial {table.trial[row]}"

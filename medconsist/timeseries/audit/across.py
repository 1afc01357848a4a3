"""What may not be on two sides of a split: a patient, a window, or samples of one recording."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

from medconsist.results.finding import Finding
from medconsist.timeseries.evaluation.rounds import PatientRound
from medconsist.timeseries.window_set import WindowTable

__all__ = [
    "Parts",
    "names_apart",
    "overlaps_across",
    "parts_of_round",
    "patients_apart",
    "placed_rows",
    "sites_apart",
]

Parts = Mapping[str, Int64[npt.NDArray[np.int64], " _"]]
"""Rows of the windows of each part, such as ``{"train": ..., "test": ...}``."""

_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


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


def names_apart(table: WindowTable, parts: Parts) -> Finding:
    """Say whether ids in two parts differ by case, spaces or leading zeros alone: a leak.

    ``P01``, ``p1`` and ``P 01`` are most likely one patient.
    """
    owners = _owners(table.patient, parts)
    spelled = defaultdict[str, list[int]](list)
    for number in sorted(owners):
        spelled[_spelling(table.patients[number])].append(number)
    alike = [
        same
        for same in spelled.values()
        if len(same) > 1 and len(set().union(*(owners[number] for number in same))) > 1
    ]
    sentence = f"No two ids in two parts are alike ({len(owners)} patients)."
    if alike:
        said = " and ".join(repr(table.patients[number]) for number in alike[0])
        sentence = (
            f"{len(alike)} ids in two parts are written in several ways; the first: {said}. If "
            "they are one patient, write them alike and split again."
        )
    numbers = {"patients": len(owners), "alike": len(alike)}
    return Finding(name="names", passed=not alike, sentence=sentence, numbers=numbers)


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
    rows, part = placed_rows(parts)
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


def placed_rows(parts: Parts) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return all rows, and the number of the part of each."""
    rows = np.concatenate(list(parts.values()))
    return rows, np.repeat(np.arange(len(parts)), [len(one) for one in parts.values()])


def _owners(numbers: npt.NDArray[np.int64], parts: Parts) -> dict[int, set[str]]:
    owners = defaultdict[int, set[str]](set)
    for part, rows in parts.items():
        for number in np.unique(numbers[rows]).tolist():
            owners[number].add(part)
    return owners


def _spelling(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold()
    return _ZEROS.sub("", "".join(plain.split()))

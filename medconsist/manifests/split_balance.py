"""Share out groups of cases so that each part has its share of every label.

A group is what must not be torn: the cases of one patient, or of patients who share sites. The
cost of a sharing is Pearson's chi-square of its table,

    sum over parts p and kinds k of (n_pk - s_p N_k)^2 / (s_p N_k),

with n_pk the cases of kind k in part p, N_k all of them and s_p the share of the part. Groups are
dealt one by one, larger ones first, each to the part where the cost grows least; few groups are
then moved and exchanged as long as the cost falls. That ends in a local minimum: PreservedSiteCV
(Howard et al., Nature Communications 2021, doi:10.1038/s41467-021-24698-1) solves a similar
quadratic programme exactly, with a commercial solver.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

__all__ = ["Group", "chance", "shared_out"]

_FEW = 120  # groups that are worth the quadratic search for exchanges
_ROUNDS = 50
_LEAST = 1e-6  # a smaller gain is rounding
_EMPTY = 1e9  # what an empty part costs: more than any sharing


@dataclass(frozen=True)
class Group:
    """Patients who stay together.

    Parameters
    ----------
    name
        Decides its place in the order of dealing, with the seed.
    patients
        Their ids, sorted.
    counts
        How much it weighs, by kind: cases of each label, and patients.

    Examples
    --------
    >>> Group("p1", ("p1",), {"tumour": 2}).size
    2
    """

    name: str
    patients: tuple[str, ...]
    counts: Mapping[str, int]

    @property
    def size(self) -> int:
        """All that it weighs."""
        return sum(self.counts.values())


def chance(*words: object) -> str:
    """Return 64 digits that depend on these words alone: an order without a random number.

    Examples
    --------
    >>> chance(0, "p1") == chance(0, "p1"), chance(0, "p1") == chance(1, "p1")
    (True, False)
    """
    return hashlib.sha256("\0".join(map(str, words)).encode()).hexdigest()


def shared_out(
    groups: Sequence[Group], shares: Sequence[float], *, draw: str
) -> tuple[tuple[str, ...], ...]:
    """Return the patients of each part, sorted; whatever the order of the groups.

    Parameters
    ----------
    groups
        What must not be torn; at least as many as parts, so that none is empty.
    shares
        Of each part, positive, of sum 1.
    draw
        Names the draw: seed and place. Another one deals in another order.

    Examples
    --------
    >>> groups = [Group(f"p{n}", (f"p{n}",), {"a": 1}) for n in range(4)]
    >>> [len(part) for part in shared_out(groups, [0.5, 0.5], draw="0")]
    [2, 2]
    """
    # Sizes within a factor of two are one class, so that the seed still decides among them.
    order = sorted(groups, key=lambda one: (-one.size.bit_length(), chance(draw, one.name)))
    table = _Table(groups, shares)
    place = dict[str, int]()
    for group in order:
        place[group.name] = table.best(group)
        table.add(group, place[group.name])
    if len(order) <= _FEW:
        _improve(order, place, table)
    parts: list[list[str]] = [[] for _ in shares]
    for group in order:
        parts[place[group.name]].extend(group.patients)
    return tuple(tuple(sorted(part)) for part in parts)


class _Table:
    """Cases by part and kind, and what the sharing costs; plain floats in one order."""

    def __init__(self, groups: Sequence[Group], shares: Sequence[float]) -> None:
        totals = Counter[str]()
        for group in groups:
            totals.update(group.counts)
        self.wanted = [{kind: share * total for kind, total in totals.items()} for share in shares]
        self.seen = [dict.fromkeys(totals, 0) for _ in shares]
        self.sizes = [0 for _ in shares]

    def add(self, group: Group, part: int, sign: int = 1) -> None:
        self.sizes[part] += sign * group.size
        for kind, count in group.counts.items():
            if count:
                self.seen[part][kind] += sign * count

    def growth(self, part: int, change: Mapping[str, int]) -> float:
        seen, wanted = self.seen[part], self.wanted[part]
        grown = 0.0
        for kind, more in change.items():
            if more:
                grown += more * (2 * (seen[kind] - wanted[kind]) + more) / wanted[kind]
        before, after = self.sizes[part], self.sizes[part] + sum(change.values())
        return grown + _EMPTY * ((not after) - (not before))

    def best(self, group: Group) -> int:
        grown = [self.growth(part, group.counts) for part in range(len(self.seen))]
        return grown.index(min(grown))


def _improve(order: Sequence[Group], place: dict[str, int], table: _Table) -> None:
    for _ in range(_ROUNDS):
        moved = [_move(group, place, table) for group in order]
        exchanged = [_exchange(a, b, place, table) for a, b in combinations(order, 2)]
        if not any(moved) and not any(exchanged):
            return


def _move(group: Group, place: dict[str, int], table: _Table) -> bool:
    home, counts = place[group.name], group.counts
    left = table.growth(home, {kind: -count for kind, count in counts.items()})
    gains = [
        0.0 if part == home else left + table.growth(part, counts)
        for part in range(len(table.seen))
    ]
    target = gains.index(min(gains))
    if gains[target] > -_LEAST:
        return False
    _put(group, target, place, table)
    return True


def _exchange(a: Group, b: Group, place: dict[str, int], table: _Table) -> bool:
    here, there = place[a.name], place[b.name]
    if here == there:
        return False
    kinds = sorted({*a.counts, *b.counts})
    into_here = {k: b.counts.get(k, 0) - a.counts.get(k, 0) for k in kinds}
    into_there = {k: -change for k, change in into_here.items()}
    if table.growth(here, into_here) + table.growth(there, into_there) > -_LEAST:
        return False
    _put(a, there, place, table)
    _put(b, here, place, table)
    return True


def _put(group: Group, part: int, place: dict[str, int], table: _Table) -> None:
    table.add(group, place[group.name], -1)
    place[group.name] = part
    table.add(group, part)

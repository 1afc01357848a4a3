"""What tells one bag from another: its mean feature, and the smallest hashes of its instances."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, UInt64
from torch import Tensor

from medconsist.wsi.mil.cohort import Cohort

__all__ = ["Fingerprints", "bag_means", "near_pairs"]

_KEPT = 256  # hashes of a bag: a share of 5 % is then known to about 1.4 %
_BLOCK = 512
_MANY = 0.02  # of all bags, at least _FEW: a feature in more of them is that of an empty tile
_FEW = 4
_PRIME = np.uint64(0x100000001B3)
_START = np.uint64(0xCBF29CE484222325)
_MIXING = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Of bags, in their order.

    Parameters
    ----------
    means
        Mean feature of each bag, standardised over all bags.
    hashes
        Of each bag, its smallest ones, sorted: a sample of its different instances that is the
        same for the same instances, in whatever order (bottom-k sketch; Broder 1997,
        doi:10.1109/SEQUEN.1997.666900).

    Examples
    --------
    ::

        Fingerprints.of([train, test]).shared(0, 1)
    """

    means: Float[Tensor, "bags dim"]
    hashes: tuple[UInt64[np.ndarray, " _"], ...]

    @classmethod
    def of(cls, cohorts: Sequence[Cohort]) -> "Fingerprints":
        """Return those of the bags of all cohorts; every bag is read once."""
        means, hashes = list[Tensor](), list[UInt64[np.ndarray, " _"]]()
        for cohort in cohorts:
            for bag in range(len(cohort)):
                rows = cohort.rows(bag)
                means.append(rows.double().mean(0))
                hashes.append(_smallest(rows))
        return cls(_standardised(torch.stack(means)).float(), tuple(hashes))

    def shared(self, one: int, other: int) -> float:
        """Return about which share of the smaller bag's different instances is in the other too."""
        a, b = self.hashes[one], self.hashes[other]
        if min(len(a), len(b)) < _KEPT:  # the whole of the smaller bag is known
            small, large = (a, b) if len(a) <= len(b) else (b, a)
            # of a larger bag only what lies below its largest kept hash is known
            known = small if len(large) < _KEPT else small[small <= large[-1]]
            return float(np.isin(known, large).mean()) if len(known) else 0.0
        below = min(a[-1], b[-1])
        a, b = a[a <= below], b[b <= below]
        # of a bag far smaller than the other none may lie there
        return float(len(np.intersect1d(a, b)) / max(1, min(len(a), len(b))))


def bag_means(cohort: Cohort) -> Float[Tensor, "bags dim"]:
    """Return the mean feature of each bag, in float32."""
    return torch.stack([cohort.rows(bag).double().mean(0).float() for bag in range(len(cohort))])


def near_pairs(
    found: Fingerprints,
    part_of: Sequence[str],
    *,
    cosine: float,
    nearness: float,
    shared: float,
) -> list[tuple[int, int]]:
    """Return pairs of bags in two parts that are suspect, sorted; see `audit.copies_across`."""
    near = set(_near_means(found.means, part_of, cosine=cosine, nearness=nearness))
    same = {
        pair
        for pair in _with_one_hash(found.hashes)
        if part_of[pair[0]] != part_of[pair[1]] and found.shared(*pair) >= shared
    }
    return sorted(near | same)


def _near_means(
    means: Tensor, part_of: Sequence[str], *, cosine: float, nearness: float
) -> Iterator[tuple[int, int]]:
    names = sorted(set(part_of))
    part = torch.tensor([names.index(name) for name in part_of])
    unit = torch.nn.functional.normalize(means, dim=1)
    blocks = range(0, len(means), _BLOCK)
    nearest = torch.cat([_nearest_of_part(means, part, first) for first in blocks])
    known = nearest[nearest.isfinite()]
    close = nearness * float(known.median()) if len(known) else 0.0
    for first in blocks:
        away = _to_others(means, first)
        alike = unit[first : first + _BLOCK] @ unit.T >= cosine
        # of copies, both the distance and its direction vanish
        suspect = ((away <= close) & alike) | (away == 0)
        suspect &= part[first : first + _BLOCK, None] != part
        for row, column in suspect.nonzero().tolist():
            if first + row < column:
                yield first + row, column


def _nearest_of_part(means: Tensor, part: Tensor, first: int) -> Tensor:
    """Return distances of a block of bags to their nearest other one in the same part.

    If copies of most bags lie in another part, the nearest one of all would be the copy itself.
    """
    is_apart = part[first : first + _BLOCK, None] != part
    return _to_others(means, first).masked_fill(is_apart, torch.inf).min(1).values


def _to_others(means: Tensor, first: int) -> Tensor:
    """Return distances of a block of bags to all others; that to itself is infinite."""
    block = means[first : first + _BLOCK]
    away = torch.cdist(block, means, compute_mode="donot_use_mm_for_euclid_dist")
    own = torch.arange(first, first + len(block))
    away[torch.arange(len(block)), own] = torch.inf
    return away


def _with_one_hash(hashes: Sequence[UInt64[np.ndarray, " _"]]) -> set[tuple[int, int]]:
    """Return pairs of bags with a hash in common that is not everywhere."""
    holders = defaultdict[int, list[int]](list)
    for bag, own in enumerate(hashes):
        for one in own.tolist():
            holders[one].append(bag)
    most = max(_FEW, int(_MANY * len(hashes)))
    found = (bags for bags in holders.values() if 1 < len(bags) <= most)
    return {pair for bags in found for pair in combinations(bags, 2)}


def _smallest(rows: Tensor) -> UInt64[np.ndarray, " _"]:
    """Return the smallest hashes of rows in float32, each once: FNV-1a, mixed as MurmurHash3 ends.

    Words of 32 bits; minus zero counts as zero.
    """
    words = (rows.float() + 0.0).view(torch.int32).numpy().view(np.uint32)
    value = np.full(len(words), _START, np.uint64)
    for column in np.ascontiguousarray(words.T):
        value = (value ^ column) * _PRIME  # wraps round at 64 bits, as it should
    for factor in _MIXING:
        value = (value ^ (value >> np.uint64(33))) * factor
    return np.unique(value ^ (value >> np.uint64(33)))[:_KEPT]


def _standardised(means: Tensor) -> Tensor:
    spread = means.std(0, correction=0)
    return (means - means.mean(0)) / spread.where(spread > 0, 1.0)

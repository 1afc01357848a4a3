"""Blinded first: of a sealed result there is the original, and nothing that a model said of it."""

import re
from dataclasses import dataclass

from medconsist import SIMULATED_NOTE
from medconsist.errors import AccessError
from medconsist.results.schema import ArrayRecord, Result
from medconsist.results.store import StoredResult
from medconsist.results.trust import TrustRecord
from medconsist.review.access import RIGHTS, Person
from medconsist.review.entries import Entry
from medconsist.review.store import ReviewStore

__all__ = ["SEALED_WORDS", "SealedResult", "has_filed_first", "is_original", "must_wait", "open_to"]
__all__ += ["sealed"]

SEALED_WORDS = (
    "Sealed: what the model says of this case is shown once your first impression is filed."
)

_ORIGINALS = frozenset({"zerofilled", "sampling_mask", "overview"})
_TRACES = re.compile(r"signal_[0-9]{1,9}")


@dataclass(frozen=True)
class SealedResult(StoredResult):
    """A stored result without its model's part: neither arrays, numbers, trust record nor notes.

    It names the same bytes by the same sha256, so that an impression of it is one of that result.

    Parameters
    ----------
    hidden
        Roles that are refused.

    Examples
    --------
    >>> sorted(set(SealedResult.__dataclass_fields__) - set(StoredResult.__dataclass_fields__))
    ['hidden']
    """

    hidden: frozenset[str] = frozenset()

    def record(self, role: str) -> ArrayRecord:
        """Return what is known about an array of the original.

        Raises
        ------
        AccessError
            It is a part of the model's.
        RefusedInputError
            There is none.
        """
        if role in self.hidden:
            raise AccessError(SEALED_WORDS)
        return super().record(role)


def is_original(role: str) -> bool:
    """Say whether an array is what was measured; whatever is not known to be so is the model's.

    Examples
    --------
    >>> [is_original(role) for role in ("zerofilled", "signal_0", "reconstruction", "attention")]
    [True, True, False, False]
    """
    return role in _ORIGINALS or _TRACES.fullmatch(role) is not None


def sealed(stored: StoredResult) -> SealedResult:
    """Return a result as somebody sees it who has not filed a first impression."""
    result: Result = stored.result
    shown = tuple(record for record in result.arrays if is_original(record.role))
    kept = tuple(note for note in result.notes if note == SIMULATED_NOTE)
    without = {"arrays": shown, "metrics": (), "trust": TrustRecord(), "notes": kept}
    hidden = {record.role for record in result.arrays} - {record.role for record in shown}
    return SealedResult(stored.folder, result.model_copy(update=without), frozenset(hidden))


def must_wait(store: ReviewStore, person: Person, study: str, case: str, key: str) -> bool:
    """Say whether a person may file a first impression of a result and has not.

    Who may file none, as a viewer or an auditor, has nothing to wait for.
    """
    role = store.role(person, study)
    if role is None or "comment" not in RIGHTS[role]:
        return False
    return not has_filed_first(store.thread(person, study, case, "impression"), person, key)


def has_filed_first(impressions: list[Entry], person: Person, key: str) -> bool:
    """Say whether one of these first impressions is a person's of this result."""
    return any(one.author == person.subject and one.body.subject.key == key for one in impressions)


def open_to(person: Person, entries: list[Entry], *, is_sealed: bool) -> list[Entry]:
    """Return what of the entries of a case a person reads: while it is sealed, one's own alone."""
    return [one for one in entries if not is_sealed or one.author == person.subject]

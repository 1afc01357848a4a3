"""What the review store says of all cases of a list, read at once."""

from collections.abc import Sequence
from pathlib import Path

from medconsist.review.access import Person
from medconsist.review.entries import Entry, newest
from medconsist.review.records import Verdict
from medconsist.review.store import ReviewStore
from medconsist.viewing.worklist import Reviews
from medconsist.viewing.worklist_sites import sites_of

__all__ = ["reviews_of"]


def reviews_of(
    store: ReviewStore | None, person: Person, studies: Sequence[str], *, root: Path
) -> tuple[Reviews, tuple[str, ...]]:
    """Return verdicts, locks and sites of all cases of some studies, and what could not be read.

    One's own are the cases that one reads, and those of which one drafted, signed or amended a
    verdict, also where somebody else has amended it since.

    Parameters
    ----------
    store
        None where nothing is filed.
    person
        Who looks, and may look at each of the studies.
    studies
        Their names.
    root
        Folder of all studies.

    Raises
    ------
    AccessError
        The person may not look at one of them.
    StorageError
        The store cannot be read.
    """
    sites, problems = sites_of(root, studies)
    if store is None:
        return Reviews(sites=sites), problems
    filed = store.verdicts_of(person, studies)
    readers = {
        (study, case): lock.holder
        for study in studies
        for case, lock in store.reading(person, study).items()
    }
    me = person.subject
    mine = {place for place, found in filed.items() if me in [one.author for one in found]}
    reviews = Reviews(
        verdicts={place: _verdicts(found) for place, found in filed.items()},
        readers=readers,
        mine=mine | {place for place, holder in readers.items() if holder == me},
        sites=sites,
    )
    return reviews, problems


def _verdicts(found: Sequence[Entry]) -> list[Verdict]:
    counting = found if len(found) == 1 else newest(found)  # one of ten thousand cases
    return [one.body for one in counting if isinstance(one.body, Verdict)]

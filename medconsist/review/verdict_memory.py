"""Verdicts of all cases in memory: a list of ten thousand reads what is new, not all again."""

import threading
from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import Connection

from medconsist.review.access import Person
from medconsist.review.entries import Entry, verdicts_from
from medconsist.review.records import Verdict
from medconsist.review.steps import open_to

__all__ = ["VerdictMemory"]

Place = tuple[str, str]


@dataclass
class _Known:
    """What was read: study to place to verdicts, where drafts are, and the last one."""

    studies: dict[str, dict[Place, tuple[Entry, ...]]] = field(default_factory=dict)
    drafted: set[Place] = field(default_factory=set)
    last_seq: int = 0
    last: Entry | None = None
    count: int = 0

    def add(self, seq: int, entry: Entry) -> None:
        subject = entry.body.subject
        place = (subject.study, subject.case)
        cases = self.studies.setdefault(subject.study, {})
        cases[place] = (*cases.get(place, ()), entry)
        if isinstance(entry.body, Verdict) and entry.body.state == "draft":
            self.drafted.add(place)
        self.last_seq, self.last = seq, entry
        self.count += 1


class VerdictMemory:
    """The verdicts of a database, each read once: rows of it are only ever added.

    Each call is one query for what was filed since the last one. The last verdict that is known is
    asked for again, and where another one is in its place (the database was restored) all are read
    anew. A verdict takes about 4 kB.

    Examples
    --------
    >>> len(VerdictMemory())
    0
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._known = _Known()

    def __len__(self) -> int:
        """Return how many verdicts are in memory."""
        return self._known.count

    def open_to(
        self, connection: Connection, person: Person, studies: Collection[str]
    ) -> dict[Place, tuple[Entry, ...]]:
        """Return study and case to its verdicts in order of filing, without drafts of others.

        Whether the person may look at the studies is asked before.
        """
        with self._turn:
            known = self._read(connection)
            found = {
                place: entries
                for study in studies
                for place, entries in known.studies.get(study, {}).items()
            }
            drafted = known.drafted & found.keys()
        for place in drafted:
            entries = tuple(open_to(person, found[place], may_file=True))
            if entries:
                found[place] = entries
            else:
                del found[place]
        return found

    def _read(self, connection: Connection) -> _Known:
        known = self._known
        news = verdicts_from(connection, known.last_seq)
        if known.last is not None:
            if not news or news[0] != (known.last_seq, known.last):
                known = self._known = _Known()
                news = verdicts_from(connection, 0)
            else:
                del news[0]
        for seq, entry in news:
            known.add(seq, entry)
        return known

"""What all parts of the review panel share: whose it is, what it is about, and how it files."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import streamlit as st

from medconsist.errors import AccessError, MedconsistError
from medconsist.results.cases import finished_results
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore
from medconsist.review.access import Person
from medconsist.review.entries import Entry, newest
from medconsist.review.locks import LOCK_SECONDS, ReadingLock
from medconsist.review.records import Subject
from medconsist.review.store import Filing, ReviewStore
from medconsist.viewing.markup import markdown
from medconsist.viewing.review_form import file_seen
from medconsist.viewing.review_standing import (
    Leave,
    Screen,
    Standing,
    leave_of,
    standing_of,
    why_not_file,
)
from medconsist.viewing.sealing import open_to
from medconsist.viewing.source_identity import SourceReport, case_conflicts, source_report
from medconsist.viewing.web.server import Opened
from screens.sitting import Sitting

__all__ = ["Panel", "draw_said", "say_no"]

PROBLEM, SAID = "review problem", "review said"
EXTEND_S = LOCK_SECONDS * 2 / 3


@st.cache_data(max_entries=500, ttl=600, show_spinner=False)
def source_said(
    _store: ResultStore,
    named: tuple[str, ...],
    _results: tuple[Result, ...],
    _patients: Callable[[], Collection[str]],
    *,
    names: bool,
) -> SourceReport:
    """Return what the source files of a result say of its patient; they are read for it.

    Parameters
    ----------
    _store, _results
        The result on the screen, then all of its case.
    named
        Folder of results and sha256 of each of them: the name in the cache.
    _patients
        All patients of the study.
    names
        Whether what a file says is repeated.
    """
    del named
    result, *others = _results
    return source_report(_store, result, others=others, patients=_patients, names=names)


@dataclass(frozen=True)
class Panel:
    """The review of the result on the screen by the person before it."""

    sitting: Sitting
    opened: Opened

    @property
    def store(self) -> ReviewStore:
        """The review store; a page without one draws no panel that asks for it."""
        store = self.sitting.server.store
        if store is None:
            raise AccessError(self.sitting.server.look_only_because)
        return store

    @property
    def person(self) -> Person:
        """Who reads."""
        return self.opened.person

    @property
    def subject(self) -> Subject:
        """The bytes on the screen."""
        return self.opened.subject

    @property
    def results(self) -> ResultStore:
        """The results of the study."""
        return ResultStore(self.sitting.server.settings.results, self.subject.study)

    def name(self, what: str) -> str:
        """Return the name of a widget: of this result alone, so that no text moves to another."""
        return f"{what} {self.subject.content_sha256[:16]}"

    def thread(self, kind: str) -> list[Entry]:
        """Return the entries of the case that this person reads, replaced ones too."""
        found = self.store.thread(self.person, self.subject.study, self.subject.case, kind)
        return open_to(self.person, found, is_sealed=self.opened.is_sealed)

    def counting(self, kind: str) -> list[Entry]:
        """Return the entries of the case that no other stands in the place of."""
        return newest(self.thread(kind))

    @cached_property
    def standing(self) -> Standing:
        """How far the review is."""
        return standing_of(self.thread("verdict"), self.person, self.subject)

    @cached_property
    def screen(self) -> Screen:
        """What is known of the result on the screen."""
        current = self.results.current(self.subject.case) == self.subject.key
        first: dict[str, bool] = st.session_state.setdefault("was_current", {})
        return Screen(
            role=self.opened.role,
            look_only=self.sitting.server.look_only_because,
            conflicts=tuple(self.conflicts),
            is_current=current,
            was_current=first.setdefault(self.subject.content_sha256, current),
            lock=self.lock,
            sign_in_again=self.sitting.why_not_sign(),
        )

    @cached_property
    def conflicts(self) -> list[str]:
        """What speaks against the identity of the result."""
        try:
            others = case_conflicts(self.opened.result, self.of_case)
            return [*others, *self.source.conflicts]
        except MedconsistError as error:
            return [f"it could not be checked: {error}"]

    @cached_property
    def source(self) -> SourceReport:
        """What the source files say of whose result it is.

        Raises
        ------
        MedconsistError
            The results of the case or the list of the study cannot be read.
        """
        store, every = self.results, (self.opened.result, *self.of_case)
        named = (str(store.root), self.subject.study, *(one.content_sha256 for one in every))
        return source_said(store, named, every, self.patients, names=self.opened.may("identity"))

    @cached_property
    def of_case(self) -> tuple[Result, ...]:
        """All results of the case that can be read."""
        return tuple(finished_results(self.results, self.subject.case))

    def patients(self) -> set[str]:
        """Return the patients of all cases of the study."""
        lines = self.sitting.server.index.lines([self.subject.study])
        return {line.patient for line in lines if line.patient is not None}

    @cached_property
    def lock(self) -> ReadingLock | None:
        """Who reads the case, None for nobody."""
        if self.sitting.server.store is None:
            return None
        return self.store.reading(self.person, self.subject.study).get(self.subject.case)

    @cached_property
    def leave(self) -> Leave:
        """What the person may do, or why not."""
        return leave_of(self.screen, self.standing, self.person)

    @property
    def holds_lock(self) -> bool:
        """Whether this window reads the case."""
        here = (self.person.subject, self.person.session)
        return self.lock is not None and (self.lock.holder, self.lock.session) == here

    def anew(self) -> "Panel":
        """Return the panel without what it has looked up."""
        return Panel(self.sitting, self.opened)

    def use(self) -> None:
        """Count a press as use of the sitting; refuse one that comes after its end."""
        sittings = self.sitting.server.sittings
        if sittings.is_over(self.person.session):
            msg = "this sitting has ended, and nothing was filed; begin anew."
            raise AccessError(msg)
        sittings.touch(self.person.session)

    def begin(self) -> bool:
        """Take the lock on the case, or hold it for longer; say whether it is held now."""
        try:
            self.use()
            lock = self.store.take_lock(self.person, self.subject.study, self.subject.case)
        except MedconsistError as error:
            st.session_state[PROBLEM] = str(error)
            return False
        st.session_state["lock"] = lock
        return True

    def hold(self) -> None:
        """Take the lock where it is free, as a reader begins to write."""
        self.begin()

    def stay(self) -> None:
        """Hold a lock that is held for longer before it runs out; one that ran out is not taken."""
        if self.holds_lock and self.lock is not None:
            left = datetime.fromisoformat(self.lock.expires) - datetime.now(UTC)
            if left < timedelta(seconds=EXTEND_S):
                self.begin()

    def file(self, make: Callable[[], Filing | None], words: str) -> bool:
        """File what ``make`` returns; say whether it is filed, and keep a sentence for the screen.

        The lock is not taken again before: where it ran out the store refuses, the reader looks
        whether the case is as it was, and the next press files it.
        """
        st.session_state.pop(PROBLEM, None)
        st.session_state.pop(SAID, None)
        try:
            self.use()
            filing = make()
            if filing is None:
                words = "Nothing has changed since your last draft."
            else:
                self.put(filing)
        except MedconsistError as error:
            if self.opened.may("comment") and not self.anew().holds_lock:
                self.begin()
            st.session_state[PROBLEM] = str(error)
            return False
        st.session_state[SAID] = words
        return True

    def put(self, *filings: Filing) -> None:
        """File what the rules allow now, about the very bytes on the screen."""
        now = self.anew()
        for filing in filings:
            now.refuse(filing)
        results = self.sitting.server.settings.results
        was_current = self.screen.was_current
        for filing in filings:
            file_seen(self.store, results, self.person, filing, as_current=was_current)

    def refuse(self, filing: Filing) -> None:
        """Refuse what no button offers: the store knows neither sign-ins nor source files."""
        reason = why_not_file(filing.body, self.screen, self.standing, self.person)
        if reason:
            raise AccessError(reason)


def draw_said(_panel: Panel) -> None:
    """Draw the sentence that the last press left, once."""
    if problem := st.session_state.pop(PROBLEM, ""):
        st.error(markdown(problem, limit=800))
    if said := st.session_state.pop(SAID, ""):
        st.success(markdown(said))


def say_no(words: str) -> None:
    """Say why something cannot be done."""
    st.caption(markdown(words, limit=600))

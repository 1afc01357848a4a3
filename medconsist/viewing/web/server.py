"""One process of the viewer: its settings, results, review store and tickets.

The page and the routes run in one process and share this object, so that a ticket which the page
hands out is one that the routes know, and a right that is taken away is gone for both.
"""

import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from medconsist.errors import AccessError
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore, StoredResult, studies
from medconsist.review.access import EVERY_STUDY, RIGHTS, Person, Right, Role, account
from medconsist.review.database import Database, sqlite_url
from medconsist.review.records import Subject
from medconsist.review.store import ReviewStore
from medconsist.viewing.sealing import SEALED_WORDS, SealedResult, must_wait, sealed
from medconsist.viewing.signal_words import without_other_patients
from medconsist.viewing.trust_panel import TrustPanel, sealed_trust_panel
from medconsist.viewing.trust_panel_site import SitePanels
from medconsist.viewing.web.desk import Desk
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.web.sittings import Sittings
from medconsist.viewing.web.tickets import Purpose, Ticket, TicketOffice
from medconsist.viewing.worklist_index import CaseIndex

__all__ = ["Opened", "Server", "local_person", "server", "subject_of"]

logger = logging.getLogger(__name__)

_LOOK_ONLY: Role = "viewer"  # of everybody where there is no review store


@dataclass(frozen=True)
class Opened:
    """A result that a person may look at, and what its widgets need to ask for its pixels.

    Parameters
    ----------
    stored
        The result, its seal verified.
    person, role
        Who looks at it, and as what in its study.
    ticket
        Goes with each request to a route, ``?t=``.

    Examples
    --------
    >>> [field for field in Opened.__dataclass_fields__]
    ['stored', 'person', 'role', 'ticket']
    """

    stored: StoredResult
    person: Person
    role: Role
    ticket: str

    @property
    def result(self) -> Result:
        """What is stored."""
        return self.stored.result

    @property
    def is_sealed(self) -> bool:
        """Whether a first impression comes first, so that the model's part is not in it."""
        return isinstance(self.stored, SealedResult)

    @property
    def subject(self) -> Subject:
        """What a verdict on the very bytes that are shown is about."""
        return subject_of(self.result)

    @property
    def api(self) -> str:
        """The address below which the routes of this result lie."""
        result = self.result
        return f"/api/{result.study}/{result.case}/{result.key}"

    def may(self, right: Right) -> bool:
        """Say whether the role has a right."""
        return right in RIGHTS[self.role]


class Server:
    """What the page and the routes of one process share.

    Parameters
    ----------
    settings
        What it was started with.

    Raises
    ------
    MedconsistError
        The review store cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> settings = ViewerSettings(results=Path(tempfile.mkdtemp()), database="none")
    >>> Server(settings).studies(Person(subject="u1", name="A. Reader", session="s1"))
    ()
    """

    def __init__(self, settings: ViewerSettings) -> None:
        self.settings = settings
        self.office = TicketOffice()
        self.sittings = Sittings()
        self.store = _opened_store(settings)
        self.index = CaseIndex(settings.results)
        self._panels = SitePanels(settings.results)
        self.desk = Desk(settings.results, self.office, may=self._may, wrote=self._wrote)

    @property
    def look_only_because(self) -> str:
        """Why nothing can be filed; empty where it can."""
        if self.store is not None:
            return ""
        return "No review store: nothing is filed and no view is written down."

    def role(self, person: Person, study: str) -> Role | None:
        """Return a person's role in a study, None for who may not see it."""
        return _LOOK_ONLY if self.store is None else self.store.role(person, study)

    def studies(self, person: Person) -> tuple[str, ...]:
        """Return the studies with finished cases that a person may see, in order of name."""
        names = studies(self.settings.results)
        if self.store is None:
            return tuple(names)
        seen = self.store.visible(person)
        return tuple(name for name in names if name in seen or EVERY_STUDY in seen)

    def opened(
        self, person: Person, study: str, case: str, key: str | None = None, *, purpose: Purpose
    ) -> Opened:
        """Return a result for a person who may look at it, with a ticket for its routes.

        Where a first impression comes first and the person has filed none, the result is sealed:
        its model's part is not in it, and the ticket is for the original; there is none for what
        may show who the patient is.

        Parameters
        ----------
        person
            Who asks.
        study, case, key
            Which result; no key is the current one.
        purpose
            What the ticket is for.

        Raises
        ------
        AccessError
            The person may not; the sentence does not say whether there is such a study.
        MissingInputError, CorruptResultError
            There is no such result, or it is not as it was written.
        """
        role = self.role(person, study)
        if role is None or _right_for(purpose) not in RIGHTS[role]:
            msg = "there is no such case here, or you may not look at it."
            raise AccessError(msg)
        stored = self._without_others(
            person, ResultStore(self.settings.results, study).read(case, key)
        )
        if self._waits(person, study, case, stored.result.key):
            if purpose == "identity":
                raise AccessError(SEALED_WORDS)
            stored, purpose = sealed(stored), "sealed"
        ticket = Ticket(
            subject=person.subject,
            session=person.session,
            study=study,
            case=case,
            key=stored.result.key,
            purpose=purpose,
        )
        return Opened(stored, person, role, self.office.sign(ticket))

    def panel(self, opened: Opened) -> TrustPanel:
        """Return what the measurement says of a result that is open, and which alarms it raises.

        Of a sealed result it is what tells of the recorded data alone.
        """
        shown = opened.result
        if not opened.is_sealed:
            return self._panels.panel(shown)
        whole = ResultStore(self.settings.results, shown.study).read(shown.case, shown.key)
        return sealed_trust_panel(whole.result)

    def _without_others(self, person: Person, stored: StoredResult) -> StoredResult:
        """Return a result without the ids of training patients, which may be of another study."""
        if not stored.result.kind.startswith("timeseries."):
            return stored
        seen = self.studies(person)
        result = without_other_patients(
            stored.result,
            studies=studies(self.settings.results),
            may_see=lambda study: study in seen,
        )
        return replace(stored, result=result)

    def _may(self, ticket: Ticket) -> bool:
        """Say whether the holder of a ticket still has the right that it names, and sits there."""
        if self.sittings.is_over(ticket.session):
            return False
        self.sittings.touch(ticket.session)
        person = _holder(ticket)
        role = self.role(person, ticket.study)
        if role is None or _right_for(ticket.purpose) not in RIGHTS[role]:
            return False
        at = (ticket.study, ticket.case, ticket.key)
        return ticket.purpose == "sealed" or not self._waits(person, *at)

    def _wrote(self, ticket: Ticket, result: Result, what: str) -> None:
        """Write down a look at what may show who the patient is."""
        if self.store is None:
            msg = "without a review store nobody may see who the patient is."
            raise AccessError(msg)
        self.store.viewed(_holder(ticket), subject_of(result), what=what, right="identity")

    def _waits(self, person: Person, study: str, case: str, key: str) -> bool:
        """Say whether a result is sealed to a person."""
        if self.store is None or self.settings.impressions != "first":
            return False
        return must_wait(self.store, person, study, case, key)


def server(settings: ViewerSettings | None = None) -> Server:
    """Return the server of these settings, the same one for the page and the routes.

    Parameters
    ----------
    settings
        None reads the environment.
    """
    return _server(ViewerSettings.of_environment() if settings is None else settings)


@lru_cache(maxsize=4)
def _server(settings: ViewerSettings) -> Server:
    return Server(settings)


def local_person(session: str) -> Person:
    """Return the account that this process runs as, which is who sits at the machine.

    Parameters
    ----------
    session
        One sitting.
    """
    subject, name = account()
    return Person(subject=subject, name=name, session=session)


def subject_of(result: Result) -> Subject:
    """Return what a verdict on this result is about."""
    return Subject(
        study=result.study,
        case=result.case,
        key=result.key,
        content_sha256=result.content_sha256,
        patient=result.patient,
        item=result.item,
        model_sha256=None if result.model is None else result.model.sha256,
    )


def _right_for(purpose: Purpose) -> Right:
    return "identity" if purpose == "identity" else "view"


def _holder(ticket: Ticket) -> Person:
    return Person(subject=ticket.subject, name=ticket.subject, session=ticket.session)


def _opened_store(settings: ViewerSettings) -> ReviewStore | None:
    """Return the review store, made where it is a file that is not there yet.

    Who starts a viewer for the own machine owns the file that it makes, and may sign in it. In a
    store that was there before, and in one on a server, an administrator grants roles.
    """
    named = settings.review_url
    if named is None:
        return None
    if "://" in named:
        return ReviewStore(Database(named, create=False))
    is_new = not Path(named).exists()
    store = ReviewStore(Database(sqlite_url(Path(named))))
    if is_new and settings.provider is None:
        store.grant(None, local_person("start").subject, EVERY_STUDY, "signer")
    return store

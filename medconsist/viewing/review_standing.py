"""How far the review of a result is, and what a person may do about it now, or why not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from medconsist.review.access import RIGHTS, Person, Role
from medconsist.review.entries import Entry, newest
from medconsist.review.locks import ReadingLock
from medconsist.review.records import Body, Subject, Verdict

__all__ = ["Leave", "Screen", "Standing", "leave_of", "standing_of", "state_words"]
__all__ += ["why_not_file"]


@dataclass(frozen=True)
class Standing:
    """The verdicts on one result.

    Parameters
    ----------
    draft
        The person's own, None where there is none.
    signed
        Signatures and amendments that count, of everybody.
    has_signed
        Whether the person has signed it, be it amended since.
    elsewhere
        Verdicts that count on other results of the case.

    Examples
    --------
    >>> Standing(None, (), False, ()).signed
    ()
    """

    draft: Entry | None
    signed: tuple[Entry, ...]
    has_signed: bool
    elsewhere: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Screen:
    """What is known of a result on the screen, for `leave_of`.

    Parameters
    ----------
    role
        Of the person in the study.
    look_only
        Why nothing can be filed at all; empty where it can.
    conflicts
        What speaks against its identity.
    is_current
        Whether the results folder shows this one now.
    was_current
        Whether it did when it was opened.
    lock
        Who reads the case; None for nobody.
    sign_in_again
        Why the person must sign in again before a signature; empty where not so.

    Examples
    --------
    >>> Screen(role="reader").is_replaced
    False
    """

    role: Role
    look_only: str = ""
    conflicts: tuple[str, ...] = ()
    is_current: bool = True
    was_current: bool = True
    lock: ReadingLock | None = None
    sign_in_again: str = ""

    @property
    def is_replaced(self) -> bool:
        """Whether another result took its place while it was read."""
        return self.was_current and not self.is_current


@dataclass(frozen=True)
class Leave:
    """Why a person may not do something; an empty text is leave to do it.

    Parameters
    ----------
    comment
        File comments and shapes.
    verdict
        File drafts and first impressions.
    sign
        Sign.
    amend
        Amend a signature.

    Examples
    --------
    >>> Leave("", "", "Only a signer signs.", "").sign
    'Only a signer signs.'
    """

    comment: str
    verdict: str
    sign: str
    amend: str


def standing_of(thread: Sequence[Entry], person: Person, subject: Subject) -> Standing:
    """Return how far the review of a result is.

    Parameters
    ----------
    thread
        Verdicts of its case, as `ReviewStore.thread` gives them.
    person
        Whose draft counts.
    subject
        The result.
    """
    here = [one for one in thread if one.body.subject.key == subject.key]
    signatures = [one for one in here if _state(one) != "draft"]
    counting = newest(thread)
    own = [one for one in counting if one in here and _state(one) == "draft"]
    return Standing(
        draft=next((one for one in reversed(own) if one.author == person.subject), None),
        signed=tuple(one for one in counting if one in signatures),
        has_signed=any(one.author == person.subject for one in signatures),
        elsewhere=tuple(one for one in counting if one not in here),
    )


def state_words(standing: Standing) -> tuple[str, ...]:
    """Return the state of a review in some words.

    Examples
    --------
    >>> state_words(Standing(None, (), False, ()))
    ('not reviewed',)
    """
    words = [
        f"{'amended' if _state(one) == 'amended' else 'signed'} by {one.author}"
        for one in standing.signed
    ]
    if standing.draft is not None:
        words.append("your draft, not signed")
    return tuple(words) or ("not reviewed",)


def leave_of(screen: Screen, standing: Standing, person: Person) -> Leave:
    """Return what a person may do about a result on the screen."""
    comment = screen.look_only or _without(screen, "comment") or _replaced(screen)
    verdict = comment or _mismatch(screen) or _older(screen) or _taken(screen.lock, person)
    if not verdict and standing.has_signed:
        verdict = "You have signed this result; amend that, with a reason."
    signer = screen.look_only or _without(screen, "sign") or _replaced(screen)
    signer = signer or _mismatch(screen)
    sign = signer or _older(screen) or _taken(screen.lock, person) or screen.sign_in_again
    if not sign and standing.has_signed:
        sign = verdict
    amend = signer or _taken(screen.lock, person) or screen.sign_in_again
    if not amend and not standing.signed:
        amend = "Nothing is signed that could be amended."
    return Leave(comment, verdict, sign, amend)


def why_not_file(body: Body, screen: Screen, standing: Standing, person: Person) -> str:
    """Return why a person may not file this, empty where not so.

    A button that is off is a courtesy of the page; what is filed is asked here. A form that is sent
    a second time is no second signature: the store knows it by its id.
    """
    leave = leave_of(screen, replace(standing, has_signed=False), person)
    if isinstance(body, Verdict) and body.state != "draft":
        return leave.amend if body.state == "amended" else leave.sign
    return leave.verdict if isinstance(body, Verdict) else leave.comment


def _state(entry: Entry) -> str:
    return entry.body.state if isinstance(entry.body, Verdict) else ""


def _without(screen: Screen, right: str) -> str:
    if right in RIGHTS[screen.role]:
        return ""
    what = "signs" if right == "sign" else "files comments and drafts"
    allowed = " or ".join(name for name, rights in RIGHTS.items() if right in rights)
    return f"You are {screen.role} in this study; who {what} is {allowed}."


def _replaced(screen: Screen) -> str:
    if not screen.is_replaced:
        return ""
    return "Another result took the place of this one while you read it; nothing of it is filed."


def _older(screen: Screen) -> str:
    if screen.is_current:
        return ""
    return "This is an older result of the case. A verdict is filed on the current one."


def _mismatch(screen: Screen) -> str:
    if not screen.conflicts:
        return ""
    return f"Identity is in doubt, and nobody signs: {'; '.join(screen.conflicts)}."


def _taken(lock: ReadingLock | None, person: Person) -> str:
    if lock is None or (lock.holder, lock.session) == (person.subject, person.session):
        return ""
    who = "you in another window" if lock.holder == person.subject else lock.holder
    return f"The case is being read by {who}, at most until {lock.expires[11:16]} UTC."

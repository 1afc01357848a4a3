"""What may follow what, and who may read it: the rules of filing."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from medconsist.errors import AccessError, ConflictError, RefusedInputError
from medconsist.review.access import Person
from medconsist.review.entries import Entry, entries_of, entry_by_id
from medconsist.review.locks import require_lock
from medconsist.review.records import (
    Annotation,
    Body,
    Comment,
    Impression,
    Subject,
    Verdict,
    kind_of,
)

__all__ = ["open_to", "refuse_disorder", "refuse_replaced"]


def open_to(person: Person, found: Sequence[Entry], *, may_file: bool) -> list[Entry]:
    """Return the entries that a person may read.

    Drafts are their author's alone, and first impressions of a result are sealed for who may file
    one and has not.
    """
    own = {one.body.subject.key for one in found if one.author == person.subject}

    def is_open(one: Entry) -> bool:
        if one.author == person.subject:
            return True
        if isinstance(one.body, Impression):
            return not may_file or one.body.subject.key in own
        return not (isinstance(one.body, Verdict) and one.body.state == "draft")

    return [one for one in found if is_open(one)]


def refuse_replaced(subject: Subject, *, seen: str, stored: str) -> None:
    """Refuse what is about another result than the one that was on the screen and still is there.

    Raises
    ------
    ConflictError
        It was replaced.
    """
    if not subject.content_sha256 == seen == stored:
        msg = (
            f"the result of case {subject.case} is not the one that was on the screen (sha256 "
            f"{seen[:12]}, now {stored[:12]}); nothing was filed. Open it again and read it."
        )
        raise ConflictError(msg)


def refuse_disorder(
    connection: Connection,
    person: Person,
    body: Body,
    *,
    supersedes: str | None,
    now: datetime,
) -> None:
    """Refuse a step that is out of order, of somebody else, or in the place of another item's.

    Raises
    ------
    AccessError
        The entry in whose place it would stand is another's.
    ConflictError
        The lock ran out, there is one already, or two windows show two items.
    RefusedInputError
        The steps are out of order.
    """
    old = None if supersedes is None else entry_by_id(connection, supersedes)
    if old is not None and old.body.subject.study != body.subject.study:
        old = None  # nobody learns whose it is; `write` says that there is none
    if isinstance(body, Impression):
        _refuse_second_impression(connection, person, body.subject, supersedes)
    if isinstance(body, Verdict):
        require_lock(connection, person, body.subject.study, body.subject.case, now=now)
        _refuse_other_name(person, body)
        _refuse_wrong_step(body, None if old is None else old.body)
        if body.state == "signed":
            _refuse_second_signature(connection, person, body.subject)
    if old is not None:
        _refuse_other_place(person, body, old)
    if isinstance(body, Comment | Annotation) and old is None and _is_empty(body):
        msg = f"an empty {kind_of(body)} withdraws one, and none is named; write something."
        raise RefusedInputError(msg)


def _is_empty(body: Comment | Annotation) -> bool:
    return not body.text.strip() if isinstance(body, Comment) else body.geometry is None


def _refuse_second_impression(
    connection: Connection, person: Person, subject: Subject, supersedes: str | None
) -> None:
    if supersedes is not None:
        msg = "a first impression stands in the place of nothing, and is never changed."
        raise RefusedInputError(msg)
    for one in entries_of(connection, subject.study, subject.case, "impression"):
        if one.author == person.subject and one.body.subject.key == subject.key:
            msg = f"your first impression of case {subject.case} is filed, and there is one first."
            raise ConflictError(msg)


def _refuse_second_signature(connection: Connection, person: Person, subject: Subject) -> None:
    """Let nobody unsay a signature by a second one that gives no reason."""
    for one in entries_of(connection, subject.study, subject.case, "verdict"):
        is_signed = isinstance(one.body, Verdict) and one.body.state != "draft"
        is_own = one.author == person.subject and one.body.subject.key == subject.key
        if is_signed and is_own:
            msg = f"you have signed this result of case {subject.case}; amend that, with a reason."
            raise ConflictError(msg)


def _refuse_other_name(person: Person, body: Verdict) -> None:
    if body.printed_name not in (None, person.name):
        msg = (
            f"the signature prints {body.printed_name!r}, and who signs is {person.name!r}; log in "
            "as the person who signs."
        )
        raise AccessError(msg)


def _refuse_other_place(person: Person, body: Body, old: Entry) -> None:
    """Keep an entry to its own result: the same item, and for an amendment the same key."""
    is_amendment = isinstance(body, Verdict) and body.state == "amended"
    if old.author != person.subject and not is_amendment:
        msg = f"this {kind_of(body)} is {old.author}'s; file one of your own."
        raise AccessError(msg)
    new, was = body.subject, old.body.subject
    is_same = (new.patient, new.item) == (was.patient, was.item)
    if new.case == was.case and not (is_same and (new.key == was.key or not is_amendment)):
        msg = (
            f"{kind_of(body)} {old.id} is of another result of case {new.case}; it stays as it is. "
            "Open the case again, and file one of this result."
        )
        raise ConflictError(msg)


def _refuse_wrong_step(body: Verdict, old: Body | None) -> None:
    """Let drafts and signatures follow nothing or a draft, amendments a signature."""
    state = old.state if isinstance(old, Verdict) else None
    allowed = {
        "draft": (None, "draft"),
        "signed": (None, "draft"),
        "amended": ("signed", "amended"),
    }
    if state not in allowed[body.state]:
        msg = (
            f"a verdict that is {body.state} cannot follow {state or 'nothing'}; what is signed is "
            "amended, with a reason, and stays readable."
        )
        raise RefusedInputError(msg)

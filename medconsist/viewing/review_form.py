"""What the form of a reader becomes when it is filed.

The id of an entry is derived from who files what in which place, never drawn at random: the same
form that is sent again, by a rerun, a second press or a browser whose server was killed meanwhile,
has the same id, and the store files it once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import make_record
from medconsist.errors import RefusedInputError
from medconsist.results.store import ResultStore
from medconsist.review.access import Person
from medconsist.review.entries import Entry
from medconsist.review.records import (
    Annotation,
    Comment,
    Impression,
    Opinion,
    Pin,
    Subject,
    Verdict,
)
from medconsist.review.store import Filing, ReviewStore

__all__ = ["MEANINGS", "Form", "Signing", "comment_of", "draft_of", "file_seen", "form_of"]
__all__ += ["impression_of", "moved_of", "shape_of", "signature_of", "stored_now", "withdrawal_of"]

MEANINGS: dict[str, str] = {
    "review": "review: I have looked at this result",
    "approval": "approval: I agree with its use in this study",
    "responsibility": "responsibility: I answer for this decision",
    "authorship": "authorship: I made this assessment",
}
"""Meaning of a signature to what is shown of it."""

_ID_DIGITS = 40


@dataclass(frozen=True)
class Form:
    """What a reader chose and wrote.

    Parameters
    ----------
    opinion
        None where nothing is chosen yet.
    reasons, comment
        Codes, and free text.

    Examples
    --------
    >>> Form(Opinion.REPEAT, ("motion",)).comment
    ''
    """

    opinion: Opinion | None
    reasons: tuple[str, ...] = ()
    comment: str = ""

    @property
    def decided(self) -> Opinion:
        """What was chosen.

        Raises
        ------
        RefusedInputError
            Nothing was.
        """
        if self.opinion is None:
            msg = f"nothing is decided yet; choose {', '.join(one.value for one in Opinion)}."
            raise RefusedInputError(msg)
        return self.opinion


@dataclass(frozen=True, kw_only=True)
class Signing:
    """What a signature adds to a form.

    Parameters
    ----------
    meaning
        One of `MEANINGS`.
    supersedes
        The draft that it follows, or the signature that it amends; None for neither.
    because
        Why a signature is amended; None for a first one.

    Examples
    --------
    >>> Signing(meaning="review").because is None
    True
    """

    meaning: str
    supersedes: str | None = None
    because: str | None = None


def form_of(entry: Entry | None) -> Form:
    """Return the form that a verdict was made of, an empty one for none."""
    if entry is None or not isinstance(entry.body, Verdict):
        return Form(None)
    return Form(entry.body.opinion, entry.body.reasons, entry.body.comment)


def impression_of(form: Form, subject: Subject, person: Person) -> Filing:
    """Return the first impression to file.

    Raises
    ------
    RefusedInputError
        Nothing was decided, or the text is too long.
    """
    body = make_record(Impression, subject=subject, opinion=form.decided, comment=form.comment)
    return Filing(body=body, entry=_id(person, subject, "impression"))


def draft_of(
    form: Form, subject: Subject, person: Person, *, supersedes: Entry | None
) -> Filing | None:
    """Return the draft to file; None where the newest one says the same.

    Raises
    ------
    RefusedInputError
        As `impression_of`.
    """
    body = _verdict(form, subject, state="draft")
    if supersedes is not None and supersedes.body == body:
        return None
    after = None if supersedes is None else supersedes.id
    return Filing(body=body, entry=_id(person, subject, "draft", after), supersedes=after)


def signature_of(form: Form, subject: Subject, person: Person, signing: Signing) -> Filing:
    """Return the signature, or the amendment where a reason is given, to file.

    Raises
    ------
    RefusedInputError
        Nothing was decided, a decision other than to accept has neither reason nor comment, or an
        amendment does not say why.
    """
    state = "signed" if signing.because is None else "amended"
    body = _verdict(
        form,
        subject,
        state=state,
        printed_name=person.name,
        meaning=signing.meaning,
        amended_because=signing.because,
    )
    # one signature of a person for a result, one amendment in the place of each
    place = signing.supersedes if state == "amended" else None
    entry = _id(person, subject, state, place)
    return Filing(body=body, entry=entry, supersedes=signing.supersedes)


def comment_of(
    text: str, subject: Subject, person: Person, *, pin: Pin | None, thread: Sequence[Entry]
) -> Filing:
    """Return the comment to file; the same words at the same place are one, until withdrawn.

    Parameters
    ----------
    text, pin
        What, and where; None for the whole.
    subject, person
        About what, and whose.
    thread
        Comments of the case, withdrawn ones too.

    Raises
    ------
    RefusedInputError
        The text is empty or too long.
    """
    if not text.strip():
        msg = "the comment is empty; write something."
        raise RefusedInputError(msg)
    body = make_record(Comment, subject=subject, text=text, pin=pin)
    again = _times_withdrawn(body, person, thread)
    where = None if pin is None else pin.model_dump(mode="json")
    return Filing(body=body, entry=_id(person, subject, "comment", [text, where, again]))


def shape_of(body: Annotation, person: Person, *, thread: Sequence[Entry]) -> Filing:
    """Return the annotation to file; the same shape with the same label is one, until withdrawn."""
    again = _times_withdrawn(body, person, thread)
    said = [body.geometry, body.label, body.plane, again]
    return Filing(body=body, entry=_id(person, body.subject, "annotation", said))


def moved_of(old: Entry, body: Annotation, person: Person) -> Filing:
    """Return the annotation to file in the place of one of one's own."""
    entry = _id(person, body.subject, "moved", [old.id, body.geometry, body.label, body.plane])
    return Filing(body=body, entry=entry, supersedes=old.id)


def withdrawal_of(old: Entry, subject: Subject, person: Person) -> Filing:
    """Return what withdraws a comment or an annotation of one's own.

    Raises
    ------
    RefusedInputError
        It is neither.
    """
    body: Comment | Annotation
    if isinstance(old.body, Comment):
        body = make_record(Comment, subject=subject, text="", pin=old.body.pin)
    elif isinstance(old.body, Annotation):
        label, plane = old.body.label, old.body.plane
        body = make_record(Annotation, subject=subject, geometry=None, label=label, plane=plane)
    else:
        msg = "a first impression and a verdict stay; a verdict is amended."
        raise RefusedInputError(msg)
    entry = _id(person, subject, "withdrawn", old.id)
    return Filing(body=body, entry=entry, supersedes=old.id)


def stored_now(results: Path, subject: Subject, *, as_current: bool) -> str:
    """Return the sha256 of what the results folder holds now, read again.

    Parameters
    ----------
    results
        The results folder.
    subject
        What is on the screen.
    as_current
        Whether it was opened as the current result of its case: then the current one counts, and
        another one is a replacement. An older one was opened on purpose, and is read by its key.

    Raises
    ------
    MissingInputError, CorruptResultError
        It is gone, or not as it was written.
    """
    key = None if as_current else subject.key
    return ResultStore(results, subject.study).read(subject.case, key).result.content_sha256


def file_seen(
    store: ReviewStore, results: Path, person: Person, filing: Filing, *, as_current: bool
) -> Entry:
    """File what is about the result on the screen, if it is still the one that is stored.

    See `ReviewStore.file` and `stored_now` for what is refused.
    """
    subject = filing.body.subject
    stored = stored_now(results, subject, as_current=as_current)
    return store.file(person, filing, seen=subject.content_sha256, stored=stored)


def _verdict(form: Form, subject: Subject, **more: str | None) -> Verdict:
    return make_record(
        Verdict,
        subject=subject,
        opinion=form.decided,
        reasons=form.reasons,
        comment=form.comment,
        **more,
    )


def _times_withdrawn(body: Comment | Annotation, person: Person, thread: Sequence[Entry]) -> int:
    """Return how many equal ones of a person were withdrawn: filed again, it is another one."""
    replaced = {one.supersedes for one in thread}
    return sum(
        one.body == body and one.author == person.subject and one.id in replaced for one in thread
    )


def _id(person: Person, subject: Subject, what: str, place: object = None) -> str:
    said = [person.subject, subject.model_dump(mode="json"), what, place]
    return sha256_of_bytes(canonical_json(said))[:_ID_DIGITS]

"""Outlines on a slide: what readers filed, as the screen draws it, and what one draws, to be filed.

What a browser sends is judged like the file of a stranger, by `read_annotations`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from medconsist._digests import canonical_json
from medconsist.errors import RefusedInputError
from medconsist.review.access import Person
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation, Comment, Subject
from medconsist.review.store import Filing
from medconsist.viewing.leaving.annotations import Canvas, read_annotations
from medconsist.viewing.markup import readable

__all__ = ["drawn_filing", "of_slide", "pins_of", "shapes_of", "withdrawal"]

LONGEST_LABEL = 200
_CLASS = 80  # letters of a label on the slide; the list has all


def of_slide(entries: Sequence[Entry], subject: Subject) -> list[Entry]:
    """Return the outlines that lie on the slide of a result, whichever result they were drawn on.

    Parameters
    ----------
    entries
        Annotations of the case, which may have several slides.
    subject
        The result on the screen.
    """
    return [
        one
        for one in entries
        if isinstance(one.body, Annotation)
        and one.body.geometry is not None
        and one.body.plane is None
        and one.body.subject.item == subject.item
    ]


def shapes_of(
    entries: Sequence[Entry], *, person: Person, subject: Subject
) -> list[dict[str, Any]]:
    """Return outlines as JSON takes them: ``id label author created geometry mine here``.

    Parameters
    ----------
    entries
        Annotations of the case that count.
    person
        Who looks: ``mine`` says which may be withdrawn.
    subject
        The result on the screen: ``here`` says which were drawn on that very result.
    """
    return [
        {
            "id": one.id,
            "label": readable(one.body.label, limit=_CLASS),
            "author": readable(one.author, limit=_CLASS),
            "created": one.created,
            "geometry": one.body.geometry,
            "mine": one.author == person.subject,
            "here": one.body.subject.content_sha256 == subject.content_sha256,
        }
        for one in of_slide(entries, subject)
        if isinstance(one.body, Annotation)
    ]


def pins_of(entries: Sequence[Entry], subject: Subject) -> list[dict[str, Any]]:
    """Return the comments that are pinned to a place of the slide: ``at text author``.

    Parameters
    ----------
    entries
        Comments of the case that count.
    subject
        The result on the screen.
    """
    return [
        {
            "at": list(one.body.pin.at),
            "text": readable(one.body.text, limit=_CLASS),
            "author": readable(one.author, limit=_CLASS),
        }
        for one in entries
        if isinstance(one.body, Comment)
        and one.body.text.strip()
        and one.body.pin is not None
        and one.body.pin.space == "slide"
        and one.body.subject.item == subject.item
    ]


def drawn_filing(
    sent: Mapping[str, Any], *, entry: str, subject: Subject, canvas: Canvas
) -> Filing:
    """Return what files an outline that a reader drew.

    Parameters
    ----------
    sent
        ``geometry`` and ``label``, as the widget gives them.
    entry
        Id of the new entry; sent twice it is there once.
    subject
        The result on the screen.
    canvas
        The slide.

    Raises
    ------
    RefusedInputError
        No geometry, or a label that is too long.
    CorruptInputError, UnsupportedInputError, BudgetError
        The outline crosses itself, leaves the slide, or is no polygon.
    """
    label, geometry = sent.get("label", ""), sent.get("geometry")
    if not isinstance(label, str) or len(label) > LONGEST_LABEL or "\0" in label:
        msg = f"the label of an outline has at most {LONGEST_LABEL} letters and no NUL."
        raise RefusedInputError(msg)
    if not isinstance(geometry, Mapping):
        msg = f"an outline needs a geometry, got {type(geometry).__name__}."
        raise RefusedInputError(msg)
    properties = {"classification": {"name": label.strip()}} if label.strip() else {}
    feature = {"type": "Feature", "geometry": dict(geometry), "properties": properties}
    data = canonical_json(feature)
    body = read_annotations(data, name="the outline", subject=subject, canvas=canvas)[0]
    return Filing(body=body, entry=entry)


def withdrawal(
    entries: Sequence[Entry], of: str, *, entry: str, person: Person, subject: Subject
) -> Filing:
    """Return what withdraws an outline of one's own.

    Parameters
    ----------
    entries
        Annotations of the case that count.
    of
        Id of the outline.
    entry
        Id of the new entry.
    person, subject
        Who withdraws it, looking at what.

    Raises
    ------
    RefusedInputError
        There is no such outline of this person on this slide.
    """
    for one in of_slide(entries, subject):
        if one.id == of and one.author == person.subject and isinstance(one.body, Annotation):
            body = Annotation(subject=subject, geometry=None, label=one.body.label)
            return Filing(body=body, entry=entry, supersedes=of)
    msg = "there is no such outline of yours on this slide; it may be withdrawn already."
    raise RefusedInputError(msg)

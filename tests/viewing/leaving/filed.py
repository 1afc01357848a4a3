"""Entries of readers, as the store gives them."""

from typing import Any

from medconsist.results.schema import Result
from medconsist.review.chain import Head
from medconsist.review.entries import Entry
from medconsist.review.records import (
    Annotation,
    Body,
    Comment,
    Impression,
    Opinion,
    Subject,
    Verdict,
)

WHEN = "2026-01-31T09:30:00.000000Z"
LINK = Head(41, "5" * 64)


def subject_of(result: Result) -> Subject:
    """The result as it was on the screen."""
    return Subject(
        study=result.study,
        case=result.case,
        key=result.key,
        content_sha256=result.content_sha256,
        patient=result.patient,
    )


def plain_subject(study: str = "wsi", case: str = "slide-1") -> Subject:
    """A result that no file holds."""
    return Subject(study=study, case=case, key="0" * 64, content_sha256="1" * 64)


def entry(body: Body, name: str, *, after: str | None = None, created: str = WHEN) -> Entry:
    """An entry of the reader anna."""
    return Entry(id=name, created=created, author="anna", supersedes=after, body=body)


def draft(subject: Subject, **changes: Any) -> Verdict:
    """A draft that accepts."""
    fields = {"state": "draft", "opinion": Opinion.ACCEPT}
    return Verdict.model_validate({"subject": subject} | fields | changes)


def signed(subject: Subject, **changes: Any) -> Verdict:
    """A signature that accepts."""
    fields = {"state": "signed", "printed_name": "A. Reader", "meaning": "review"}
    return draft(subject, **(fields | changes))


def amended(subject: Subject, **changes: Any) -> Verdict:
    """A signature in place of another."""
    because = {"state": "amended", "amended_because": "seen again", "comment": "a shadow"}
    return signed(subject, **({"opinion": Opinion.NOTE} | because | changes))


def comment(subject: Subject, text: str, **changes: Any) -> Comment:
    """A sentence about a result."""
    return Comment.model_validate({"subject": subject, "text": text} | changes)


def impression(subject: Subject) -> Impression:
    """A first impression that rejects."""
    return Impression(subject=subject, opinion=Opinion.REJECT, comment="too noisy")


def shape(subject: Subject, ring: list[list[float]], **changes: Any) -> Annotation:
    """A polygon."""
    geometry = {"type": "Polygon", "coordinates": [ring]}
    fields = {"subject": subject, "geometry": geometry, "label": "Tumor"}
    return Annotation.model_validate(fields | changes)

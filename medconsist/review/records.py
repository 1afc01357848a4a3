"""What a reader files about a result: first impression, verdict, comment, annotation."""

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from medconsist._digests import plain_json
from medconsist._ids import safe_id
from medconsist._records import Record, read_record

__all__ = ["KINDS", "Annotation", "Body", "Comment", "Impression", "Opinion", "Pin", "Subject"]
__all__ += ["Verdict", "body_of"]

_Id = Annotated[str, AfterValidator(safe_id)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _without_nul(text: str) -> str:
    if "\0" in text:
        msg = "text holds a NUL, which PostgreSQL does not store"
        raise ValueError(msg)
    return text


def _said(text: str) -> str:
    if not text.strip():
        msg = "there must be more than blanks"
        raise ValueError(msg)
    return _without_nul(text)


_Text = Annotated[str, Field(max_length=10_000), AfterValidator(_without_nul)]
_Said = AfterValidator(_said)
_COORDINATES = {"voxel": 3, "slide": 2, "time": 2}


class Opinion(StrEnum):
    """What a reader decides about a result."""

    ACCEPT = "accept"
    NOTE = "accept with note"
    REJECT = "reject"
    REPEAT = "repeat"


class Subject(Record):
    """The exact result that was on the screen.

    Parameters
    ----------
    study, case, key
        Where it lies.
    content_sha256
        Of its ``result.json``, which covers every array: this number is what a signature binds.
    patient, item
        As the result names them; None where it does not.
    model_sha256
        Of the weights; None for a method without.

    Examples
    --------
    >>> Subject(study="mri", case="head", key="0" * 64, content_sha256="1" * 64).patient is None
    True
    """

    study: _Id
    case: _Id
    key: _Sha256
    content_sha256: _Sha256
    patient: _Id | None = None
    item: _Id | None = None
    model_sha256: _Sha256 | None = None


class Pin(Record):
    """A place on a result.

    Parameters
    ----------
    space, at
        ``"voxel"``: slice, row, column from 0; ``"slide"``: x, y in level-0 pixels; ``"time"``:
        first and last second.
    lead
        Name of the channel of a time; None for all.

    Examples
    --------
    >>> Pin(space="voxel", at=(3.0, 20.0, 31.5)).lead is None
    True
    """

    space: Literal["voxel", "slide", "time"]
    at: tuple[float, ...]
    lead: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _fits(self) -> "Pin":
        wanted = _COORDINATES[self.space]
        if len(self.at) != wanted:
            msg = f"a pin in {self.space} has {wanted} numbers, got {len(self.at)}"
            raise ValueError(msg)
        return self


class _OfSubject(Record):
    subject: Subject


class Impression(_OfSubject):
    """What a reader thought before the model's part was shown; never changed.

    Parameters
    ----------
    subject
        What was read.
    opinion, comment
        The first impression.

    Examples
    --------
    >>> Impression.model_fields["opinion"].is_required()
    True
    """

    opinion: Opinion
    comment: _Text = ""


class Verdict(_OfSubject):
    """A draft, what was signed, or what took its place.

    Parameters
    ----------
    subject
        What was on the screen.
    state
        ``"draft"``, ``"signed"`` or ``"amended"``: signed again, with a reason, in place of an
        earlier signature that stays readable.
    opinion, reasons, comment
        The decision; reason codes of the site; free text.
    printed_name, meaning
        Of the person who signs, and what the signature means; None in a draft.
    amended_because
        Why a signed verdict was replaced; None otherwise.

    Examples
    --------
    >>> sorted(set(Verdict.model_fields) - set(Impression.model_fields))
    ['amended_because', 'meaning', 'printed_name', 'reasons', 'state']
    """

    state: Literal["draft", "signed", "amended"]
    opinion: Opinion
    reasons: tuple[Annotated[str, Field(max_length=64), _Said], ...] = ()
    comment: _Text = ""
    printed_name: Annotated[str, Field(max_length=200), _Said] | None = None
    meaning: Literal["review", "approval", "responsibility", "authorship"] | None = None
    amended_because: Annotated[str, Field(max_length=1_000), _Said] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "Verdict":
        is_signed = self.state != "draft"
        if is_signed != (self.printed_name is not None and self.meaning is not None):
            msg = "a signature has a printed name and a meaning, a draft has neither"
            raise ValueError(msg)
        if (self.state == "amended") != (self.amended_because is not None):
            msg = "an amended verdict says why, and no other does"
            raise ValueError(msg)
        if self.opinion in (Opinion.NOTE, Opinion.REJECT, Opinion.REPEAT) and is_signed:
            _refuse_silence(self)
        return self


def _refuse_silence(verdict: Verdict) -> None:
    if not (verdict.comment.strip() or verdict.reasons):
        msg = f"{verdict.opinion.value!r} needs a reason or a comment before it is signed"
        raise ValueError(msg)


class Comment(_OfSubject):
    """A sentence about a place, or about the whole; one without text withdraws what it follows.

    Parameters
    ----------
    subject
        What it is about.
    text
        Empty to withdraw.
    pin
        Where; None for the whole.

    Examples
    --------
    >>> Comment.model_fields["pin"].is_required()
    False
    """

    text: _Text
    pin: Pin | None = None


class Annotation(_OfSubject):
    """A shape that a reader drew; one without geometry withdraws what it follows.

    Parameters
    ----------
    subject
        What it lies on.
    geometry
        GeoJSON geometry, in level-0 pixels of a slide, or column and row of slice ``plane``; of an
        event on a recording ``type`` is ``"Event"``, with number, seconds and lead; None to
        withdraw.
    label
        Class of what is marked.
    plane
        Slice from 0; None on a slide or recording.

    Examples
    --------
    >>> Annotation.model_fields["label"].is_required()
    True
    """

    geometry: dict[str, JsonValue] | None
    label: Annotated[str, Field(max_length=200)]
    plane: Annotated[int, Field(ge=0)] | None = None

    @field_validator("geometry", mode="before")
    @classmethod
    def _is_json(cls, value: object) -> object:
        try:
            return None if value is None else plain_json(value, "geometry")
        except RecursionError as error:
            msg = "a geometry has some levels of lists, not hundreds"
            raise ValueError(msg) from error


Body = Impression | Verdict | Comment | Annotation

KINDS: dict[str, type[Impression | Verdict | Comment | Annotation]] = {
    "impression": Impression,
    "verdict": Verdict,
    "comment": Comment,
    "annotation": Annotation,
}
"""Name of a kind of entry to its class."""


def body_of(kind: str, text: str) -> Body:
    """Return what an entry of this kind holds.

    Raises
    ------
    RefusedInputError
        Nothing of this kind.
    """
    return read_record(KINDS[kind], text, source=f"a {kind} of the review store")


def kind_of(body: Body) -> str:
    """Return the name of the kind."""
    return next(name for name, one in KINDS.items() if type(body) is one)


def plain(body: Body) -> dict[str, Any]:
    """Return the content as plain JSON values."""
    values: dict[str, Any] = json.loads(body.model_dump_json())
    return values

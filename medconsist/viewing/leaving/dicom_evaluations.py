"""The words of a structured report: decision, signature, impressions, comments with places."""

from collections.abc import Mapping, Sequence
from typing import Any

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.chain import Head
from medconsist.review.entries import Entry
from medconsist.review.records import Comment, Impression, Subject, Verdict
from medconsist.viewing.leaving.dicom_heading import algorithm, algorithm_words
from medconsist.viewing.leaving.dicom_place import point_of
from medconsist.viewing.leaving.dicom_source import Source
from medconsist.viewing.leaving.dicom_words import coded, unlimited
from medconsist.viewing.leaving.verdict_line import pin_words, time_words, verdict_of
from medconsist.viewing.markup import NOTICE

__all__ = ["about", "comments", "decision", "impressions", "signatures"]

_STATES = {"draft": "Draft, not signed.", "signed": "Signed.", "amended": "Signed, amended."}
_UNKNOWN = "Orientation of the image in the patient: unknown. Left and right are not told."
_AS_SIGNED = "Comments that were filed after the signature are no part of this document."


def decision(verdict: Verdict) -> list[Any]:
    """Return opinion, reasons and comment."""
    rows = [("state", _STATES[verdict.state]), ("decision", verdict.opinion.value)]
    rows += [("reason", reason) for reason in verdict.reasons]
    rows += [("comment_of_the_verdict", verdict.comment)] if verdict.comment.strip() else []
    return [_text(name, value) for name, value in rows]


def signatures(line: Sequence[Entry], links: Mapping[str, Head]) -> list[Any]:
    """Return the signature, and those that it stands in the place of, the newest first.

    Raises
    ------
    RefusedInputError
        The link of one is not given.
    """
    signed = [one for one in line if verdict_of(one).state != "draft"]
    words = [_signature_words(one, links) for one in reversed(signed)]
    if verdict_of(line[-1]).state == "draft":
        earlier = [_text("earlier_signature", one) for one in words]
        return [_text("signature", "None: this is a draft."), *earlier]
    replaced = [_text("replaced_signature", one) for one in words[1:]]
    return [_text("signature", words[0]), *replaced, _text("as_signed", _AS_SIGNED)]


def impressions(filed: Sequence[Entry], result: Result) -> list[Any]:
    """Return the first impressions."""
    said = [(one, one.body) for one in filed if isinstance(one.body, Impression)]
    return [
        _by(entry, coded("first_impression"), f"{_opinion(body)}{_about(body.subject, result)}")
        for entry, body in said
    ]


def comments(filed: Sequence[Entry], result: Result, source: Source) -> list[Any]:
    """Return the comments, each with its place, without those that were withdrawn."""
    said = [(one, one.body) for one in filed if isinstance(one.body, Comment) and one.body.text]
    return [_comment(entry, body, result, source) for entry, body in said]


def about(result: Result, source: Source) -> list[Any]:
    """Return the notes of the task, what is unknown, and what this may be used for."""
    notes = [_text("note", note) for note in result.notes if note.strip()]
    if source.is_volume and not source.has_orientation:
        notes.append(_text("orientation", _UNKNOWN))
    whose = f"study {result.study}, case {result.case}, item {result.item or 'unknown'}"
    rows = {
        "identity": f"{whose}, patient {result.patient or 'unknown'}",
        "algorithm": "\n".join([*algorithm(result), *algorithm_words(result)]),
        "use": NOTICE,
    }
    return [*notes, *(_text(name, value) for name, value in rows.items())]


def _signature_words(entry: Entry, links: Mapping[str, Head]) -> str:
    if entry.id not in links:
        msg = f"the link of the audit chain of verdict {entry.id} is not given; read it with "
        msg += "medconsist.review.chain.links_of."
        raise RefusedInputError(msg)
    said = verdict_of(entry)
    rows = {
        "Amended because": said.amended_because,
        "Decision": said.opinion.value,
        "Reasons": ", ".join(said.reasons),
        "Comment": said.comment,
        "Signed by": said.printed_name,
        "Account": entry.author,
        "Date and time": time_words(entry.created),
        "Meaning": said.meaning,
        "sha256 of what was signed": said.subject.content_sha256,
        "Link of the audit chain": f"number {links[entry.id].seq}, hash {links[entry.id].hash}",
    }
    # one row stays one row: no name passes for the next
    return "\n".join(f"{name}: {_row(value)}" for name, value in rows.items() if value)


def _row(value: str) -> str:
    return " ".join(value.splitlines())


def _opinion(body: Impression) -> str:
    return f"{body.opinion.value}\n{body.comment}".rstrip("\n")


def _about(subject: Subject, result: Result) -> str:
    if subject.content_sha256 == result.content_sha256:
        return ""
    return f" (of another result of the case, sha256 {subject.content_sha256[:12]})"


def _text(name: str, value: str) -> Any:  # noqa: ANN401  a class of highdicom
    return _item(coded(name), value, "CONTAINS")


def _item(concept: Any, value: str, relationship: str) -> Any:  # noqa: ANN401
    return require("highdicom.sr", extra="dicom").TextContentItem(
        name=concept, value=unlimited(value), relationship_type=relationship
    )


def _by(entry: Entry, concept: Any, value: str) -> Any:  # noqa: ANN401  classes of highdicom
    """Return text with its author and time as its own context of observation."""
    words = _item(concept, value, "CONTAINS")
    rows = {_concepts().PersonObserverLoginName: entry.author}
    rows |= {coded("filed"): time_words(entry.created)}
    words.ContentSequence = require("highdicom.sr", extra="dicom").ContentSequence(
        [_item(about, said, "HAS OBS CONTEXT") for about, said in rows.items()]
    )
    return words


def _comment(entry: Entry, body: Comment, result: Result, source: Source) -> Any:  # noqa: ANN401
    place = f"{pin_words(body.pin)}{_about(body.subject, result)}"
    words = _by(entry, _concepts().Comment, f"{place}:\n{body.text}")
    is_here = body.subject.content_sha256 == result.content_sha256
    if is_here and (point := point_of(body.pin, source)) is not None:
        words.ContentSequence.append(point)
    return words


def _concepts() -> Any:  # noqa: ANN401  the codes of DICOM itself
    return require("pydicom.sr.codedict", extra="dicom").codes.DCM

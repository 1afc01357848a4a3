"""The sections of a report, in the words of the screen."""

from collections.abc import Mapping, Sequence

from medconsist.errors import RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.chain import Head
from medconsist.review.entries import Entry
from medconsist.review.records import Comment, Impression, Subject, Verdict
from medconsist.viewing.leaving.paper import Paper, Picture
from medconsist.viewing.leaving.verdict_line import pin_words, time_words, verdict_of
from medconsist.viewing.numbers import metric_tables, number, provenance_rows
from medconsist.viewing.scores import expected_words, score_title, stated_width

__all__ = ["comments", "identity", "impressions", "numbers", "origin", "pictures", "signatures"]
__all__ += ["trust", "verdict"]

_SIGNATURE = 150.0  # points; a signature does not begin at the foot of a page


def identity(paper: Paper, result: Result) -> None:
    """Set whose it is, as the result says."""
    paper.heading("Identity, as the result says")
    names = {"Patient": result.patient, "Case": result.case, "Item": result.item}
    for name, value in (names | {"Study": result.study}).items():
        paper.row(name, value or "unknown: the result does not say")


def verdict(paper: Paper, said: Verdict) -> None:
    """Set the decision."""
    paper.heading("Verdict")
    paper.row("Decision", said.opinion.value)
    paper.row("Reasons", ", ".join(said.reasons))
    paper.row("Comment", said.comment)


def signatures(paper: Paper, signed: Sequence[Entry], links: Mapping[str, Head]) -> None:
    """Set the signature, and below it those that it stands in the place of, the newest first.

    Raises
    ------
    RefusedInputError
        The link of one is not given.
    """
    if not signed:
        paper.heading("Signature")
        paper.text("None: this is a draft.")
    for place, entry in enumerate(reversed(signed)):
        paper.room(_SIGNATURE)
        paper.heading("Signature" if place == 0 else "Replaced: an earlier signature")
        said = verdict_of(entry)
        if place > 0:
            paper.row("Decision", said.opinion.value)
            paper.row("Reasons", ", ".join(said.reasons))
            paper.row("Comment", said.comment)
        _signature(paper, entry, said, links)


def impressions(paper: Paper, filed: Sequence[Entry], result: Result) -> None:
    """Set the first impressions."""
    if filed:
        paper.heading("First impression, before the model's part was shown")
    for entry in filed:
        if isinstance(entry.body, Impression):
            paper.text(f"{_who(entry)}{_about(entry.body.subject, result)}:", is_bold=True)
            paper.row("", f"{entry.body.opinion.value}\n{entry.body.comment}".rstrip("\n"))


def comments(paper: Paper, filed: Sequence[Entry], result: Result) -> None:
    """Set the comments with their places, without those that were withdrawn."""
    said = [(one, one.body) for one in filed if isinstance(one.body, Comment) and one.body.text]
    paper.heading("Comments")
    if not said:
        paper.text("None.")
    for entry, comment in said:
        place = f"{pin_words(comment.pin)}{_about(comment.subject, result)}"
        paper.text(f"{_who(entry)}, {place}:", is_bold=True)
        paper.row("", comment.text)  # set in, so that no text passes for a part of the report


def pictures(paper: Paper, shown: Sequence[Picture], *, why_none: str = "") -> None:
    """Set the pictures of the result, or why there is none."""
    if why_none and not shown:
        paper.heading("Picture")
        paper.text(f"None: {why_none}")
    for place, picture in enumerate(shown):
        paper.picture(picture, title="" if place else "Picture")


def numbers(paper: Paper, result: Result) -> None:
    """Set the reported numbers with what was counted."""
    for title, rows in metric_tables(result.metrics).items():
        paper.heading(title)
        for name, value, interval in rows:
            paper.row(name, f"{value} ({interval})" if interval else value)


def trust(paper: Paper, result: Result) -> None:
    """Set the scores of the trust record: value, expectation, judgement, meaning, validity."""
    paper.heading("Trust record: what measurement can say")
    scores = result.trust.scores
    if not scores:
        paper.text("This result has no scores.")
        return
    if width := stated_width(result.trust.settings):
        paper.text(width)
    last = ""
    for score in scores:
        value = f"{number(score.value, score.unit)}, {expected_words(score)}, n = {score.n}."
        meaning = "" if score.meaning == last else f"\n{score.meaning}"  # the parts of one share it
        paper.row(score_title(score.name), f"{value}\n{score.judgement}{meaning}")
        last = score.meaning
    paper.text(result.trust.validity)


def origin(paper: Paper, result: Result) -> None:
    """Set the notes of the task, and where the result comes from: model card and hashes."""
    paper.heading("Notes")
    for note in result.notes or ("None.",):
        paper.text(note)
    paper.heading("Where the result comes from")
    for name, value in provenance_rows(result):
        paper.row(name, value)


def _signature(paper: Paper, entry: Entry, said: Verdict, links: Mapping[str, Head]) -> None:
    if entry.id not in links:
        msg = f"the link of the audit chain of verdict {entry.id} is not given; read it with "
        msg += "medconsist.review.chain.links_of."
        raise RefusedInputError(msg)
    if said.amended_because is not None:
        paper.row("Amended because", said.amended_because)
    paper.row("Signed by", said.printed_name or "")
    paper.row("Account", entry.author)
    paper.row("Date and time", time_words(entry.created))
    paper.row("Meaning", said.meaning or "")
    paper.row("sha256 of what was signed", said.subject.content_sha256)
    paper.row("Link of the audit chain", f"number {links[entry.id].seq}")
    paper.row("Hash of that link", links[entry.id].hash)


def _who(entry: Entry) -> str:
    return f"{entry.author}, {time_words(entry.created)}"


def _about(subject: Subject, result: Result) -> str:
    if subject.content_sha256 == result.content_sha256:
        return ""
    return f" of another result of the case, sha256 {subject.content_sha256[:12]}"

"""The report of one review as PDF: who, what was on the screen, what was signed, research use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from medconsist.errors import ConflictError, RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.chain import Head
from medconsist.review.entries import Entry
from medconsist.review.records import Verdict
from medconsist.viewing.leaving import sections
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.letters import letters
from medconsist.viewing.leaving.paper import Frame, Paper, Picture
from medconsist.viewing.leaving.verdict_line import line_of, verdict_of
from medconsist.viewing.markup import NOTICE

__all__ = ["Review", "refuse_other_result", "review_pdf"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Review:
    """All that goes into a report.

    Parameters
    ----------
    result
        What was read, verified.
    thread, entry
        Verdicts of the case as `ReviewStore.thread` gives them, and the id of one of them: the
        report is of the newest that stands in its place.
    links
        Id of a verdict to its link of the audit chain, see `medconsist.review.chain.links_of`.
    impressions, comments
        As `ReviewStore.entries` gives them.
    shapes
        Annotations; they are drawn on the picture alone, see `medconsist.viewing.leaving.plate`.
    pictures
        Of the result.
    no_picture
        Why there is none, as a sentence; empty where nobody asked for one.

    Examples
    --------
    >>> Review.__dataclass_params__.frozen
    True
    """

    result: Result
    thread: Sequence[Entry]
    entry: str
    links: Mapping[str, Head]
    impressions: Sequence[Entry] = ()
    comments: Sequence[Entry] = ()
    shapes: Sequence[Entry] = ()
    pictures: Sequence[Picture] = ()
    no_picture: str = ""


def review_pdf(review: Review, *, printed: datetime | None = None) -> Export:
    """Return the report of a signed or amended verdict, or of a draft, which says so on each page.

    The same review gives the same bytes where the same versions and fonts are installed. Text is
    shown as it is, letter by letter; control characters and those without a shape are visible.

    Parameters
    ----------
    review
        What goes into it.
    printed
        When it was printed, with a zone; None leaves it out.

    Raises
    ------
    ConflictError
        The verdict is of another result than the one given.
    RefusedInputError
        There is no such verdict, its link of the chain is not given, a picture shows a what-if, or
        the time has no zone.
    BudgetError
        A picture is too large.
    """
    line = line_of(review.thread, review.entry)
    verdict = verdict_of(line[-1])
    refuse_other_result(verdict, review.result)
    if any(picture.is_what_if for picture in review.pictures):
        msg = "a picture shows what would be if the data were others, and no report holds that. "
        msg += "Switch the what-if off and open the report again."
        raise RefusedInputError(msg)
    if printed is not None and printed.tzinfo is None:
        msg = f"the time of printing {printed} has no zone; give one, e.g. UTC."
        raise RefusedInputError(msg)
    paper = Paper(letters(), _frame(review.result, verdict))
    paper.text("Review report", size=16.0, is_bold=True)
    paper.text(_state(verdict), is_bold=True)
    paper.text(NOTICE, is_bold=True)
    sections.identity(paper, review.result)
    sections.verdict(paper, verdict)
    signed = [one for one in line if verdict_of(one).state != "draft"]
    sections.signatures(paper, signed, review.links)
    sections.impressions(paper, review.impressions, review.result)
    sections.comments(paper, review.comments, review.result)
    sections.pictures(paper, review.pictures, why_none=review.no_picture)
    sections.numbers(paper, review.result)
    sections.trust(paper, review.result)
    sections.origin(paper, review.result)
    _ending(paper, printed)
    suffix = "-draft" if verdict.state == "draft" else ""
    return Export(
        name=f"{review.result.case}-review{suffix}.pdf",
        media_type="application/pdf",
        what="report",
        data=paper.pdf(),
    )


def _state(verdict: Verdict) -> str:
    words = {"draft": "Draft, not signed.", "signed": "Signed.", "amended": "Signed, amended."}
    return words[verdict.state]


def _frame(result: Result, verdict: Verdict) -> Frame:
    names = {
        "Patient": result.patient or "unknown",
        "case": result.case,
        "item": result.item or "unknown",
        "study": result.study,
    }
    is_draft = verdict.state == "draft"
    return Frame(
        title=f"Review report {result.case}{', draft' if is_draft else ''}",
        head=(
            ", ".join(f"{name} {value}" for name, value in names.items()),
            f"{_state(verdict)} sha256 of the result {result.content_sha256}",
        ),
        watermark="DRAFT" if is_draft else "",
    )


def refuse_other_result(verdict: Verdict, result: Result) -> None:
    """Refuse a verdict that is of another result than the one given.

    Raises
    ------
    ConflictError
        It is.
    """
    said = verdict.subject
    signed = (said.study, said.case, said.key, said.content_sha256)
    if signed != (result.study, result.case, result.key, result.content_sha256):
        msg = (
            f"the verdict is of case {said.case}, sha256 {said.content_sha256[:12]}, the result "
            f"given is {result.case}, {result.content_sha256[:12]}. Open the result that was read."
        )
        raise ConflictError(msg)


def _ending(paper: Paper, printed: datetime | None) -> None:
    paper.heading("This report")
    if printed is not None:
        paper.row("Printed", f"{printed.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    paper.row("Font", paper.letters.regular)
    if paper.unknown:
        numbers = ", ".join(f"U+{ord(one):04X}" for one in sorted(paper.unknown)[:200])
        words = "This font has no shape for these letters, which stand as Unicode numbers in square"
        paper.row("Letters", f"{words} brackets: {numbers}.")
    paper.row("Use", NOTICE)

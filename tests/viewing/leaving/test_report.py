"""The report of a review, read back as a PDF program reads it."""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pypdf import PdfReader

from medconsist.errors import BudgetError, ConflictError, RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.access import Person
from medconsist.review.chain import links_of
from medconsist.review.database import Database, sqlite_url
from medconsist.review.records import Pin, Subject
from medconsist.review.store import Filing, ReviewStore
from medconsist.viewing.leaving import paper
from medconsist.viewing.leaving.letters import letters
from medconsist.viewing.leaving.paper import Picture
from medconsist.viewing.leaving.report import Review, review_pdf
from medconsist.viewing.markup import NOTICE
from tests.viewing.leaving.filed import (
    LINK,
    amended,
    comment,
    draft,
    entry,
    impression,
    plain_subject,
    signed,
    subject_of,
)

WriteResult = Callable[..., Result]
SIGNER = Person(subject="anna", name="A. Reader", session="s1")


@pytest.fixture
def result(write_result: WriteResult, tmp_path: Path) -> Result:
    return write_result(tmp_path)


def review_of(result: Result, **changes: Any) -> Review:
    thread = [entry(signed(subject_of(result)), "v1")]
    fields: dict[str, Any] = {"thread": thread, "entry": "v1", "links": {"v1": LINK}}
    return Review(**({"result": result} | fields | changes))


def pages_of(data: bytes) -> list[str]:
    """Text of each page with single blanks; lines that were wrapped are one."""
    return [" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(data)).pages]


def text_of(review: Review, **how: Any) -> str:
    return " ".join(pages_of(review_pdf(review, **how).data))


def squeezed(text: str) -> str:
    """Without blanks: hashes and long words are cut where a line ends."""
    return "".join(text.split())


def test_a_signed_report_has_the_whole_signature_block(result: Result) -> None:
    text = text_of(review_of(result))
    assert "Signed by A. Reader" in text
    assert "Account anna" in text
    assert "2026-01-31 09:30:00 UTC" in text
    assert "Meaning review" in text
    assert "number 41" in text
    assert LINK.hash in squeezed(text)
    assert squeezed(text).count(result.content_sha256) >= 3  # head, signature, provenance
    assert "Patient p-7, case scan-1, item unknown, study brain" in text


def test_the_screen_the_scores_and_the_provenance_are_in_the_report(result: Result) -> None:
    shown = Picture(pixels=np.full((20, 30, 3), 90, np.uint8), caption="Slice 2, window 50/100")
    data = review_pdf(review_of(result, pictures=[shown])).data
    text = " ".join(pages_of(data))
    assert "Slice 2, window 50/100" in text
    assert "1.31 sigma^2, expected 1 sigma^2, n = 392." in text
    assert "Outside the history of this site (p = 0.03, 40 cases)." in text
    assert "No history yet" in text
    assert "Error on withheld" in text  # as the trust panel calls it
    assert "An alarm for coil faults and spikes, no image quality." in text
    assert "p-values are valid under exchangeability only" in text
    assert "Simulated scan, not a patient." in text
    assert "no model: classical method" in text
    assert "ab" * 32 in squeezed(text)
    images = [one.image for page in PdfReader(io.BytesIO(data)).pages for one in page.images]
    assert [image.size for image in images if image is not None] == [(30, 20)]
    assert np.all(np.asarray(images[0]) == 90)


def test_every_page_has_the_notice_its_number_and_whose_it_is(result: Result) -> None:
    talk = [entry(comment(subject_of(result), "word " * 900), f"c{n}") for n in range(4)]
    pages = pages_of(review_pdf(review_of(result, comments=talk)).data)
    assert len(pages) > 3
    for number, page in enumerate(pages, start=1):
        assert NOTICE in page
        assert f"page {number} of {len(pages)}" in page
        assert "Patient p-7, case scan-1" in page


def test_a_draft_says_so_on_every_page_and_has_no_signature(result: Result) -> None:
    talk = [entry(comment(subject_of(result), "word " * 900), f"c{n}") for n in range(2)]
    thread = [entry(draft(subject_of(result)), "v1")]
    left = review_pdf(review_of(result, thread=thread, links={}, comments=talk))
    assert left.name == "scan-1-review-draft.pdf"
    pages = pages_of(left.data)
    assert len(pages) > 1
    assert all("DRAFT" in page and "Draft, not signed." in page for page in pages)
    assert "Signed by" not in " ".join(pages)


def test_an_amended_verdict_shows_what_it_stands_in_the_place_of(result: Result) -> None:
    subject = subject_of(result)
    thread = [
        entry(draft(subject, comment="never signed"), "v0"),
        entry(signed(subject, comment="fine"), "v1", after="v0"),
        entry(amended(subject), "v2", after="v1", created="2026-02-01T10:00:00.000000Z"),
    ]
    links = {"v1": LINK, "v2": type(LINK)(55, "6" * 64)}
    review = review_of(result, thread=thread, links=links)  # asked by the old one
    text = text_of(review)
    assert text.index("Amended because seen again") < text.index("Replaced: an earlier signature")
    assert text.index("number 55") < text.index("number 41")
    assert "Comment fine" in text
    assert "never signed" not in text
    assert "DRAFT" not in text
    assert "Signed, amended." in text


def test_comments_come_with_their_places_and_withdrawn_ones_do_not(result: Result) -> None:
    subject = subject_of(result)
    pin = Pin(space="voxel", at=(3.0, 20.0, 31.5))
    other = Subject.model_validate(subject.model_dump() | {"content_sha256": "9" * 64})
    talk = [
        entry(comment(subject, "a ring here", pin=pin), "c1"),
        entry(comment(subject, ""), "c2", after="c0"),
        entry(comment(other, "seen earlier"), "c3"),
    ]
    first = [entry(impression(subject), "i1")]
    text = text_of(review_of(result, comments=talk, impressions=first))
    assert "UTC, slice 4, row 20, column 31.5 (slices from 1, pixels from 0): a ring here" in text
    assert "of another result of the case, sha256 999999999999" in text
    assert "First impression, before the model's part was shown" in text
    assert "reject too noisy" in text


def test_the_same_review_is_the_same_bytes(result: Result) -> None:
    shown = Picture(pixels=np.arange(240, dtype=np.uint8).reshape(12, 20), caption="Żółć")
    review = review_of(result, pictures=[shown])
    first, second = review_pdf(review), review_pdf(review)
    assert first.data == second.data
    assert first.sha256 == second.sha256
    when = datetime(2026, 2, 1, 8, tzinfo=UTC)
    assert "Printed 2026-02-01 08:00:00 UTC" in text_of(review, printed=when)
    assert "Printed" not in text_of(review)


def test_reports_written_at_once_are_those_written_one_by_one(result: Result) -> None:
    names = ["Жук", "Ψ", "Łódź", "ễ"]
    reviews = [
        review_of(result, thread=[entry(signed(subject_of(result), printed_name=name), "v1")])
        for name in names
    ]
    alone = [review_pdf(review).sha256 for review in reviews]
    with ThreadPoolExecutor(4) as pool:
        assert [left.sha256 for left in pool.map(review_pdf, reviews)] == alone


HOSTILE = [
    "<b>bold</b> & <img src=x> &amp; <font size=99>",
    "</para><script>alert(1)</script>",
    "(unbalanced \\) endobj stream (",
    "%PDF {0} %s $x",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stands_as_it_is(result: Result, text: str) -> None:
    thread = [entry(signed(subject_of(result), comment=text, printed_name=text), "v1")]
    assert text_of(review_of(result, thread=thread)).count(text) == 2


def test_four_kilobytes_without_a_blank_are_cut_into_lines_and_none_is_lost(
    result: Result,
) -> None:
    text = "".join(chr(ord("a") + number % 26) for number in range(4096))
    thread = [entry(signed(subject_of(result), comment=text), "v1")]
    data = review_pdf(review_of(result, thread=thread)).data
    pages = [squeezed(page).split("Patientp-7,case")[0] for page in pages_of(data)]  # no frame
    assert text in "".join(pages)


def test_controls_and_overrides_of_direction_are_visible(result: Result) -> None:
    text = "a\u202eb\x07c\u2066d"
    thread = [entry(signed(subject_of(result), comment=text), "v1")]
    shown = text_of(review_of(result, thread=thread))
    assert not {"\u202e", "\x07", "\u2066"} & set(shown)
    assert letters().printable("a\ufffdb\ufffdc\ufffdd") in shown


@pytest.mark.parametrize("name", ["Zoë Øvergård", "Ирина Петрова", "Ελένη", "Đặng Thị Hà"])
def test_a_name_is_printed_in_its_own_letters_or_as_numbers(result: Result, name: str) -> None:
    thread = [entry(signed(subject_of(result), printed_name=name), "v1")]
    text = text_of(review_of(result, thread=thread))
    assert f"Signed by {letters().printable(name)}" in text


def test_letters_without_a_shape_are_named_at_the_end(result: Result) -> None:
    thread = [entry(signed(subject_of(result), printed_name="王芳"), "v1")]
    text = text_of(review_of(result, thread=thread))
    assert "Signed by [U+738B][U+82B3]" in text
    assert "U+738B, U+82B3." in text


@pytest.mark.parametrize("change", [{"content_sha256": "9" * 64}, {"case": "scan-2"}])
def test_a_verdict_of_another_result_is_refused(result: Result, change: dict[str, str]) -> None:
    other = Subject.model_validate(subject_of(result).model_dump() | change)
    with pytest.raises(ConflictError, match="Open the result that was read"):
        review_pdf(review_of(result, thread=[entry(signed(other), "v1")]))


def refused(result: Result) -> Sequence[tuple[dict[str, Any], dict[str, Any], str]]:
    grey = np.zeros((4, 4), np.uint8)
    what_if = Picture(pixels=grey, caption="", is_what_if=True)
    torn = [entry(amended(subject_of(result)), "v1", after="v0")]
    talk = [entry(comment(subject_of(result), "x"), "v1")]
    return [
        ({"entry": "v9"}, {}, "there is no verdict v9"),
        ({"links": {}}, {}, "link of the audit chain of verdict v1"),
        ({"pictures": [what_if]}, {}, "no report holds that"),
        ({"thread": torn}, {}, "amends v0, which is not given"),
        ({"thread": talk}, {}, "is no verdict but a comment"),
        ({}, {"printed": datetime(2026, 1, 1)}, "has no zone"),
    ]


@pytest.mark.parametrize("number", range(6))
def test_what_no_report_may_hold_is_refused(result: Result, number: int) -> None:
    changes, how, words = refused(result)[number]
    with pytest.raises(RefusedInputError, match=words):
        review_pdf(review_of(result, **changes), **how)


def test_a_picture_that_is_too_large_is_refused(
    result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "MAX_PIXELS", 4)
    shown = Picture(pixels=np.zeros((5, 5), np.uint8), caption="")
    with pytest.raises(BudgetError, match="5 x 5 pixels"):
        review_pdf(review_of(result, pictures=[shown]))


def test_the_link_in_the_report_is_that_of_the_chain(result: Result, tmp_path: Path) -> None:
    with closing(Database(sqlite_url(tmp_path / "review.db"))) as database:
        store = ReviewStore(database)
        store.grant(None, "anna", "brain", "signer")
        store.take_lock(SIGNER, "brain", "scan-1")
        sha = result.content_sha256
        filing = Filing(body=signed(subject_of(result)), entry="v1")
        store.file(SIGNER, filing, seen=sha, stored=sha)
        thread = store.thread(SIGNER, "brain", "scan-1", "verdict")
        with database.reading() as connection:
            links = links_of(connection, [one.id for one in thread])
        left = review_pdf(review_of(result, thread=thread, links=links))
        store.exported(SIGNER, subject_of(result), what=left.what, sha256=left.sha256)
    assert set(links) == {"v1"}
    text = " ".join(pages_of(left.data))
    assert f"number {links['v1'].seq}" in text
    assert links["v1"].hash in squeezed(text)


def test_a_verdict_without_a_patient_says_that_it_is_unknown(
    write_result: WriteResult, tmp_path: Path
) -> None:
    result = write_result(tmp_path, fields={"patient": None})
    text = text_of(review_of(result, thread=[entry(signed(subject_of(result)), "v1")]))
    assert "Patient unknown, case scan-1" in text
    assert "unknown: the result does not say" in text
    assert plain_subject().case not in text

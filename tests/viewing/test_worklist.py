from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from medconsist.errors import RefusedInputError
from medconsist.review.records import Opinion, Subject, Verdict
from medconsist.viewing.case_line import CaseLine, ResultFacts
from medconsist.viewing.worklist import (
    Reviews,
    ReviewState,
    Wanted,
    WorkRow,
    chosen,
    joined,
    next_row,
    page_of,
)
from medconsist.viewing.worklist_index import CaseIndex
from medconsist.viewing.worklist_order import ORDERS, SCORE_ORDERS, arranged
from tests.viewing.worklist_cases import START, finish, many

SHOWN, EARLIER = "1" * 64, "2" * 64


def line_of(
    case: str, *, minutes: float = 0, patient: str | None = "p-7", **facts: Any
) -> CaseLine:
    values: dict[str, Any] = {
        "key": "0" * 64,
        "content_sha256": SHOWN,
        "kind": "mri.reconstruction",
        "patient": patient,
        "item": None,
        "finished": START + timedelta(minutes=minutes),
    }
    current = ResultFacts(**values | facts)
    return CaseLine(case, patient, None, 1, "", study="brain", current=current)


def unreadable(case: str) -> CaseLine:
    return CaseLine(case, None, None, 1, "it is damaged", study="brain", n_unreadable=1)


def rows_of(*lines: CaseLine, **reviews: Any) -> list[WorkRow]:
    return joined(lines, Reviews(**reviews))


def cases(rows: list[WorkRow]) -> list[str]:
    return [row.line.case for row in rows]


def verdict(state: str, *, sha256: str = SHOWN) -> Verdict:
    subject = Subject(study="brain", case="a", key="0" * 64, content_sha256=sha256)
    signed = {} if state == "draft" else {"printed_name": "A. Reader", "meaning": "review"}
    reason = {"amended_because": "a slip"} if state == "amended" else {}
    return Verdict.model_validate(
        {"subject": subject, "state": state, "opinion": Opinion.ACCEPT} | signed | reason
    )


@pytest.mark.parametrize(
    ("verdicts", "state"),
    [
        ([], "unread"),
        ([verdict("draft")], "draft"),
        ([verdict("draft"), verdict("signed")], "signed"),
        ([verdict("signed"), verdict("amended")], "amended"),
        ([verdict("signed", sha256=EARLIER)], "signed before"),
        ([verdict("amended", sha256=EARLIER), verdict("draft")], "draft"),
        ([verdict("draft", sha256=EARLIER)], "unread"),
    ],
)
def test_a_verdict_counts_for_the_bytes_that_it_signed(
    verdicts: list[Verdict], state: ReviewState
) -> None:
    (row,) = rows_of(line_of("a"), verdicts={("brain", "a"): verdicts})
    assert row.review == state


def test_a_signature_of_a_result_that_cannot_be_read_now_is_one_of_before() -> None:
    (row,) = rows_of(unreadable("a"), verdicts={("brain", "a"): [verdict("signed")]})
    assert row.review == "signed before"


def test_what_readers_filed_is_joined_by_study_and_case() -> None:
    place = ("brain", "a")
    lines = [line_of("a"), line_of("b"), replace(line_of("a"), study="heart")]
    rows = rows_of(*lines, readers={place: "u1"}, mine={place}, sites={place: "north"})
    assert [(row.reader, row.is_mine, row.site) for row in rows] == [
        ("u1", True, "north"),
        (None, False, None),
        (None, False, None),
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), "abcd"),
        (Wanted(words="P-1"), "a"),
        (Wanted(words="p-1 wsi"), ""),
        (Wanted(words="NORTH mri"), "a"),
        (Wanted(patient="p-2"), "b"),
        (Wanted(patient="p"), ""),
        (Wanted(kind="wsi.prediction"), "c"),
        (Wanted(study="heart"), ""),
        (Wanted(site="north"), "a"),
        (Wanted(site=""), "bcd"),
        (Wanted(review=("draft", "signed")), "b"),
        (Wanted(readable=False), "d"),
        (Wanted(readable=True), "abc"),
        (Wanted(mine=True), "c"),
        (Wanted(since=START + timedelta(minutes=1)), "bc"),
        (Wanted(until=START + timedelta(minutes=1)), "a"),
    ],
)
def test_a_filter_keeps_what_was_asked_for(wanted: Wanted, found: str) -> None:
    rows = rows_of(
        line_of("a", patient="p-1"),
        line_of("b", patient="p-2", minutes=1),
        line_of("c", patient="p-3", minutes=2, kind="wsi.prediction"),
        unreadable("d"),
        verdicts={("brain", "b"): [verdict("draft")]},
        mine={("brain", "c")},
        sites={("brain", "a"): "North"} if wanted.site is None else {("brain", "a"): "north"},
    )
    assert cases(chosen(rows, wanted)) == list(found)


def test_a_filter_refuses_a_time_without_its_zone() -> None:
    with pytest.raises(RefusedInputError, match="without its zone"):
        Wanted(since=START.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("by", "found"), [("time", "cabd"), ("age", "bacd"), ("site", "cabd"), ("patient", "bcad")]
)
def test_orders_by_time_and_name_put_what_is_unknown_last(by: str, found: str) -> None:
    rows = rows_of(
        unreadable("d"),
        line_of("c", minutes=2, patient="p-2"),
        line_of("b", minutes=0, patient="p-1"),
        line_of("a", minutes=1, patient="p-3"),
        sites={("brain", "c"): "north"},
    )
    assert cases(arranged(rows, by=by)) == list(found)
    assert cases(arranged(rows)) == list("cabd")
    assert by in ORDERS


@pytest.mark.parametrize("by", SCORE_ORDERS)
def test_nothing_is_sorted_by_a_score_unless_a_person_switched_that_on(by: str) -> None:
    with pytest.raises(RefusedInputError, match="unless a person switches that on"):
        arranged(rows_of(line_of("a")), by=by)


def test_scores_have_no_say_in_the_other_orders() -> None:
    good, bad = line_of("a", n_within=3, least_p=0.9), line_of("b", n_outside=3, least_p=0.01)
    for by in ORDERS:
        assert cases(arranged(rows_of(bad, good), by=by)) == ["a", "b"]


def test_no_history_stands_before_within_when_a_person_sorts_by_trust() -> None:
    rows = rows_of(
        unreadable("e"),
        line_of("d", n_within=2, least_p=0.4),
        line_of("c", n_no_history=2),
        line_of("b", n_outside=1, least_p=0.01),
        line_of("a", n_outside=2, least_p=0.04),
    )
    assert cases(arranged(rows, by="trust", by_score=True)) == list("abcde")


def test_a_number_of_the_model_sorts_highest_first_and_without_it_last() -> None:
    name = "probability of tumour"
    rows = rows_of(
        line_of("a"), line_of("b", numbers={name: 0.2}), line_of("c", numbers={name: 0.9})
    )
    assert cases(arranged(rows, by="number", number=name, by_score=True)) == list("cba")


def test_an_unknown_order_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(RefusedInputError, match="Did you mean 'patient'"):
        arranged([], by="patients")


def test_pages_hold_every_row_once_and_say_how_many_cannot_be_read() -> None:
    rows = rows_of(*(line_of(f"c{i}") for i in range(6)), unreadable("z"))
    pages = [page_of(rows, number=n, size=3) for n in (1, 2, 3)]
    assert [row for page in pages for row in page.rows] == rows
    assert {(page.n_pages, page.n_rows, page.n_unreadable) for page in pages} == {(3, 7, 1)}
    assert page_of(rows, number=9, size=3) == pages[2]
    assert page_of([]).rows == ()
    with pytest.raises(RefusedInputError, match="1 or more"):
        page_of(rows, number=0)


def test_the_next_case_follows_the_one_that_was_signed_and_has_left_the_filter() -> None:
    rows = rows_of(
        *(line_of(case) for case in "abcd"),
        verdicts={("brain", "b"): [verdict("signed")], ("brain", "c"): [verdict("signed")]},
    )
    unread = Wanted(review=("unread",))
    found = next_row(rows, unread, after=("brain", "b"), me="u1")
    assert found is not None
    assert found.place == ("brain", "d")
    assert next_row(rows, unread, after=("brain", "d"), me="u1") is None


def test_the_next_case_is_not_one_that_somebody_else_reads() -> None:
    rows = rows_of(
        *(line_of(case) for case in "abc"),
        readers={("brain", "b"): "u2", ("brain", "c"): "u1"},
    )
    found = next_row(rows, Wanted(), after=("brain", "a"), me="u1")
    assert found is not None
    assert found.place == ("brain", "c")


def test_after_a_case_that_is_not_in_the_list_comes_the_first_one() -> None:
    rows = rows_of(line_of("a"), line_of("b"))
    assert next_row(rows, Wanted(), after=("brain", "gone"), me="u1") == rows[0]


def test_the_slide_of_a_case_is_found_by_its_own_name(tmp_path: Path) -> None:
    finish(tmp_path, "case-1", item="slide-A")
    finish(tmp_path, "case-1", item="slide-B", seed=2)
    finish(tmp_path, "case-2", item="slide-C")
    rows = joined(CaseIndex(tmp_path).lines(["brain"]), Reviews())
    assert cases(chosen(rows, Wanted(words="slide-a"))) == ["case-1"]


def test_300_cases_are_paged_latest_first_and_each_comes_next_once(tmp_path: Path) -> None:
    many(tmp_path, 300)
    rows = arranged(joined(CaseIndex(tmp_path).lines(["brain"]), Reviews()))
    finished = [row.line.finished for row in rows]
    assert finished == sorted(finished, key=lambda when: when or START, reverse=True)
    wanted, place, seen = Wanted(words="p-00"), ("brain", "none"), []
    while (row := next_row(rows, wanted, after=place, me="u1")) is not None:
        place = row.place
        seen.append(row)
    assert seen == chosen(rows, wanted)
    assert len(seen) == 39


def test_a_result_knows_its_age() -> None:
    now = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    assert line_of("a").age(now) == timedelta(hours=1)
    assert unreadable("a").age(now) is None

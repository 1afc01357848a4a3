from datetime import UTC, date, datetime

import pytest

from medconsist.viewing.worklist import Wanted
from medconsist.viewing.worklist_ask import REVIEW_STATES, Asked
from medconsist.viewing.worklist_order import ORDERS, SCORE_ORDERS

FULL = Asked(
    words="p-7 <b>",
    study="brain",
    kind="mri.reconstruction",
    site="",
    review=("unread", "signed before"),
    mine=True,
    since=date(2026, 11, 22),
    by="site",
    page=3,
)


@pytest.mark.parametrize("asked", [Asked(), FULL, *(Asked(by=by) for by in ORDERS)])
def test_an_address_gives_back_the_list_that_it_was_made_of(asked: Asked) -> None:
    assert Asked.of_address(asked.address) == asked


def test_the_usual_list_has_an_empty_address() -> None:
    assert Asked().address == {}


@pytest.mark.parametrize("by", SCORE_ORDERS)
def test_no_address_sorts_by_a_score(by: str) -> None:
    switched = Asked(by=by, number="probability of tumour", words="p-7")
    assert switched.by_score
    assert Asked.of_address(switched.address) == Asked(words="p-7")
    assert not Asked.of_address({"sort": by, "number": "x"}).by_score


@pytest.mark.parametrize(
    "address",
    [
        {"sort": "<script>", "page": "-1", "since": "yesterday", "review": "x,y", "mine": "yes"},
        {"page": "99999999999999999999"},
        {"page": "0"},
        {"page": "\N{SUPERSCRIPT TWO}"},
        {"since": "2026-13-01"},
        {"slice": "4", "entry": "a"},
    ],
)
def test_what_no_list_asks_for_is_left_out(address: dict[str, str]) -> None:
    assert Asked.of_address(address) == Asked()


def test_a_name_of_four_kilobytes_is_cut() -> None:
    assert len(Asked.of_address({"words": "a" * 4096}).words) == 200


def test_the_filter_is_that_of_the_list() -> None:
    assert FULL.wanted == Wanted(
        words="p-7 <b>",
        study="brain",
        kind="mri.reconstruction",
        site="",
        review=("unread", "signed before"),
        mine=True,
        since=datetime(2026, 11, 22, tzinfo=UTC),
    )
    assert set(FULL.review) <= set(REVIEW_STATES)

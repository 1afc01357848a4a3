from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from medconsist.results.trust import TrustRecord
from medconsist.viewing.case_line import CaseLine
from medconsist.viewing.worklist import Reviews, WorkRow, joined
from medconsist.viewing.worklist_ask import Asked
from medconsist.viewing.worklist_index import CaseIndex
from medconsist.viewing.worklist_order import ORDERS, SCORE_ORDERS
from medconsist.viewing.worklist_table import (
    ORDER_WORDS,
    age_words,
    columns_of,
    numbers_in,
    row_cells,
    who_words,
)
from tests.viewing.worklist_cases import START, finish, score

LATER = START + timedelta(hours=30)


def row_of(line: CaseLine, **reviews: Any) -> WorkRow:
    (row,) = joined([line], Reviews(**reviews))
    return row


def made(row: WorkRow, asked: Asked | None = None) -> dict[str, Any]:
    return row_cells(row, asked or Asked(), now=LATER, me="u1", root=Path("/data/results"))


def cells(row: WorkRow, asked: Asked) -> dict[str, str]:
    """Return the title of each column to its cell."""
    said = made(row, asked)["cells"]
    return dict(zip([one["title"] for one in columns_of(asked)], said, strict=True))


@pytest.fixture
def scored(tmp_path: Any) -> WorkRow:
    trust = TrustRecord(scores=(score("outside", 0.02), score("within", 0.4)))
    finish(tmp_path, "scan-1", patient="p-7", item="flair", trust=trust)
    (line,) = CaseIndex(tmp_path).lines(["brain"])
    place = ("brain", "scan-1")
    return row_of(line, sites={place: "north"}, readers={place: "https://idp.example|ada"})


def test_a_row_says_who_it_is_its_time_site_review_and_reader(scored: WorkRow) -> None:
    assert cells(scored, Asked()) == {
        "Patient › case › item": "p-7 › scan-1 › flair",
        "Kind": "MR reconstruction",
        "Study": "brain",
        "Finished (UTC)": "2026-11-22 08:30",
        "Ago": "30 h",
        "Site": "north",
        "Review": "unread",
        "Read now by": "ada",
    }


def test_a_score_is_shown_only_in_a_list_that_is_sorted_by_it(scored: WorkRow) -> None:
    assert not any("0.02" in cell or "1.5" in cell for cell in cells(scored, Asked()).values())
    assert cells(scored, Asked(by="trust"))["Trust"] == "1 outside, least p 0.02"
    by_number = Asked(by="number", number="outside score")
    assert cells(scored, by_number)["outside score"] == "1.5"
    assert cells(scored, Asked(by="number", number="other"))["other"] == "unknown"
    assert numbers_in([scored]) == ["outside score", "within score"]


def test_a_case_that_cannot_be_read_says_why_and_nothing_that_is_not_known() -> None:
    problem = "/data/results/brain/scan-1/result.json is damaged"
    row = row_of(CaseLine("scan-1", None, None, 1, problem, study="brain"))
    assert made(row)["problem"] == "brain/scan-1/result.json is damaged"
    said = cells(row, Asked(by="trust"))
    assert said["Patient › case › item"] == "scan-1"
    assert {said[name] for name in ("Kind", "Finished (UTC)", "Ago", "Site", "Trust")} == {
        "unknown"
    }


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a\u202eb", "x" * 4096, "a\x00b", "a\nb", "a\u2066b"]
)
def test_hostile_names_are_one_short_line_of_text(name: str) -> None:
    line = CaseLine("scan-1", name, None, 1, name, study="brain", n_unreadable=1)
    row = row_of(line, readers={("brain", "scan-1"): name}, sites={("brain", "scan-1"): name})
    said = made(row)
    for text in (*said["cells"], said["problem"]):
        assert len(text) <= 400
        assert not set(text) & set("\0\n\u202e\u2066")
    assert said["href"] == "?study=brain&case=scan-1"


def test_the_column_that_sorts_says_which_way() -> None:
    sorts = {
        by: [(one["id"], one["sort"]) for one in columns_of(Asked(by=by)) if one["sort"] != "none"]
        for by in (*ORDERS, *SCORE_ORDERS)
    }
    assert sorts == {
        "time": [("finished", "descending")],
        "age": [("finished", "ascending")],
        "site": [("site", "ascending")],
        "patient": [("case", "ascending")],
        "trust": [("score", "descending")],
        "number": [("score", "descending")],
    }
    assert sorts.keys() == ORDER_WORDS.keys()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 min"), (59, "0 min"), (3599, "59 min"), (3600, "1 h"), (172_800, "2 d")],
)
def test_an_age_has_one_unit(seconds: float, words: str) -> None:
    assert age_words(timedelta(seconds=seconds)) == words


def test_who_reads_is_named_without_the_issuer_and_oneself_is_you() -> None:
    assert who_words("https://idp.example|", "u1") == "https://idp.example|"
    assert who_words("idp|u1", "u1") == "u1"
    assert who_words("u1", "u1") == "you"

"""The table of verdicts: stable, whole, and no formula in it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError
from medconsist.review.entries import Entry
from medconsist.review.records import Body
from medconsist.viewing.leaving.verdicts_csv import COLUMNS, cell, verdicts_csv
from medconsist.viewing.markup import NOTICE
from tests.viewing.leaving.filed import (
    amended,
    comment,
    entry,
    impression,
    plain_subject,
    signed,
)

SUBJECT = plain_subject()
LATER = "2026-02-01T10:00:00.000000Z"


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def thread() -> list[Entry]:
    return [
        entry(impression(SUBJECT), "i1", created="2026-01-30T10:00:00.000000Z"),
        entry(signed(SUBJECT, reasons=("noise", "motion")), "v1"),
        entry(amended(SUBJECT), "v2", after="v1", created=LATER),
    ]


def test_each_entry_is_a_row_in_order_of_time() -> None:
    left = verdicts_csv("wsi", thread())
    rows = rows_of(left.data)
    assert left.name == "wsi-verdicts.csv"
    assert tuple(rows[0]) == COLUMNS
    assert [row["entry"] for row in rows] == ["i1", "v1", "v2"]
    assert [row["state"] for row in rows] == ["", "signed", "amended"]
    assert [row["is_newest"] for row in rows] == ["yes", "no", "yes"]
    assert rows[1]["reasons"] == "noise; motion"
    assert rows[2]["created_utc"] == LATER
    assert rows[2]["amended_because"] == "seen again"
    assert {row["notice"] for row in rows} == {NOTICE}


def test_the_order_of_the_entries_does_not_change_a_byte() -> None:
    assert verdicts_csv("wsi", thread()[::-1]).sha256 == verdicts_csv("wsi", thread()).sha256


def test_no_entries_are_a_table_with_headings_alone() -> None:
    assert verdicts_csv("wsi", []).data.decode() == ",".join(COLUMNS) + "\n"


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "＝1", "\n=1", "\ufeff=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_like_a_formula(text: str) -> None:
    body = signed(SUBJECT, comment=text, printed_name=text, reasons=(text,))
    row = rows_of(verdicts_csv("wsi", [entry(body, "v1")]).data)[0]
    for column in ("comment", "printed_name", "reasons"):
        assert row[column].startswith(("'", "\ufffd"))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200))
def test_any_text_stays_one_cell_without_controls(text: str) -> None:
    shown = cell(text)
    assert not any(ord(one) < 32 and one != "\n" for one in shown)
    assert not shown.lstrip().startswith(("=", "+", "-", "@"))
    rows = rows_of(verdicts_csv("wsi", [entry(signed(SUBJECT, comment=text), "v1")]).data)
    assert [row["comment"] for row in rows] == [shown]


def test_quotes_commas_and_lines_stay_in_their_cell() -> None:
    text = 'said "no", then\nyes; ,,'
    row = rows_of(verdicts_csv("wsi", [entry(signed(SUBJECT, comment=text), "v1")]).data)[0]
    assert row["comment"] == text


@pytest.mark.parametrize(
    "foreign", [comment(SUBJECT, "x"), signed(plain_subject(study="mri"))], ids=["kind", "study"]
)
def test_what_does_not_belong_in_the_table_is_refused(foreign: Body) -> None:
    with pytest.raises(RefusedInputError, match="holds verdicts and first impressions of wsi"):
        verdicts_csv("wsi", [entry(foreign, "v1")])

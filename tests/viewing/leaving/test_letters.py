"""Letters: which have a shape, where lines end, and which way they run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist._extras import require
from medconsist.viewing.leaving.letters import (
    in_visual_order,
    letters,
    registered,
    small_faces,
    wide_faces,
)

HEBREW = "\u05d0\u05d1\u05d2"


def test_a_small_font_writes_numbers_in_place_of_letters_that_it_lacks() -> None:
    small = registered(small_faces())
    assert small.printable("é Ж") == "é [U+0416]"


def test_the_wide_font_has_cyrillic_greek_hebrew_and_arabic() -> None:
    faces = wide_faces()
    assert faces is not None  # matplotlib comes with the development environment
    text = f"Ж Ω {HEBREW} \u0628 ế"
    assert registered(faces).printable(text) == text


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=300))
def test_wrapping_loses_no_letter(text: str) -> None:
    lines = letters().wrapped(text, width=80.0, size=9.0)
    assert "".join(lines) == text


@pytest.mark.parametrize("text", ["w" * 4096, "word " * 800, "a " * 50 + "w" * 500])
def test_no_line_is_wider_than_it_may_be(text: str) -> None:
    font = letters()
    metrics = require("reportlab.pdfbase.pdfmetrics", extra="viewer")
    for line in font.wrapped(text, width=120.0, size=9.0):
        wide = metrics.stringWidth(line.rstrip(), font.regular, 9.0)
        assert wide <= 120.0 + 1e-9  # rounding of sums


@pytest.mark.parametrize(
    ("said", "drawn"),
    [
        ("left alone (1.5)", "left alone (1.5)"),
        (HEBREW, HEBREW[::-1]),
        (f"a {HEBREW} b", f"a {HEBREW[::-1]} b"),
        (f"{HEBREW} 12.5 b", f"12.5 {HEBREW[::-1]} b"),
        (f"{HEBREW} (x)", f"{HEBREW[::-1]} (x)"),
        (f"({HEBREW}) b", f"({HEBREW[::-1]}) b"),
        (f"{HEBREW} ({HEBREW})", f"({HEBREW[::-1]}) {HEBREW[::-1]}"),
        ("\u05d0\u05b8\u05d1", "\u05d1\u05d0\u05b8"),  # a vowel stays on its letter
        ("", ""),
    ],
)
def test_right_to_left_stretches_are_turned_round(said: str, drawn: str) -> None:
    assert in_visual_order(said) == drawn

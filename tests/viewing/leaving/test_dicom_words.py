"""Words as DICOM holds them."""

import pytest

from medconsist.viewing.leaving.dicom_words import (
    coded,
    long_string,
    person_name,
    unit_code,
    unlimited,
)

HOSTILE = [
    "\0",
    "a\x1b$B",
    "\u202e",
    "\ud800",
    "x" * 5000,
    "\\" * 70,
    " ",
    "",
    "\x85\x9f",
    "é" * 64,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_value_is_empty_too_long_or_holds_a_control(text: str) -> None:
    for shown in (long_string(text), person_name(text), coded(text).meaning):
        assert 0 < len(shown) <= 64
        assert "\\" not in shown
        assert all(letter.isprintable() for letter in shown)
    assert unlimited(text).strip()
    assert unlimited(text).encode()


def test_characters_are_counted_and_not_bytes() -> None:
    assert long_string("é" * 64) == "é" * 64


def test_whole_text_of_several_scripts_stays() -> None:
    text = "Łódź\n王芳\nمرحبا \\ ^ ="
    assert unlimited(text) == text.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("unit", "value"),
    [("1", "1"), ("", "1"), ("mm", "mm"), ("sigma^2", "{sigma^2}"), ("a{b}", "{a_b_}")],
)
def test_units_are_codes_of_ucum(unit: str, value: str) -> None:
    assert unit_code(unit).value == value
    assert unit_code(unit).scheme_designator == "UCUM"
    assert unit_code("é\0").value.isascii()

"""Names that become folders cannot leave their folder; a wrong word gets the nearest right one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist._ids import nearest, safe_id
from medconsist.errors import RefusedInputError


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True))
def test_an_allowed_id_stays_below_its_folder(name: str) -> None:
    if name not in {"current", "history.jsonl", "result.json"}:
        assert safe_id(name) == name
    assert "/" not in name
    assert name not in {".", ".."}


@given(st.text().filter(lambda s: re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", s) is None))
def test_any_other_text_is_refused_with_advice(name: str) -> None:
    with pytest.raises(RefusedInputError, match="Use a pseudonym"):
        safe_id(name)


@pytest.mark.parametrize(
    "name", ["../x", "..", ".", "", "a\0", "a\n", "x" * 129, ".x", "current", "ä", "a b", "<b>"]
)
def test_a_hostile_id_is_refused(name: str) -> None:
    with pytest.raises(RefusedInputError, match=r"safe name|uses itself"):
        safe_id(name, what="case id")


def test_a_wrong_word_gets_the_nearest_or_all_allowed_ones() -> None:
    assert nearest("metric", ["seed", "metrics"]) == "Did you mean 'metrics'?"
    assert nearest("zzz", ["b", "a"]) == "Allowed are: a, b."

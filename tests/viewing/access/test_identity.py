"""Who the claims of a token name, and for how long that holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from medconsist.errors import AccessError
from medconsist.viewing.web.identity import SIGN_WITHIN, person_of, signed_in_at, why_again

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CLAIMS = {"iss": "https://id.example", "sub": "42", "name": "A. Reader", "email": "a@b.example"}


def test_a_person_is_issuer_and_sub_and_is_called_by_the_name() -> None:
    person = person_of(CLAIMS, session="s")
    assert person.subject == "https://id.example|42"
    assert person.name == "A. Reader"


def test_the_same_sub_of_another_issuer_is_another_person() -> None:
    other = person_of({**CLAIMS, "iss": "https://other.example"}, session="s")
    assert other.subject != person_of(CLAIMS, session="s").subject


def test_an_address_alone_makes_nobody_a_person() -> None:
    with pytest.raises(AccessError, match="named nobody"):
        person_of({"email": "a@b.example", "name": "A. Reader"}, session="s")


@pytest.mark.parametrize("name", ["A\nB", "A\u202eB", "\x00"])
def test_a_name_that_would_turn_or_break_the_line_is_refused(name: str) -> None:
    with pytest.raises(AccessError, match="no name"):
        person_of({**CLAIMS, "name": name}, session="s")


@pytest.mark.parametrize("claims", [{}, {"iat": "soon"}, {"iat": True}, {"iat": 1e30}])
def test_a_token_without_a_time_says_nothing_of_when(claims: dict[str, Any]) -> None:
    assert signed_in_at(claims) is None
    assert "does not say" in why_again(None, now=NOW, within=SIGN_WITHIN)


def test_the_time_of_the_password_goes_before_the_time_of_the_token() -> None:
    then = NOW - timedelta(hours=2)
    found = signed_in_at({"auth_time": then.timestamp(), "iat": NOW.timestamp()})
    assert found == then
    assert "too long ago" in why_again(found, now=NOW, within=SIGN_WITHIN)


def test_a_sign_in_holds_for_its_time_and_not_longer() -> None:
    assert why_again(NOW - SIGN_WITHIN, now=NOW, within=SIGN_WITHIN) == ""
    assert why_again(NOW - SIGN_WITHIN - timedelta(seconds=1), now=NOW, within=SIGN_WITHIN)


def test_a_time_of_the_future_is_no_time() -> None:
    assert "does not say" in why_again(NOW + timedelta(hours=1), now=NOW, within=SIGN_WITHIN)

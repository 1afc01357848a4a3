"""A ticket says who may have what, for a quarter of an hour, and nothing else does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medconsist.errors import AccessError, RefusedInputError
from medconsist.viewing.web.tickets import Ticket, TicketOffice

TICKET = Ticket(subject="u1", session="s1", study="mri", case="head", key="0" * 64)
OFFICE = TicketOffice(b"k" * 32)
SIGNED = OFFICE.sign(TICKET)  # once: a second later it is another text, and Hypothesis asks twice


def test_a_ticket_says_what_was_put_into_it() -> None:
    assert OFFICE.check(OFFICE.sign(TICKET)) == TICKET


def test_offices_with_one_key_know_each_others_tickets() -> None:
    assert TicketOffice(b"k" * 32).check(OFFICE.sign(TICKET)) == TICKET


def test_a_ticket_of_another_office_is_refused() -> None:
    with pytest.raises(AccessError, match="no ticket of this viewer"):
        OFFICE.check(TicketOffice().sign(TICKET))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_ticket_is_refused(data: st.DataObject) -> None:
    text = SIGNED
    place = data.draw(st.integers(0, len(text) - 2))  # the last letter holds spare bits
    letter = data.draw(st.sampled_from("ABCxyz019-_.").filter(lambda one: one != text[place]))
    with pytest.raises(AccessError, match="no ticket of this viewer"):
        OFFICE.check(text[:place] + letter + text[place + 1 :])


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=300))
def test_no_other_text_is_a_ticket(text: str) -> None:
    with pytest.raises(AccessError, match="no ticket of this viewer"):
        OFFICE.check(text)


def test_a_text_without_end_is_refused_unread() -> None:
    with pytest.raises(AccessError, match="no ticket of this viewer"):
        OFFICE.check(OFFICE.sign(TICKET) * 100)


def test_a_ticket_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    text = OFFICE.sign(TICKET)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + OFFICE.seconds - 2)
    assert OFFICE.check(text) == TICKET
    monkeypatch.setattr(time, "time", lambda: now + OFFICE.seconds + 2)
    with pytest.raises(AccessError, match="has run out"):
        OFFICE.check(text)


@pytest.mark.parametrize("case", ["../x", "<script>", "a\x00b", "x" * 4096, "\u202ecase"])
def test_a_ticket_is_for_a_safe_name(case: str) -> None:
    with pytest.raises(RefusedInputError, match="is not a safe name"):
        Ticket(subject="u1", session="s1", study="mri", case=case, key="0" * 64)


def test_a_short_key_or_no_time_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="allowed: 32 or more"):
        TicketOffice(b"short")
    with pytest.raises(RefusedInputError, match="allowed: 1 or more"):
        TicketOffice(seconds=0)

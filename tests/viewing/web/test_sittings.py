"""A sitting that nobody uses ends, and its tickets with it."""

from pathlib import Path
from typing import Any

import pytest

from medconsist.errors import AccessError
from medconsist.review.access import Person
from medconsist.viewing.web.desk import Named
from medconsist.viewing.web.server import Server
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.web.sittings import IDLE_SECONDS, Sittings

ANNA = Person(subject="anna", name="A. Reader", session="s1")


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_sitting_in_use_goes_on_and_one_without_ends(clock: Clock) -> None:
    sittings = Sittings(clock=clock)
    for _ in range(3):
        sittings.touch("s1")
        clock.now += IDLE_SECONDS
        assert not sittings.is_over("s1")
    assert sittings.idle("s1") == IDLE_SECONDS
    clock.now += 1
    assert sittings.is_over("s1")
    sittings.touch("s1")
    assert sittings.is_over("s1")  # use comes too late


def test_a_sitting_that_was_ended_stays_so_and_others_go_on(clock: Clock) -> None:
    sittings = Sittings(clock=clock)
    sittings.touch("s2")
    sittings.end("s1")
    sittings.touch("s1")
    assert (sittings.is_over("s1"), sittings.is_over("s2")) == (True, False)


def test_ten_thousand_windows_are_remembered_and_no_more(clock: Clock) -> None:
    sittings = Sittings(clock=clock)
    for number in range(10_002):
        clock.now += 0.001
        sittings.touch(f"s{number}")
    assert not sittings.is_over("s10001")
    assert len(sittings._last) <= 10_000


def test_no_crowd_of_windows_brings_an_ended_sitting_back(clock: Clock) -> None:
    sittings = Sittings(clock=clock)
    sittings.end("s1")
    for number in range(10_001):
        clock.now += 0.001
        sittings.touch(f"t{number}")
    assert sittings.is_over("s1")  # its tickets may still hold
    clock.now += IDLE_SECONDS + 1
    for number in range(10_001):
        sittings.touch(f"u{number}")
    assert "s1" not in sittings._ended


def test_the_tickets_of_a_sitting_end_with_it(write_result: Any, tmp_path: Path) -> None:
    result = write_result(tmp_path)
    server = Server(ViewerSettings(results=tmp_path))
    assert server.store is not None
    server.store.grant(None, "anna", "brain", "reader")
    clock = Clock()
    server.sittings = Sittings(clock=clock)
    ticket = server.opened(ANNA, "brain", "scan-1", purpose="view").ticket
    named = Named(study="brain", case="scan-1", key=result.key)
    assert server.desk.admitted(ticket, named).result == result
    clock.now += IDLE_SECONDS  # what a route was asked for is use
    assert server.desk.admitted(ticket, named).result == result
    clock.now += IDLE_SECONDS + 1
    with pytest.raises(AccessError, match="no longer look"):
        server.desk.admitted(ticket, named)

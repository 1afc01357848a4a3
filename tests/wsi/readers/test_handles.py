"""Handles: few, one thread at a time, dead after an error, new in a child."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from medconsist.errors import RefusedInputError
from medconsist.wsi.readers.handles import HandlePool


class Counted:
    """Counts what is open."""

    def __init__(self) -> None:
        self.open = self.most = self.made = 0
        self.lock = threading.Lock()

    def opener(self) -> int:
        with self.lock:
            self.open += 1
            self.made += 1
            self.most = max(self.most, self.open)
            return self.made

    def closer(self, handle: int) -> None:
        with self.lock:
            assert 1 <= handle <= self.made
            self.open -= 1

    def pool(self, capacity: int = 8) -> HandlePool:
        return HandlePool(opener=self.opener, closer=self.closer, capacity=capacity)


def test_a_returned_handle_is_lent_again() -> None:
    counted = Counted()
    pool = counted.pool()
    for _ in range(3):
        with pool.lend() as handle:
            assert handle == 1
    assert pool.opened == counted.made == 1


def test_no_more_handles_are_open_than_the_capacity() -> None:
    counted = Counted()
    pool = counted.pool(capacity=3)
    barrier = threading.Event()

    def work(_: int) -> None:
        with pool.lend():
            barrier.wait(0.01)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(24)))
    assert counted.most <= 3
    assert pool.idle <= 3


def test_a_handle_that_saw_an_error_is_closed_and_replaced() -> None:
    counted = Counted()
    pool = counted.pool()
    with pytest.raises(KeyError, match="broken"), pool.lend():
        raise KeyError("broken")  # noqa: EM101
    assert counted.open == 0
    with pool.lend() as handle:
        assert handle == 2


def test_a_failed_opening_gives_its_place_back() -> None:
    def fails() -> int:
        raise OSError("no file")  # noqa: EM101

    pool = HandlePool(opener=fails, closer=print, capacity=1)
    for _ in range(3):
        with pytest.raises(OSError, match="no file"), pool.lend():
            pass


def test_closing_closes_idle_handles_now_and_lent_ones_on_return() -> None:
    counted = Counted()
    pool = counted.pool()
    with pool.lend(), pool.lend():
        pool.close()
        assert counted.open == 2
    assert counted.open == 0
    with pytest.raises(RefusedInputError, match="closed; open it again"), pool.lend():
        pass


def test_a_pool_without_a_place_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="capacity 0"):
        Counted().pool(capacity=0)

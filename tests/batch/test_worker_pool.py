"""A map over processes gives what a loop gives, and tells of its progress."""

import logging
import math
from operator import neg

import pytest

from medconsist.batch.worker_pool import worker_pool


def test_answers_of_several_processes_are_those_of_one_in_order() -> None:
    numbers = list(range(7))
    with worker_pool(2) as run:
        several = run("numbers", neg, numbers)
        with pytest.raises(ValueError, match="math domain error"):
            run("roots", math.sqrt, [4.0, -1.0])
    with worker_pool(1) as run:
        assert run("numbers", neg, numbers) == several == [-number for number in numbers]


@pytest.mark.parametrize(("count", "told"), [(3, 3), (1000, 100)])
def test_a_long_list_is_told_of_some_hundred_times(
    count: int, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), worker_pool(1) as run:
        run("numbers", neg, range(count))
    assert len(caplog.messages) == told
    assert caplog.messages[-1] == f"numbers: {count} of {count} ..."

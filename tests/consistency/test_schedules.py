"""Schedules: exact ends, monotone, picklable, and a resume that differs in no bit."""

import inspect
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import LambdaLR

from medconsist.consistency.schedules import (
    Schedule,
    _require_length,
    _require_step,
    as_lr_lambda,
    constant,
    cosine,
    doubling,
    ema_warmup,
    linear,
    sigmoid_ramp,
)
from medconsist.errors import RefusedInputError

FAMILY = [
    constant(0.3),
    linear(0.3, -2.0, 17),
    cosine(0.9997, 1.0, 17),
    sigmoid_ramp(2.0, 17),
    ema_warmup(0.9),
    doubling(800, 10, 1280),
]
finite = st.floats(-1e6, 1e6)
length = st.integers(1, 60)


@pytest.mark.parametrize("schedule", FAMILY, ids=repr)
def test_every_schedule_is_a_pure_float_that_survives_a_pickle(schedule: Schedule) -> None:
    copied = pickle.loads(pickle.dumps(schedule))  # noqa: S301 - written by this test

    values = [schedule(t) for t in range(40)]

    assert all(type(value) is float for value in values)
    assert values == [schedule(t) for t in range(40)]
    assert copied == schedule
    assert values == [copied(t) for t in range(40)]


@pytest.mark.parametrize("schedule", FAMILY, ids=repr)
def test_a_step_before_the_first_is_refused(schedule: Schedule) -> None:
    with pytest.raises(RefusedInputError, match="counted from 0; got -1"):
        schedule(-1)


@given(a=finite, b=finite, steps=length)
def test_linear_and_cosine_start_and_end_exactly_and_never_turn(
    a: float, b: float, steps: int
) -> None:
    for schedule in (linear(a, b, steps), cosine(a, b, steps)):
        values = [schedule(t) for t in range(steps + 3)]

        assert values[0] == a
        assert values[steps:] == [b, b, b]
        assert values == sorted(values, reverse=b < a)


@given(v=st.floats(0.0, 1e6), steps=length)
def test_sigmoid_ramp_rises_from_v_over_e5_to_exactly_v(v: float, steps: int) -> None:
    values = [sigmoid_ramp(v, steps)(t) for t in range(steps + 3)]

    assert values[0] == v * math.exp(-5.0)
    assert values[steps:] == [v, v, v]
    assert values == sorted(values)


def test_cosine_and_linear_match_their_formulas_between_the_ends() -> None:
    for t in range(11):
        assert linear(2.0, 5.0, 10)(t) == pytest.approx(2.0 + 0.3 * t)
        expected = 5.0 - 3.0 * (1.0 + math.cos(math.pi * t / 10)) / 2.0
        assert cosine(2.0, 5.0, 10)(t) == pytest.approx(expected)


def test_ema_warmup_is_t_over_t_plus_one_up_to_alpha() -> None:
    warmup = ema_warmup(0.75)

    assert [warmup(t) for t in range(6)] == [0.0, 0.5, 1 - 1 / 3, 0.75, 0.75, 0.75]


@given(first=st.integers(1, 40), doublings=st.integers(0, 10), stretch=st.integers(1, 30))
def test_doubling_stays_as_long_at_every_count(first: int, doublings: int, stretch: int) -> None:
    last = first * 2**doublings
    total = stretch * (doublings + 1)

    counts = [doubling(total, first, last)(t) for t in range(total)]

    expected = [first * 2 ** (t // stretch) + 1 for t in range(total)]
    assert counts == expected
    assert doubling(total, first, last)(10**12) == last + 1


def test_doubling_never_passes_a_last_count_that_is_no_power_of_two_times_the_first() -> None:
    counts = [doubling(100, 3, 20)(t) for t in range(300)]

    assert counts == sorted(counts)
    assert set(counts) == {4.0, 7.0, 13.0, 21.0}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(RefusedInputError, match="v must be finite"):
        constant(bad)
    with pytest.raises(RefusedInputError, match="b must be finite"):
        linear(0.0, bad, 3)
    with pytest.raises(RefusedInputError, match="a must be finite"):
        cosine(bad, 1.0, 3)
    with pytest.raises(RefusedInputError, match="v must be finite"):
        sigmoid_ramp(bad, 3)
    with pytest.raises(RefusedInputError, match=r"in \[0, 1\]; got"):
        ema_warmup(bad)


def test_a_length_or_step_that_is_nan_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="got nan"):
        inspect.unwrap(_require_length)(math.nan)
    with pytest.raises(RefusedInputError, match="counted from 0; got nan"):
        inspect.unwrap(_require_step)(math.nan)


def test_an_empty_stretch_is_refused_with_what_to_do() -> None:
    for build in (lambda: linear(0, 1, 0), lambda: cosine(0, 1, 0), lambda: sigmoid_ramp(1, 0)):
        with pytest.raises(RefusedInputError, match="at least 1; got 0"):
            build()
    with pytest.raises(RefusedInputError, match="at least 8; got 7"):
        doubling(7, 10, 1280)
    with pytest.raises(RefusedInputError, match="got s0=4, s1=2"):
        doubling(100, 4, 2)
    with pytest.raises(RefusedInputError, match="positive and finite; got 0"):
        as_lr_lambda(constant(1.0), base_lr=0)


def rates(
    start: int, stop: int, state: dict[str, Any] | None
) -> tuple[list[float], dict[str, Any]]:
    """Return the learning rates of the steps start ... stop - 1 and the state after them."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.2)
    scheduler = LambdaLR(optimizer, as_lr_lambda(cosine(0.2, 0.01, 9), base_lr=0.2))
    if state is not None:
        scheduler.load_state_dict(state)
    seen = []
    for _ in range(start, stop):
        seen.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
    return seen, scheduler.state_dict()


def test_a_resumed_learning_rate_equals_the_uninterrupted_one() -> None:
    whole, _ = rates(0, 12, None)
    first, state = rates(0, 5, None)
    second, _ = rates(5, 12, state)

    assert whole[0] == 0.2
    assert whole[9:] == pytest.approx([0.01] * 3, rel=1e-12)
    assert first + second == whole

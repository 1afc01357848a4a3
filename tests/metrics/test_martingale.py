"""Alarms on a stream: as rare on clean streams as they say, early on changed ones, resumable."""

import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal import Direction, conformal_p
from medconsist.metrics.martingale import AlarmSettings, Rule, StreamAlarm, watch
from medconsist.metrics.report import exact_binomial_interval

RULES: tuple[Rule, ...] = ("ville", "shiryaev_roberts", "cusum")
DIRECTIONS: tuple[Direction, ...] = ("high_is_bad", "low_is_bad", "two_sided")
TIED = st.lists(st.integers(0, 4).map(float), min_size=1, max_size=40)


def normal(*shape: int, seed: int = 0) -> list[float]:
    values: list[float] = torch.randn(*shape, generator=Generator().manual_seed(seed)).tolist()
    return values


def naive_evidence(p_values: list[float], rule: Rule, powers: tuple[float, ...]) -> list[float]:
    """Return the statistic of the module's docstring after each case, change point by change point.

    The first p-value is that of the first case that is bet on; nothing starts again.
    """
    found = []
    for n in range(1, len(p_values) + 1):
        after = [
            [math.prod(e * p ** (e - 1) for p in p_values[i - 1 : n]) / len(powers) for e in powers]
            for i in range(1, n + 1)
        ]
        if rule == "ville":
            mixed = sum(sum(one) / (i * (i + 1)) for i, one in enumerate(after, start=1))
            found.append(mixed + 1 / (n + 1))
        elif rule == "shiryaev_roberts":
            found.append(sum(map(sum, after)))
        else:
            found.append(sum(max(one[k] for one in after) for k in range(len(powers))))
    return found


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("warm_up", [0, 5])
def test_the_evidence_is_that_of_naive_loops(rule: Rule, warm_up: int) -> None:
    # a rate of one in a million: no alarm, so that nothing starts again
    settings = AlarmSettings(rule=rule, warm_up=warm_up, rate=1e-6)
    steps = watch([*normal(30), 2.5, 3.0, 2.0], settings)
    assert not any(step.alarm for step in steps)
    wanted = naive_evidence([step.p for step in steps[warm_up:]], rule, settings.powers)
    found = [math.exp(step.log_evidence) for step in steps]
    assert found[warm_up:] == pytest.approx(wanted)
    assert found[:warm_up] == [1.0 if rule == "ville" else 0.0] * warm_up


@given(scores=TIED, direction=st.sampled_from(DIRECTIONS))
def test_without_a_generator_p_is_that_of_the_trust_record(
    scores: list[float], direction: Direction
) -> None:
    for number, step in enumerate(watch(scores, AlarmSettings(direction=direction))):
        wanted = conformal_p(scores[number], scores[:number], direction=direction)
        assert step.p == pytest.approx(wanted)
        assert step.p >= 1 / (number + 1) - 1e-12


@given(scores=TIED, direction=st.sampled_from(DIRECTIONS), seed=st.integers(0, 99))
def test_broken_ties_never_raise_p_and_never_delay_an_alarm(
    scores: list[float], direction: Direction, seed: int
) -> None:
    """What makes the guarantees hold without chance, of which each path is bounded by one."""
    for rule in RULES:
        settings = AlarmSettings(rule=rule, direction=direction, warm_up=2, rate=0.3)
        kept = watch(scores, settings)
        broken = watch(scores, settings, generator=Generator().manual_seed(seed))
        assert all(b.p <= k.p + 1e-12 for b, k in zip(broken, kept, strict=True))
        for k, b in zip(_alarms(kept), _alarms(broken), strict=False):
            assert b <= k
        assert len(_alarms(kept)) <= len(_alarms(broken))


def _alarms(steps: list) -> list[int]:  # type: ignore[type-arg]
    return [step.number for step in steps if step.alarm]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_p_values_of_tied_scores_are_uniform_and_independent(direction: Direction) -> None:
    generator = Generator().manual_seed(3)
    p = []
    for _ in range(300):
        scores = torch.randint(3, (10,), generator=generator).tolist()
        settings = AlarmSettings(direction=direction)
        p.append([step.p for step in watch(scores, settings, generator=generator)])
    values = torch.tensor(p)
    # four standard errors of a share of 0.2 in 3000, and of a correlation of 300
    assert float((values <= 0.2).double().mean()) == pytest.approx(0.2, abs=4 * 0.4 / 54)
    between = torch.corrcoef(values.T) - torch.eye(10)
    assert float(between.abs().max()) < 4.5 / math.sqrt(300)


@pytest.mark.parametrize("ties", ["none", "many"])
def test_a_clean_stream_ever_raises_an_alarm_no_more_often_than_villes_bound(ties: str) -> None:
    """The chance over the whole stream; judged by the exact binomial interval."""
    generator, streams = Generator().manual_seed(7), 150
    settings = AlarmSettings(rule="ville", rate=0.3)
    count = 0
    for _ in range(streams):
        scores = torch.randn(80, generator=generator)
        scores = scores if ties == "none" else (2 * scores).round()
        chance = None if ties == "none" else generator
        count += bool(_alarms(watch(scores.tolist(), settings, generator=chance)))
    seen = exact_binomial_interval(count, streams, unit="stream", confidence=0.999)
    assert seen.ci_low <= settings.rate
    # and the bound is of use: some do
    assert count > 0


@pytest.mark.parametrize("rule", ["shiryaev_roberts", "cusum"])
def test_false_alarms_per_clean_case_stay_at_the_rate(rule: Rule) -> None:
    """The mean number among the first n cases is at most n * rate, at every n.

    Gaps between alarms are independent here, so that the share of streams with an alarm in a
    stretch is binomial; the mean is judged by its standard error.
    """
    generator, streams, cases = Generator().manual_seed(11), 120, 100
    settings = AlarmSettings(rule=rule, rate=0.04, warm_up=0)
    at = torch.zeros(streams, cases)
    for stream in range(streams):
        scores = torch.randn(cases, generator=generator).tolist()
        for number in _alarms(watch(scores, settings, generator=generator)):
            at[stream, number - 1] = 1
    so_far = at.cumsum(1)
    for n in (10, 30, 60, 100):
        error = float(so_far[:, n - 1].std()) / math.sqrt(streams)
        assert float(so_far[:, n - 1].mean()) <= settings.rate * n + 3.3 * error
    assert so_far[:, -1].sum() > 0


def test_the_mean_run_to_a_false_alarm_is_at_least_the_threshold() -> None:
    generator, streams = Generator().manual_seed(13), 100
    settings = AlarmSettings(rate=0.1, warm_up=0)
    first = []
    for _ in range(streams):
        alarm, score = StreamAlarm(settings), torch.randn(200, generator=generator).tolist()
        # cut at 200, which makes the mean smaller
        run = (step.number for step in map(alarm.update, score) if step.alarm)
        first.append(float(next(run, 200)))
    values = torch.tensor(first)
    assert float(values.mean()) + 3.3 * float(values.std()) / math.sqrt(streams) >= 10


def test_the_evidence_of_the_restarting_rule_grows_by_one_a_case_on_average() -> None:
    """R_n - n is a martingale: by exact integration, E f(p) = 1 for each power."""
    for power in AlarmSettings().powers:
        p = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
        # the rule of midpoints loses most near 0, where the bet is infinite
        assert float((power * p ** (power - 1)).mean()) <= 1.0
        u = p ** (1 / power)  # substituted: the bet becomes constant
        assert float(((power * u ** (power - 1)) * (u ** (1 - power) / power)).mean()) == (
            pytest.approx(1.0)
        )


@pytest.mark.parametrize("rule", RULES)
def test_a_changed_stream_raises_an_alarm_soon_and_the_bolder_rule_no_later(rule: Rule) -> None:
    """300 clean cases, then a shift by two standard deviations."""
    longest = {"ville": 40, "shiryaev_roberts": 15, "cusum": 20}[rule]
    delays = []
    for seed in range(10):
        clean, changed = normal(300, seed=seed), [2 + v for v in normal(60, seed=seed + 50)]
        found = _alarms(watch([*clean, *changed], AlarmSettings(rule=rule)))
        delays.append(next(number for number in found if number > 300) - 300)
    assert sorted(delays)[5] <= longest
    assert min(delays) >= 2


def test_cusum_is_never_before_shiryaev_roberts() -> None:
    scores = [*normal(200), *[1 + v for v in normal(100, seed=1)]]
    bold, cautious = (watch(scores, AlarmSettings(rule=rule, rate=1e-9)) for rule in RULES[1:])
    assert all(c.log_evidence <= b.log_evidence + 1e-9 for b, c in zip(bold, cautious, strict=True))


@pytest.mark.parametrize("direction", ["low_is_bad", "two_sided"])
def test_a_fall_is_seen_where_it_counts(direction: Direction) -> None:
    scores = [*normal(200), *[v - 4 for v in normal(20, seed=1)]]
    assert _alarms(watch(scores, AlarmSettings(direction=direction)))
    assert not _alarms(watch(scores, AlarmSettings(direction="high_is_bad")))


@pytest.mark.parametrize("rule", RULES)
def test_a_stream_goes_on_tomorrow_from_its_state_as_json(rule: Rule) -> None:
    scores = [*normal(80), *[3 + v for v in normal(40, seed=1)]]
    settings = AlarmSettings(rule=rule, rate=0.01)
    whole = watch(scores, settings)
    assert _alarms(whole)
    for cut in (0, 10, 60, 85, 110):
        today = StreamAlarm(settings)
        steps = [today.update(score) for score in scores[:cut]]
        tomorrow = StreamAlarm.from_state(json.loads(json.dumps(today.state())))
        steps += [tomorrow.update(score) for score in scores[cut:]]
        assert steps == whole
        assert tomorrow.alarms == tuple(_alarms(whole))


def test_after_an_alarm_ville_is_silent_and_the_others_start_again() -> None:
    scores = [*normal(100), *[5 + v for v in normal(60, seed=1)]]
    found = {rule: watch(scores, AlarmSettings(rule=rule)) for rule in RULES}
    assert len(_alarms(found["ville"])) == 1
    first, second = _alarms(found["shiryaev_roberts"])[:2]
    assert 100 < first < second
    after = found["shiryaev_roberts"][first]
    assert after.log_evidence < math.log(1000)


def test_the_warm_up_is_ranked_among_but_not_bet_on() -> None:
    scores = [*normal(30), 9.0]
    steps = watch(scores, AlarmSettings(warm_up=31))
    assert steps[-1].p == 1 / 31
    assert {step.log_evidence for step in steps} == {-math.inf}


def test_the_sentences_say_what_is_guaranteed() -> None:
    settings = AlarmSettings()
    assert "at most one false alarm in 1,000 cases" in settings.guarantee
    assert "ever raises an alarm with probability <= 1/1,000" in (
        replace(settings, rule="ville").guarantee
    )


def test_unfit_settings_scores_and_states_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="got rate 0"):
        AlarmSettings(rate=0.0)
    with pytest.raises(RefusedInputError, match=r"powers got \(1.0,\)"):
        AlarmSettings(powers=(1.0,))
    with pytest.raises(RefusedInputError, match="and 0 powers"):
        AlarmSettings(powers=())
    with pytest.raises(RefusedInputError, match="got the score nan, which has no rank"):
        StreamAlarm().update(math.nan)
    state = StreamAlarm().state()
    with pytest.raises(RefusedInputError, match="1 bets for 5 powers"):
        StreamAlarm.from_state(state | {"log_bets": [None]})

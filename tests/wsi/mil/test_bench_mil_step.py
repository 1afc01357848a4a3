"""The bench of one large bag, made small: linear in memory also at this size, time is not."""

import math

import pytest

from medconsist.errors import RefusedInputError
from medconsist.results.bench import BenchReport
from medconsist.wsi.bench.mil_step import LINEAR, METHODS, Sizes, run_bench
from medconsist.wsi.mil.models.choice import MODELS

SMALL = Sizes(
    instances=(3000, 12000), dim=64, width=256, methods=("abmil",), repeats=1, device="cpu"
)


@pytest.fixture(scope="module")
def report() -> BenchReport:
    return run_bench(seed=3, sizes=SMALL)


def test_each_bag_has_memory_and_time(report: BenchReport) -> None:
    assert [(row.case, row.unit) for row in report.rows] == [
        (f"abmil, {count} instances, cpu", unit)
        for count in ("3,000", "12,000")
        for unit in ("MiB", "s")
    ]
    assert all(row.value > 0 for row in report.rows)


def test_memory_is_at_least_what_the_step_must_hold(report: BenchReport) -> None:
    # the embedded instances and their gradient, in float32
    least = 2 * 12000 * 256 * 4 / 2**20
    peak = report.rows[2].value
    assert least < peak < 10 * least


def test_targets_compare_each_bag_with_the_one_before(report: BenchReport) -> None:
    memory, time = report.targets
    assert memory.wanted == time.wanted == "3 to 5"
    assert isinstance(memory.seen, float)
    assert math.isclose(memory.seen, report.rows[2].value / report.rows[0].value)


def test_every_model_and_both_systems_are_measured() -> None:
    assert set(MODELS) < set(METHODS)
    assert {"panther", "ins", "mhim v1 (abmil)", "mhim v2 (abmil)"} < set(METHODS)
    assert set(LINEAR) < set(METHODS)


@pytest.mark.parametrize("method", ["ins", "mhim v2 (abmil)", "panther"])
def test_a_step_of_a_method_with_more_than_a_model_is_measured(method: str) -> None:
    small = Sizes(instances=(600,), dim=8, width=16, methods=(method,), repeats=1, device="cpu")
    assert len(run_bench(seed=0, sizes=small).rows) == 2


@pytest.mark.parametrize("instances", [(10, 10), (0, 10), ()])
def test_bags_that_do_not_rise_are_refused(instances: tuple[int, ...]) -> None:
    with pytest.raises(RefusedInputError, match="rising sizes"):
        Sizes(instances=instances)


def test_a_step_that_does_not_end_says_which() -> None:
    nowhere = Sizes(instances=(600,), dim=8, width=16, methods=("max",), device="nowhere")
    with pytest.raises(RefusedInputError, match="max over 600 instances on nowhere ended with"):
        run_bench(seed=0, sizes=nowhere)

"""``medconsist bench consistency``: what it reports, on sizes that take a second."""

import json
import subprocess
import sys

import pytest
import torch

from medconsist.cli.benches.consistency import Sizes, run_bench
from medconsist.results.bench import BenchReport, BenchRow
from medconsist.training.cost import costs, peak_bytes
from tests.cli.conftest import Program

CPU = torch.device("cpu")
TINY = Sizes(batches=(8, 64), features=4, chunk=8, repeats=2)


@pytest.fixture(scope="module")
def report() -> BenchReport:
    return run_bench(seed=3, sizes=TINY)


def peaks(report: BenchReport, case: str) -> list[BenchRow]:
    return [row for row in report.rows if row.metric == "peak memory" and case in row.case]


def test_every_brick_has_time_and_memory_beside_its_plain_form(report: BenchReport) -> None:
    for brick in ("masked InfoNCE", "teacher update", "prototypes update"):
        for size in TINY.batches:
            rows = [row for row in report.rows if brick in row.case and f" {size}" in row.case]
            assert {"time", "peak memory"} <= {row.metric for row in rows}
            assert all(row.baseline is not None for row in rows)
    assert all(row.value > 0 and row.ratio for row in report.rows if row.metric == "time")


def test_a_ratio_is_value_over_baseline(report: BenchReport) -> None:
    with_ratio = [row for row in report.rows if row.ratio is not None]
    assert with_ratio
    for row in with_ratio:
        assert row.baseline is not None
        assert row.ratio == pytest.approx(row.value / row.baseline)


def test_both_forms_of_the_contrast_give_the_same_loss(report: BenchReport) -> None:
    same = [target for target in report.targets if "dense form" in target.name]
    assert len(same) == len(TINY.batches)
    assert all(target.met for target in same)


def test_chunks_hold_less_memory_than_the_dense_form(report: BenchReport) -> None:
    (row,) = peaks(report, "cpu, B 64, in chunks")
    assert row.ratio is not None
    assert row.ratio < 0.8


def test_memory_grows_linearly_with_the_chunk(report: BenchReport) -> None:
    at_chunk, at_twice, at_four_times = (row.value for row in peaks(report, ", chunk "))
    # what a chunk does not hold (features, checkpoint bookkeeping) cancels in the differences
    assert at_four_times - at_twice == pytest.approx(2 * (at_twice - at_chunk), rel=0.05)
    assert [target.met for target in report.targets if "linear" in target.name] == [True]


def test_peak_memory_is_the_most_held_at_once_and_not_the_sum() -> None:
    def two_after_each_other() -> None:
        for _ in range(2):
            torch.ones(1000, dtype=torch.float64).sum()

    # sums and scratch of a few bytes come on top; torch rounds no allocation on a CPU
    assert 8000 <= peak_bytes(two_after_each_other, device=CPU) < 9000


def test_what_was_there_before_does_not_count() -> None:
    before = torch.zeros(10000)
    assert peak_bytes(lambda: before.add_(1), device=CPU) < 1000


def test_jobs_take_turns() -> None:
    order: list[str] = []
    costs([lambda: order.append("a"), lambda: order.append("b")], device=CPU, repeats=2)
    assert order == ["a", "b"] * 4


@pytest.mark.gpu
def test_a_gpu_adds_its_rows(report: BenchReport) -> None:
    assert peaks(report, "cuda, B 64")


def test_the_command_prints_one_object_of_the_schema(
    program: Program, monkeypatch: pytest.MonkeyPatch, report: BenchReport
) -> None:
    def quick(*, seed: int) -> BenchReport:
        assert seed == 3
        return report

    monkeypatch.setattr("medconsist.cli.benches.consistency.run_bench", quick)
    answer = program("bench", "consistency", "--seed", 3, "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["command"] == "medconsist bench consistency"
    table = program("bench", "consistency", "--seed", 3)
    assert all(target.name in table.out for target in report.targets)


def test_data_are_refused_since_none_are_read(program: Program) -> None:
    answer = program("bench", "consistency", "--data", "folder")
    assert answer.code == 2
    assert answer.out == ""
    assert "bench consistency takes no --data, got folder" in answer.sentence


def test_the_command_line_starts_without_the_benches() -> None:
    code = (
        "import sys, medconsist.cli; "
        "sys.exit('torch' in sys.modules or 'medconsist.cli.benches' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

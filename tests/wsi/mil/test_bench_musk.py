"""The bench on MUSK1, made tiny: its rows and words; figures mean nothing at this size."""

from dataclasses import replace
from pathlib import Path

import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.bench import BenchReport
from medconsist.wsi.bench.mil_musk import WARNING, Sizes, run_bench
from medconsist.wsi.mil.ins.config import InsConfig

TINY = Sizes(
    repeats=1,
    folds=2,
    methods=("probe", "abmil", "ins"),
    steps=2,
    width=8,
    ins=InsConfig(bank=16, warmup=1, phi_steps=1),
    workers=1,
)


@pytest.fixture(scope="module")
def report(data_dir: Path) -> BenchReport:
    return run_bench(data=data_dir, seed=3, draws=2, sizes=TINY)


@pytest.mark.data
def test_every_method_has_an_accuracy_with_an_interval_over_92_bags(report: BenchReport) -> None:
    cases = {f"MUSK1, {name}" for name in TINY.methods}
    rows = [row for row in report.rows if row.case in cases]
    assert len(rows) == len(cases)
    assert all(0 <= row.value <= 1 for row in rows)
    assert {(row.n, row.unit_of_analysis) for row in report.rows} == {(92, "bag")}


@pytest.mark.data
def test_differences_say_that_they_rank_nothing_and_what_could_be_shown(
    report: BenchReport,
) -> None:
    paired = [row for row in report.rows if "less probe" in row.case]
    assert paired
    assert all(WARNING in row.case for row in paired)
    assert any("smallest difference" in row.metric for row in paired)
    assert report.targets == ()


@pytest.mark.data
def test_no_published_value_stands_beside_ours(report: BenchReport) -> None:
    assert all(row.baseline is None for row in report.rows)


@pytest.mark.data
def test_the_same_seed_gives_the_same_figures_whatever_stands_beside(
    data_dir: Path, report: BenchReport
) -> None:
    alone = replace(TINY, methods=("probe", "abmil"))
    again = run_bench(data=data_dir, seed=3, draws=2, sizes=alone)
    assert set(again.rows) < set(report.rows)


def test_a_folder_without_musk1_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"musk1\.data"):
        run_bench(data=tmp_path, seed=0, sizes=TINY)


def test_methods_without_the_probe_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="the probe among the methods"):
        Sizes(methods=("abmil",))

"""``medconsist bench ts-smni`` on the real windows, with budgets that mean nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from medconsist._digests import canonical_json
from medconsist._records import read_record
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.bench import BenchReport
from medconsist.timeseries.bench.smni import BAND_POWER, METHODS, Sizes, run_bench
from medconsist.timeseries.bench.smni_kept import Kept
from medconsist.timeseries.bench.smni_rows import time_target
from medconsist.timeseries.pretexts import PRETEXTS

TINY = Sizes(
    methods=("comet", BAND_POWER, "majority class"),
    epochs=1,
    batch=16,
    windows=4,
    permutations=1,
    workers=1,
    options={"comet": {"hidden": 4, "dim": 4, "depth": 2}},
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("smni")


@pytest.fixture(scope="module")
def report(data_dir: Path, kept: Path) -> BenchReport:
    return run_bench(data=data_dir, seed=0, folder=kept, sizes=TINY)


@pytest.mark.data
def test_leaked_and_honest_accuracy_stand_beside_each_other(report: BenchReport) -> None:
    names = [row.case for row in report.rows if row.metric == "accuracy of windows"]
    assert names[:2] == [
        "band power, logistic, patients on both sides",
        "band power, logistic, patients kept apart",
    ]
    assert len(names) == 4


@pytest.mark.data
def test_each_method_has_area_luck_epochs_and_time(report: BenchReport) -> None:
    for method in TINY.methods:
        area = next(r for r in report.rows if r.case == method and r.metric == "AUC")
        assert area.n == 16
        assert area.unit_of_analysis == "patient"
        assert any(row.case == f"{method}, permuted labels" for row in report.rows)
        assert any(r.case == method and r.metric == "core-seconds" for r in report.rows)
    epochs = {row.case: (row.value, row.n) for row in report.rows if row.metric == "epochs"}
    assert epochs == {"comet": (1, 6)}
    steps = [row.value for row in report.rows if row.metric == "steps a training"]
    assert steps == [2]  # 8 patients of 4 windows, 16 windows a step


@pytest.mark.data
def test_the_one_contrast_and_the_time_are_targets(report: BenchReport) -> None:
    names = [target.name for target in report.targets]
    assert "comet, logistic less band power, logistic (paired, fixed beforehand)" in names
    assert names[-1] == "time of the table"


@pytest.mark.data
def test_a_table_that_was_killed_goes_on_with_its_trainings(
    report: BenchReport, kept: Path, data_dir: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("weights.safetensors")}
    assert len(before) == 6
    again = run_bench(data=data_dir, seed=0, folder=kept, sizes=TINY)
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("weights.safetensors")} == before
    # rows that are done stand still, their seconds too
    assert again.rows == report.rows


@pytest.mark.data
def test_a_killed_method_is_judged_again_and_all_its_seconds_count(
    report: BenchReport, kept: Path, data_dir: Path
) -> None:
    path = kept / "rows" / "majority class.json"
    done = read_record(Kept, path.read_bytes(), source="")
    torn = done.model_copy(update={"rows": (), "seconds": 1000.0})
    path.write_bytes(canonical_json(torn.model_dump(mode="json")))
    again = run_bench(data=data_dir, seed=0, folder=kept, sizes=TINY)
    seconds = {row.case: row.value for row in again.rows if row.metric == "core-seconds"}
    assert 1000 < seconds["majority class"] < 1100
    figures = [[r for r in one.rows if r.unit != "s"] for one in (report, again)]
    assert figures[0] == figures[1]


@pytest.mark.data
def test_a_folder_of_other_sizes_is_refused(
    report: BenchReport, kept: Path, data_dir: Path
) -> None:
    assert report.rows
    with pytest.raises(RefusedInputError, match="of other sizes, seed or windows"):
        run_bench(data=data_dir, seed=0, folder=kept, sizes=replace(TINY, permutations=2))


@pytest.mark.data
def test_a_method_that_diverges_has_no_figures_and_says_so(data_dir: Path) -> None:
    wild = replace(TINY, methods=("comet", BAND_POWER), lr=1e30)
    found = run_bench(data=data_dir, seed=0, sizes=wild)
    failed = next(target for target in found.targets if target.name == "comet is judged")
    assert not failed.met
    assert "finite" in str(failed.seen)
    assert not any("comet" in row.case for row in found.rows)
    assert any(row.case == BAND_POWER and row.metric == "AUC" for row in found.rows)


def test_the_time_of_the_table_is_that_of_the_busier_core() -> None:
    (target,) = time_target([3000.0, 600.0, 600.0, 600.0], own=60.0).targets
    assert target.seen == 51
    assert target.met
    assert not time_target([5400.0], own=60.0).targets[0].met


def test_the_table_holds_all_methods() -> None:
    assert set(PRETEXTS) | {"scratch", "eegnet", "band power"} <= set(METHODS)


def test_the_reference_is_trained_and_averaged_as_released() -> None:
    sizes = Sizes()
    released, mended = (sizes.pretraining(m, seed=1) for m in ("comet-reference", "comet"))
    assert (released.sampling.order, released.average) == ("trial-frozen", 1.0)
    assert (mended.sampling.order, mended.average) == ("trial", "last")
    assert released.epochs == mended.epochs


def test_a_table_without_its_contrast_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"\['comet'\] missing"):
        Sizes(methods=(BAND_POWER,))


def test_missing_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="smni_eeg"):
        run_bench(data=tmp_path, seed=0, sizes=TINY)

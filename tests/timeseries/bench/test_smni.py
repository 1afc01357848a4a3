"""``medconsist bench ts-smni`` on the real windows, with budgets that mean nothing."""

from pathlib import Path

import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.results.bench import BenchReport
from medconsist.timeseries.bench.smni import BAND_POWER, METHODS, Sizes, run_bench
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
    timed = ("s",)
    figures = [[r for r in one.rows if r.unit not in timed] for one in (report, again)]
    assert figures[0] == figures[1]


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

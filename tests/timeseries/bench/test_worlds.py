"""``medconsist bench ts-worlds``, made tiny: every row and target; figures mean nothing here."""

import pytest

from medconsist.errors import RefusedInputError
from medconsist.results.bench import BenchReport
from medconsist.timeseries.bench.world_draw import Budget, Dataset, Patients
from medconsist.timeseries.bench.worlds import Sizes, run_bench
from medconsist.timeseries.simulated.cohort import fingerprint

TINY = Sizes(
    draws=2,
    patients=Patients(
        learnt=8, fresh=8, labelled=1, label_draws=2, trials=2, windows=2, channels=("C3",)
    ),
    budget=Budget(
        epochs=2, batch=16, options={"hidden": 4, "dim": 4, "depth": 2}, scratch_epochs=1
    ),
    workers=1,
)

# of draw 9001; a new value means that the tables are of other worlds
FROZEN = {
    "shared": "7842d465978da13e98d752b4bae7dda42b806c2dcd786eced85171899f9b75e8",
    "not shared": "84b7ccfa751493b241c04c5fe1f5c8efb158647485415bab799de464162cac65",
}


@pytest.fixture(scope="module")
def report() -> BenchReport:
    return run_bench(sizes=TINY)


def test_each_world_has_one_contrast_that_was_fixed_beforehand(report: BenchReport) -> None:
    fixed = [target for target in report.targets if "fixed beforehand" in target.name]
    assert [target.name.split(", ")[1] for target in fixed] == ["shared", "not shared"]
    assert all("comet less random encoder" in target.name for target in fixed)
    assert fixed[0].wanted.endswith("difference above 0")
    assert fixed[1].wanted.endswith("difference not above 0")


def test_all_methods_stand_beside_the_best_possible_score(report: BenchReport) -> None:
    for cell in ("shared", "not shared"):
        title = f"class information, {cell}, "
        names = {row.case.split(title)[1] for row in report.rows if title in row.case}
        assert {
            "best possible score (truth)",
            "majority class",
            "band power",
            "random encoder",
            "comet-reference",
            "comet",
            "comet-ordering",
            "supervised from scratch",
            "comet, checkpoint chosen without labels",
            "comet, permuted labels",
        } <= names


def test_majority_is_chance_and_the_rows_are_by_draw(report: BenchReport) -> None:
    rows = [row for row in report.rows if row.case.endswith("majority class")]
    assert rows[0].value == 0.5
    assert {row.n for row in report.rows if row.unit_of_analysis == "dataset draw"} == {2}


def test_the_choice_without_labels_has_its_regret(report: BenchReport) -> None:
    regrets = [row for row in report.rows if row.metric == "AUC, best checkpoint less chosen"]
    assert len(regrets) == 4  # of the choice and of the last checkpoint, in two worlds
    assert all(row.value >= 0 for row in regrets)


def test_the_audit_flags_both_leaks_and_passes_the_clean_split(report: BenchReport) -> None:
    seen = {row.case: row.value for row in report.rows if row.case.startswith("audit, ")}
    assert seen == {
        "audit, clean split": 0,
        "audit, trials of a test patient in training": 1,
        "audit, copied test windows": 1,
    }
    assert all(one.met for one in report.targets if one.name.startswith("audit, "))


@pytest.mark.parametrize("cell", FROZEN)
def test_worlds_of_the_tables_are_frozen(cell: str) -> None:
    patients = Patients()
    cohort = Dataset.of(patients.recipe(cell), patients, 9001).cohort
    assert fingerprint(cohort) == FROZEN[cell]


def test_draws_on_which_the_world_was_set_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="draws below 9000"):
        Sizes(first_draw=9001)
    with pytest.raises(RefusedInputError, match="seed and draws got 9 and 10"):
        Sizes.of_seed(9)
    assert Sizes.of_seed(2, draws=3).numbers == range(2100, 2103)


def test_too_few_patients_of_a_class_are_named() -> None:
    few = Sizes(draws=1, patients=Patients(learnt=4, fresh=4, labelled=4), workers=1)
    with pytest.raises(RefusedInputError, match="take more patients, or fewer labels"):
        run_bench(sizes=few)

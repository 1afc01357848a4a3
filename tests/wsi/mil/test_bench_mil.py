"""The bench of MIL, made tiny: every row and target is there; figures mean nothing at this size."""

from dataclasses import replace

import pytest

from medconsist.errors import RefusedInputError
from medconsist.results.bench import BenchReport
from medconsist.wsi.bench.mil import Sizes, run_bench
from medconsist.wsi.bench.mil_methods import (
    INS,
    INS_PUBLISHED,
    Budget,
    Plain,
    ReleasedIns,
    standardised,
)
from medconsist.wsi.bench.mil_rows import Contrast, Figures, table
from medconsist.wsi.mil.baselines import MlpScorer
from medconsist.wsi.mil.simulate import BagRecipe, simulate_bags

TINY = Sizes(
    draws=2,
    seeds=1,
    easy=(0.9,),
    witness=((0.1, 0.2),),
    association=(0.8,),
    folds=2,
    models=("mean",),
    recipe=BagRecipe(bags=48, instances=(10, 20)),
    budget=Budget(epochs=1, width=16),
    mlp=MlpScorer(width=8, steps=5),
    workers=1,
)


@pytest.fixture(scope="module")
def report() -> BenchReport:
    return run_bench(sizes=TINY)


def test_each_table_has_its_fixed_contrasts_and_their_smallest_differences(
    report: BenchReport,
) -> None:
    assert [target.name[:2] for target in report.targets] == ["a.", "b.", "b.", "c."]
    of_witness = [target.name for target in report.targets if target.name.startswith("b.")]
    assert all("less copied bag labels, logistic" in name for name in of_witness)
    assert all("fixed beforehand" in target.name for target in report.targets)
    least = [row for row in report.rows if "smallest difference" in row.metric]
    assert {row.case for row in least} <= {target.name for target in report.targets}


@pytest.mark.parametrize("title", ["a. easy positives, easy 0.9", "b. witness rate, witness 0.1"])
def test_plain_rows_and_ceilings_stand_in_the_tables(report: BenchReport, title: str) -> None:
    cases = [row.case for row in report.rows if row.case.startswith(title)]
    for words in ("copied bag labels, logistic", "copied bag labels, mlp"):
        assert any(case.endswith(words) for case in cases)
    assert any(case.endswith("true-label ceiling, mlp") for case in cases)


def test_released_leak_is_marked_wherever_it_stands(report: BenchReport) -> None:
    assert any("RELEASED LEAK" in row.case for row in report.rows)
    assert "LEAK" in ReleasedIns(truth=()).name


def test_ins_as_published_has_a_row_beside_ins_that_is_held_from_collapse(
    report: BenchReport,
) -> None:
    for name in ("ins", "ins as published"):
        assert any(row.case.endswith(f", {name}, instance classifier") for row in report.rows)
    assert replace(INS_PUBLISHED, least_positive=INS.least_positive) == INS
    assert INS.least_positive > INS_PUBLISHED.least_positive == 0


def test_a_classifier_that_got_no_loss_says_nothing_of_instances(report: BenchReport) -> None:
    of_both = [row.case for row in report.rows if ", mhim+ins" in row.case]
    assert any(case.endswith("mhim+ins, attention") for case in of_both)
    assert not any("instance classifier" in case for case in of_both)


def test_the_small_network_on_copied_labels_is_compared_with_both(report: BenchReport) -> None:
    rival = "less copied bag labels, mlp (paired)"
    assert sum(rival in row.case for row in report.rows) == 2


def test_seeds_of_the_command_take_draws_of_their_own() -> None:
    first, second = (Sizes.of_seed(seed, draws=30, seeds=1) for seed in (0, 1))
    assert first == replace(Sizes(), draws=30, seeds=1)
    assert not set(first.numbers) & set(second.numbers)


@pytest.mark.parametrize(("seed", "draws"), [(9, 10), (0, 901), (0, 0)])
def test_draws_of_the_next_seed_are_refused(seed: int, draws: int) -> None:
    with pytest.raises(RefusedInputError, match=f"seed and draws got {seed} and {draws}"):
        Sizes.of_seed(seed, draws=draws)


def test_unit_of_analysis_is_the_dataset_draw(report: BenchReport) -> None:
    assert {(row.n, row.unit_of_analysis) for row in report.rows} == {(2, "dataset draw")}


def test_draws_on_which_methods_were_set_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="below 9000"):
        replace(TINY, first_draw=9000)


def test_seeds_of_a_draw_are_averaged_and_draws_are_paired() -> None:
    draws = []
    for shift in (0.0, 0.1, 0.3):
        found = Figures()
        for value in (0.5, 0.7):
            found.add("easy 0", "first", "bag AUC", value + 2 * shift)
            found.add("easy 0", "second", "bag AUC", value + shift)
        draws.append(found)
    pair = Contrast("easy 0", "bag AUC", "first", "second", is_fixed=True)
    done = table("t", draws, [pair], seed=0)
    assert done.rows[0].value == pytest.approx(0.6 + 0.8 / 3)
    assert done.rows[2].value == pytest.approx(0.4 / 3)
    assert done.rows[2].n == 3


def test_standardising_uses_the_training_alone() -> None:
    cohort = simulate_bags(TINY.recipe, draw=5).cohort
    first, rest = cohort.part(range(20)), cohort.part(range(20, 48))
    train, other = standardised(first, rest)
    alone = standardised(first)[0]
    assert (train.rows(0) == alone.rows(0)).all()
    assert other.infos == rest.infos


def test_baseline_at_equal_compute_gets_the_steps_of_teacher_and_student() -> None:
    budget = Budget(epochs=3)
    assert budget.steps(58, parts=2) == 2 * budget.steps(58) == 2 * 3 * 15
    assert Plain(budget=budget, parts=2).name == "abmil"

"""The bench of MIL, made tiny: every row and target is there; figures mean nothing at this size."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.results.bench import BenchReport
from medconsist.results.draw_table import Contrast, Figures, table
from medconsist.training.fit import Fitted, fit
from medconsist.training.settings import TrainConfig
from medconsist.wsi.bench.mil import Sizes, run_bench
from medconsist.wsi.bench.mil_methods import (
    INS,
    INS_PUBLISHED,
    Budget,
    Ins,
    Method,
    MhimOfIns,
    ReleasedIns,
    standardised,
)
from medconsist.wsi.mil.audit import truth_unseen
from medconsist.wsi.mil.baselines import MlpScorer
from medconsist.wsi.mil.ins.objective import InsObjective
from medconsist.wsi.mil.mhim.objective import MhimObjective
from medconsist.wsi.mil.objective import MilObjective
from medconsist.wsi.mil.simulate import BagRecipe, SimulatedBags, simulate_bags

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


@dataclass(frozen=True)
class Trainings:
    """What was trained in which order: kind of objective, its cases, its steps."""

    objectives: list[MilObjective]
    configs: list[TrainConfig]


@pytest.fixture(scope="module")
def trainings() -> Trainings:
    return Trainings([], [])


@pytest.fixture(scope="module")
def report(trainings: Trainings) -> BenchReport:
    def watched(objective: MilObjective, config: TrainConfig, *rest: Any, **more: Any) -> Fitted:
        trainings.objectives.append(objective)
        trainings.configs.append(config)
        return fit(objective, config, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medconsist.wsi.bench.mil_methods.fit", watched)
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


def test_baseline_at_equal_compute_gets_the_steps_of_teacher_and_student(
    report: BenchReport, trainings: Trainings
) -> None:
    del report
    teacher, student, baseline, *_ = (config.steps for config in trainings.configs)
    assert isinstance(trainings.objectives[1], MhimObjective)
    assert baseline == teacher + student
    assert teacher == student == TINY.budget.steps(len(trainings.objectives[0].train))


def test_validation_is_of_other_patients_than_training_and_no_test_is_trained_on(
    report: BenchReport, trainings: Trainings
) -> None:
    del report
    whole = simulate_bags(replace(TINY.recipe, easy=0.9), draw=TINY.first_draw).cohort
    for one in trainings.objectives[:5]:  # table a: one split for all
        assert one.validation is not None
        assert not set(one.train.patients) & set(one.validation.patients)
        assert len(set(one.train.patients) | set(one.validation.patients)) == int(
            0.56 * len(set(whole.patients))
        )


@pytest.mark.parametrize("name", ["ins", "mhim+ins", "released"])
def test_the_leak_audit_finds_the_released_leak_alone(name: str) -> None:
    recipe = BagRecipe(bags=12, instances=(8, 12), witness=(0.2, 0.4), two_cases=0.0, sites=1)
    bags = simulate_bags(recipe, draw=5)

    def trained(truth: Sequence[Tensor]) -> str:
        given = SimulatedBags(bags.cohort, tuple(one.to(torch.int8) for one in truth), bags.is_easy)
        train, validation = given.cohort.part(range(8)), given.cohort.part(range(8, 12))
        ins = partial(Ins, budget=Budget(epochs=2, width=8))
        methods: dict[str, Method] = {
            "ins": ins(),
            "mhim+ins": MhimOfIns(ins=ins()),
            "released": ReleasedIns(budget=ins().budget, truth=given.truth_of(train)),
        }
        network = methods[name].train(train, validation, seed=0).network
        state = [value.numpy().tobytes() for value in network.state_dict().values()]
        return hashlib.sha256(b"".join(state)).hexdigest()

    truth = [one.long() for one in bags.phenotype]
    found = truth_unseen(trained, truth, generator=Generator().manual_seed(0))
    assert found.is_leak == (name == "released"), found.sentence


def test_targets_say_what_their_rows_say(report: BenchReport) -> None:
    rows = {row.case: row for row in report.rows if row.ci_low is not None}
    for target in report.targets:
        row = rows[target.name]
        assert f"{row.value:.3f}" in str(target.seen)


def test_abmil_of_table_b_gets_the_steps_of_ins_twice_and_of_both_four_times(
    report: BenchReport, trainings: Trainings
) -> None:
    del report
    first = next(n for n, one in enumerate(trainings.objectives) if isinstance(one, InsObjective))
    steps = [config.steps for config in trainings.configs]
    assert steps[first + 1 : first + 3] == [2 * steps[first], 4 * steps[first]]


def test_table_of_sites_has_copied_labels_and_ceiling(report: BenchReport) -> None:
    cases = [row.case for row in report.rows if row.case.startswith("c. site, association 0.8")]
    for words in ("copied bag labels, logistic", "true-label ceiling, mlp"):
        for folds in ("random", "site-preserved"):
            assert any(case.endswith(f"{words}, {folds} folds") for case in cases)

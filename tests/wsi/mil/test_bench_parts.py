"""Folds of the benches are those of the program."""

from medconsist.wsi.bench.mil_parts import folds_of
from medconsist.wsi.mil.simulate import BagRecipe, simulate_bags

COHORT = simulate_bags(BagRecipe(bags=48, instances=(2, 4), sites=4), draw=3).cohort


def test_each_case_is_tested_once_and_no_patient_is_on_two_sides() -> None:
    folds = list(folds_of(COHORT, seed=0, folds=4))
    tested = [info.case for parts in folds for info in parts.test.infos]
    assert sorted(tested) == sorted(info.case for info in COHORT.infos)
    for parts in folds:
        sides = [set(side.patients) for side in (parts.train, parts.validation, parts.test)]
        assert sum(map(len, sides)) == len(set.union(*sides))


def test_a_site_is_on_one_side() -> None:
    for parts in folds_of(COHORT, seed=0, folds=2, group="site"):
        known = {info.site for info in parts.known(COHORT).infos}
        assert not known & {info.site for info in parts.test.infos}


def test_training_and_validation_together_are_all_but_the_test() -> None:
    for parts in folds_of(COHORT, seed=1, folds=3):
        assert len(parts.known(COHORT)) + len(parts.test) == len(COHORT)

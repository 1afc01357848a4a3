"""Bags of the simulator: what they hold, what recipes change, and that they stay as they are."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.simulate import (
    BagRecipe,
    SimulatedBags,
    fingerprint,
    simulate_bags,
    spec_bags,
)

SMALL = BagRecipe(bags=24, instances=(20, 40))
# of the defaults, on few small bags; a new value means that every table is of another generator
FROZEN = "cd4dff36cbd4e2c74c3607673ab87da61082d9ef14bf6c27c4fa0bfbfc498110"
SPEC_SIZES, SPEC_COUNTS, SPEC_MEAN = [340, 481, 207, 349], [37, 34, 36, 14], 0.3017465


@pytest.fixture(scope="module")
def spec() -> SimulatedBags:
    return spec_bags()


def test_generator_is_frozen() -> None:
    few = simulate_bags(BagRecipe(bags=6, instances=(20, 40)), draw=0)
    assert fingerprint(few) == FROZEN


def test_frozen_defaults_are_those_of_the_tables() -> None:
    recipe = BagRecipe()
    assert (recipe.dim, recipe.subspace, recipe.centres, recipe.sites) == (64, 24, 8, 4)
    assert recipe.site_shift == recipe.hard_shift


def test_same_draw_gives_the_same_bags_and_another_draw_others() -> None:
    first, again, other = (fingerprint(simulate_bags(SMALL, draw=d)) for d in (3, 3, 4))
    assert first == again != other


def test_truth_lies_in_positive_bags_alone_and_in_every_one_twice() -> None:
    simulated = simulate_bags(SMALL, draw=1)
    for label, truth in zip(simulated.cohort.labels.tolist(), simulated.truth, strict=True):
        assert int(truth.sum()) >= 2 if label else not bool(truth.any())


def test_cohort_holds_no_truth() -> None:
    simulated = simulate_bags(SMALL, draw=1)
    names = {*vars(simulated.cohort), *vars(simulated.cohort.source)}
    assert names == {"source", "numbers", "infos", "classes", "_bags"}
    assert simulated.cohort.source.dim == 64


def test_truth_of_a_part_follows_the_part() -> None:
    simulated = simulate_bags(SMALL, draw=1)
    part = simulated.cohort.part([5, 2])
    five, two = simulated.truth_of(part)
    assert torch.equal(five, simulated.truth[5])
    assert torch.equal(two, simulated.truth[2])


def test_witness_rate_is_within_its_range() -> None:
    recipe = replace(SMALL, instances=(200, 300), witness=(0.10, 0.20))
    simulated = simulate_bags(recipe, draw=1)
    rates = [float(truth.double().mean()) for truth in simulated.truth if bool(truth.any())]
    # one instance of rounding in 200
    assert 0.10 - 1 / 200 <= min(rates) < max(rates) <= 0.20


def test_phenotypes_lie_in_opposite_directions() -> None:
    recipe = replace(SMALL, bags=40, instances=(200, 300), common=0.5, mixed=0.0, spread=0.0)
    still = replace(recipe, site_shift=0.0, patient_shift=0.0, easy_shift=3.5)
    shifts = defaultdict(list)
    simulated = simulate_bags(still, draw=1)
    for bag, kinds in enumerate(simulated.phenotype):
        rows = simulated.cohort.rows(bag)
        for kind in (-1, 1):
            if bool((kinds == kind).any()):
                shifts[kind].append(rows[kinds == kind] - rows[kinds == 0].mean(0))
    high, low = (torch.cat(shifts[kind]).mean(0) for kind in (1, -1))
    # about 500 instances each of unit noise in 24 directions: an error of .2 on a length of 3.5
    assert torch.allclose(high, -low, atol=0.25)
    assert float(high.norm()) == pytest.approx(3.5, abs=0.3)


def test_pure_bags_have_one_phenotype_and_mixed_ones_both() -> None:
    pure = simulate_bags(replace(SMALL, mixed=0.0), draw=1)
    assert all(len(set(kinds.tolist()) - {0}) <= 1 for kinds in pure.phenotype)
    wide = replace(SMALL, mixed=1.0, witness=(0.9, 1.0))
    mixed = simulate_bags(wide, draw=1)
    assert all({-1, 1} <= set(kinds.tolist()) for kinds in mixed.phenotype if bool(kinds.any()))


def test_share_of_easy_changes_nothing_in_normal_tissue() -> None:
    plain, easy = (simulate_bags(replace(SMALL, easy=share), draw=2) for share in (0.0, 1.0))
    assert not any(bool(one.any()) for one in plain.is_easy)
    assert any(bool(one.any()) for one in easy.is_easy)
    for bag, truth in enumerate(plain.truth):
        assert torch.equal(truth, easy.truth[bag])
        assert torch.equal(plain.cohort.rows(bag)[~truth], easy.cohort.rows(bag)[~truth])


def test_hard_only_bags_have_no_easy_instance() -> None:
    recipe = replace(SMALL, easy=1.0, bags=60)
    none, all_, some = (
        sum(bool(one.any()) for one in simulate_bags(replace(recipe, hard_only=h), draw=2).is_easy)
        for h in (1.0, 0.0, 0.3)
    )
    assert none == 0 < some < all_


def test_patients_have_one_site_and_one_label_and_some_two_cases() -> None:
    infos = simulate_bags(replace(SMALL, bags=100), draw=1).cohort.infos
    known = defaultdict(set)
    for info in infos:
        known[info.patient].add((info.site, info.label))
    assert {len(facts) for facts in known.values()} == {1}
    counts = Counter(Counter(info.patient for info in infos).values())
    assert counts == {1: 60, 2: 20}


@pytest.mark.parametrize("association", [0.0, 0.6, 1.0])
def test_site_label_association_is_as_planted(association: float) -> None:
    recipe = replace(SMALL, bags=160, two_cases=0.0, site_label_association=association)
    infos = simulate_bags(recipe, draw=1).cohort.infos
    for site in range(4):
        labels = [info.label == 1 for info in infos if info.site == f"site-{site}"]
        wanted = (1 + (-1) ** site * association) / 2
        # 40 patients a site, one of them rounded
        assert sum(labels) / len(labels) == pytest.approx(wanted, abs=1 / 40)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"easy": 1.5}, "must be in"),
        ({"witness": (0.2, 0.1)}, "least, most"),
        ({"instances": (1, 9)}, "fewest, above most"),
        ({"dim": 12}, "at least subspace"),
        ({"bags": 0}, "1 or more"),
        ({"site_label_association": -0.1}, "site_label_association"),
        ({"site_shift": float("inf")}, "finite"),
    ],
)
def test_recipe_out_of_range_is_refused(change: dict[str, object], text: str) -> None:
    with pytest.raises(RefusedInputError, match=text):
        replace(SMALL, **change)  # type: ignore[arg-type]  # wrong on purpose


def test_spec_bags_are_as_described(spec: SimulatedBags) -> None:
    cohort = spec.cohort
    assert (len(cohort), cohort.source.dim) == (60, 1024)
    assert cohort.labels.tolist() == [0, 1] * 30
    sizes = [cohort.instances(bag) for bag in range(60)]
    assert 150 <= min(sizes) < max(sizes) < 500
    rates = [float(truth.double().mean()) for truth in spec.truth[1::2]]
    assert 0.013 <= min(rates) < max(rates) <= 0.10
    assert not any(bool(truth.any()) for truth in spec.truth[::2])


def test_spec_bags_keep_their_order_of_draws(spec: SimulatedBags) -> None:
    assert [spec.cohort.instances(bag) for bag in range(4)] == SPEC_SIZES
    assert [int(truth.sum()) for truth in spec.truth[1:8:2]] == SPEC_COUNTS
    # float32 of a product whose last bits depend on the library
    assert float(spec.cohort.rows(0).double().mean()) == pytest.approx(SPEC_MEAN, abs=1e-6)


def test_projected_spec_bags_are_the_same_bags(spec: SimulatedBags) -> None:
    projected = spec_bags(dim=512)
    assert projected.cohort.source.dim == 512
    assert all(torch.equal(a, b) for a, b in zip(spec.truth, projected.truth, strict=True))
    with pytest.raises(RefusedInputError, match="512"):
        spec_bags(dim=64)

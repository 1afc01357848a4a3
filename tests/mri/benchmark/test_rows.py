"""Who is first, and what is said of it, from scores that are written down."""

import pytest
import torch

from medconsist.mri.bench.learned.rows import Where
from medconsist.mri.bench.learned.scores import Scores
from medconsist.mri.benchmark.evaluation import Judged
from medconsist.mri.benchmark.rows import (
    cost_table,
    diverged_table,
    quality_table,
    scope_table,
)
from medconsist.mri.benchmark.training import Outcome
from medconsist.results.bench import BenchTable, Target

N = 10


def judged_with(means: dict[str, float], *, cell: str = "1-D 8x") -> Judged:
    spread = [0.01 * (scan % 5) for scan in range(N)]
    values: dict[tuple[str, str], list[float]] = {}
    for place, (name, mean) in enumerate(means.items()):
        ssim = [mean + one + 0.001 * ((place + 1) * scan**2 % 7) for scan, one in enumerate(spread)]
        values |= {(name, "ssim"): ssim, (name, "psnr"): [30 * v for v in ssim]}
        values[name, "nmse"] = [1 - v for v in ssim]
    return Judged({cell: Scores(values, {name: [0.1] * N for name in means})}, {cell: {}})


@pytest.fixture
def where(generator: torch.Generator) -> Where:
    return Where(anatomy="simulated", unit="simulated scan", seed=4, generator=generator)


def firsts(table: BenchTable) -> dict[str, Target]:
    return {one.name: one for one in table.targets if " first in ssim" in one.name}


def test_where_cirim_is_first_it_is_said(where: Where) -> None:
    table = quality_table(judged_with({"cs": 0.7, "cirim": 0.9, "varnet": 0.8}), where)
    (target,) = firsts(table).values()
    assert target.met
    assert str(target.seen).startswith("cirim first, 0.92")


def test_where_another_is_first_it_is_named_with_its_lead(where: Where) -> None:
    table = quality_table(judged_with({"cs": 0.7, "cirim": 0.8, "varnet": 0.9}), where)
    (target,) = firsts(table).values()
    assert not target.met
    assert str(target.seen).startswith("varnet first, 0.9")
    assert "cirim behind by 0.1" in str(target.seen)
    assert "(0." in str(target.seen)


def test_where_cirim_is_first_its_lead_is_said_too(where: Where) -> None:
    table = quality_table(judged_with({"cs": 0.7, "cirim": 0.9, "varnet": 0.8}), where)
    (target,) = firsts(table).values()
    assert "ahead of varnet by 0.09" in str(target.seen)
    assert "(0." in str(target.seen)


@pytest.mark.parametrize("form", ["cirim-explicit", "varnet-weighted", "unet-265k"])
def test_whatever_had_the_same_time_can_be_first(where: Where, form: str) -> None:
    table = quality_table(judged_with({"cirim": 0.8, form: 0.9, "cs": 0.7}), where)
    target = firsts(table)["simulated, 1-D 8x, cirim first in ssim at equal training time"]
    assert not target.met
    assert str(target.seen).startswith(f"{form} first")


def test_forms_of_data_consistency_are_compared_in_each_cell(where: Where) -> None:
    means = {"cirim": 0.8, "cirim-explicit": 0.9, "varnet": 0.7, "varnet-implicit": 0.6}
    cases = [row.case for row in quality_table(judged_with(means), where).rows]
    assert any("cirim less cirim-explicit (paired)" in case for case in cases)
    assert any("varnet-implicit less varnet (paired)" in case for case in cases)
    found = [case for case in cases if "varnet-implicit less varnet" in case]
    assert len(found) == 3  # once a metric


def test_the_table_says_that_each_network_was_trained_once(where: Where) -> None:
    (target,) = scope_table([outcome("cirim", 600), outcome("unet", 600)], where).targets
    assert not target.met
    assert target.seen == "1 training of each of 2: intervals are over scans alone"


def test_each_view_has_its_own_first(where: Where) -> None:
    means = {"cs": 0.7, "cirim": 0.9, "cirim-265k": 0.75, "varnet-265k": 0.8, "varnet": 0.6}
    table = firsts(quality_table(judged_with(means), where))
    met = {name.split(" first")[0].rsplit(", ", 1)[1]: one.met for name, one in table.items()}
    assert met == {"cirim": True, "cirim-265k": False}


def test_the_contrast_of_the_table_is_of_one_cell(where: Where) -> None:
    means = {"cirim": 0.9, "varnet": 0.8}
    here = [row for row in quality_table(judged_with(means), where).rows if "fixed" in row.case]
    assert len(here) == 2
    there = quality_table(judged_with(means, cell="2-D 8x"), where).rows
    assert not [row for row in there if "fixed" in row.case]


def outcome(name: str, seconds: float, *, resumed: bool = False) -> Outcome:
    facts = {"seconds": seconds, "steps": 9, "lr": 0.001, "validation_ssim": 0.8}
    return Outcome(name=name, facts=facts | {"resumed": resumed})


@pytest.mark.parametrize(("seconds", "met"), [(590.0, True), (655.0, True), (670.0, False)])
def test_equal_time_is_asked_of_the_trainings(where: Where, seconds: float, met: bool) -> None:
    trained = [outcome("cirim", 600), outcome("unet", seconds)]
    table = cost_table(trained, judged_with({"cirim": 0.9}), {}, where=where, budget=600)
    (target,) = table.targets
    assert target.met is met


def test_trainings_that_a_kill_cut_are_named_and_not_counted(where: Where) -> None:
    trained = [outcome("cirim", 600), outcome("unet", 20, resumed=True)]
    table = cost_table(trained, judged_with({"cirim": 0.9}), {}, where=where, budget=600)
    (target,) = table.targets
    assert target.met
    assert "resumed, not counted: unet" in str(target.seen)


def test_a_network_without_finite_images_is_named(where: Where) -> None:
    found = Judged(broken={"rim": "an image of cell 2-D 4x is not finite"})
    (target,) = diverged_table(found, where).targets
    assert (target.name, target.met) == ("simulated, rim has finite weights and images", False)
    assert target.seen == "an image of cell 2-D 4x is not finite"

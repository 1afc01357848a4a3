"""The budget of a training: measured, divided, written down, kept to."""

from pathlib import Path

import pytest

from medconsist.errors import ConvergenceError
from medconsist.mri.benchmark import training
from medconsist.mri.benchmark.entrants import ENTRANTS
from medconsist.mri.benchmark.training import Material, train_entrant
from medconsist.mri.scan_pool import PoolConfig, ScanPool
from medconsist.results.kept import KeptFolder
from tests.mri.benchmark.tiny import tiny

TIMED = {"small": 0.5, "full": 2.0, "scoring": 2.0, "seconds": 10.0}


@pytest.fixture(scope="module")
def material() -> Material:
    config = PoolConfig(scans=1, slices=1, size=32, coils=4)
    return Material(ScanPool.simulate(config), ScanPool.simulate(config))


def test_steps_fill_the_budget_half_of_it_at_half_the_resolution() -> None:
    plan = training._plan(tiny(steps=None), TIMED, 100.0)
    assert plan == {"small_steps": 100, "full_steps": 25, "expected": 100.0}


def trial(score: float, seconds: float) -> dict[str, float | bool]:
    return {"score": score, "seconds": seconds, "expected": 20.0, "resumed": False}


def test_what_was_spent_on_trials_is_paid_from_the_budget() -> None:
    design = tiny(steps=None, minutes=5, rates=(1e-3, 3e-3), small_share=0)
    plan = training._final_plan(design, TIMED, {"0.001": trial(0.7, 22), "0.003": trial(0.8, 22)})
    assert plan["lr"] == 0.003
    assert plan["spent"] == 10 + 44
    assert plan["full_steps"] == (300 - 54 - 2) / 2


def test_a_loop_that_is_slower_than_was_measured_gets_fewer_steps() -> None:
    design = tiny(steps=None, minutes=5, rates=(1e-3, 3e-3), small_share=0)
    plan = training._final_plan(design, TIMED, {"0.001": trial(0.7, 32)})
    assert plan["full_steps"] == int((300 - 42 - 2) / 1.5 / 2)


def test_a_trial_that_was_killed_corrects_nothing() -> None:
    design = tiny(steps=None, minutes=5, rates=(1e-3, 3e-3), small_share=0)
    cut = trial(0.7, 3) | {"resumed": True}
    plan = training._final_plan(design, TIMED, {"0.001": cut})
    assert plan["full_steps"] == int((300 - 13 - 2) / 2)


def test_a_rate_that_diverges_is_not_taken() -> None:
    lost = {"score": None, "seconds": 1.0, "diverged": "Step 2: the loss is nan."}
    plan = training._final_plan(tiny(), TIMED, {"0.003": lost, "0.001": trial(0.1, 1)})
    assert plan["lr"] == 0.001
    with pytest.raises(ConvergenceError, match=r"at 0.003: Step 2: the loss is nan"):
        training._final_plan(tiny(), TIMED, {"0.003": lost})


def test_a_training_takes_its_time_and_no_more(tmp_path: Path, material: Material) -> None:
    budget = 5.0
    design = tiny(
        networks=("varnet",), steps=None, minutes=budget / 60, rates=(1e-3, 3e-3), pilot_share=0.3
    )
    kept = KeptFolder(tmp_path / "out", design.as_config())
    outcome = train_entrant(design, ENTRANTS["varnet"], kept, material)
    facts = outcome.facts or {}
    assert facts["steps"] >= 2
    assert facts["lr"] in design.rates
    # steps of milliseconds on a shared machine, and three starts of the loop inside five seconds
    assert budget / 3 < facts["seconds"] < 2 * budget
    assert train_entrant(design, ENTRANTS["varnet"], kept, material) == outcome

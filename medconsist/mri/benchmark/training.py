"""Every network is trained for the same time of one core, on the same slices in the same order.

The time of a step is measured first, steps are what the budget holds of it, and they are written
down before the first of them: a training that was killed goes on to the same weights. The schedule
is half a cosine to the last step. Validation slices choose the learning rate, and nothing else, by
short trainings that are paid out of the same budget.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from time import process_time
from typing import Any

import torch
from torch import Generator

from medconsist.errors import ConvergenceError
from medconsist.mri.benchmark.design import Design
from medconsist.mri.benchmark.entrants import Entrant
from medconsist.mri.learned.draws import MaskDraw
from medconsist.mri.learned.supervised import Supervised, SupervisedConfig
from medconsist.mri.scan_pool import ScanPool
from medconsist.results.kept import KeptFolder
from medconsist.training.fit import fit
from medconsist.training.run_folder import RunFolder
from medconsist.training.settings import TrainConfig

__all__ = ["Material", "Outcome", "train_entrant"]

logger = logging.getLogger(__name__)

_MEASURED_STEPS = 3
_SCORE = "val_ssim"
_WARMUP = 20  # one step in so many
_FACTOR = 2.0  # most by which a trial corrects what was measured


@dataclass(frozen=True, eq=False)
class Material:
    """What a network is trained on, and what its learning rate is chosen on.

    Parameters
    ----------
    training, validation
        Slices.
    masks, noise
        Of the draws of training, see `SupervisedConfig`.

    Examples
    --------
    >>> from medconsist.mri.scan_pool import PoolConfig
    >>> pool = ScanPool.simulate(PoolConfig(scans=1, slices=1, size=32, coils=2))
    >>> len(Material(pool, pool).training)
    1
    """

    training: ScanPool
    validation: ScanPool
    masks: MaskDraw = field(default_factory=MaskDraw)
    noise: tuple[float | int, float | int] = (1.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one training.

    Parameters
    ----------
    name
        Of the entrant.
    diverged
        Why there are no weights; empty where there are.
    weights
        Their file.
    sha256
        Of that file.
    facts
        ``seconds`` of a core, ``steps``, ``lr``, ``validation_ssim``; ``resumed`` is 1 where a kill
        lost count of some seconds.

    Examples
    --------
    >>> Outcome(name="unet", diverged="Step 3: the loss is nan.").weights is None
    True
    """

    name: str
    diverged: str = ""
    weights: Path | None = None
    sha256: str = ""
    facts: Mapping[str, float | int] | None = None


def train_entrant(
    design: Design, entrant: Entrant, kept: KeptFolder, material: Material
) -> Outcome:
    """Train one network, or return what is kept of it.

    Parameters
    ----------
    design
        Budget, rates and seed.
    entrant
        What is trained.
    kept
        Where measured times, steps and outcomes are kept; weights lie in ``trainings`` beside.
    material
        The slices.
    """
    name = entrant.name
    folder = kept.path / "trainings" / name
    try:
        found = kept.part(f"trained/{name}", lambda: _train(design, entrant, kept, material))
    except ConvergenceError as error:
        said = {"diverged": str(error)}
        logger.warning("%s diverged: %s", name, error)
        found = kept.part(f"trained/{name}", lambda: said)
    if "diverged" in found:
        return Outcome(name=name, diverged=found["diverged"])
    return Outcome(
        name=name,
        weights=RunFolder(folder / "run").weights,
        sha256=found["sha256"],
        facts=found["facts"],
    )


def _train(
    design: Design, entrant: Entrant, kept: KeptFolder, material: Material
) -> Mapping[str, Any]:
    name, folder = entrant.name, kept.path / "trainings" / entrant.name
    timed = kept.part(f"planned/{name} steps", lambda: _step_times(design, entrant, material))
    piloted, trials = len(design.rates) > 1, dict[str, Mapping[str, Any]]()
    for rate in design.rates if piloted else ():
        share = design.pilot_share / len(design.rates)
        plan = _plan(design, timed, design.seconds * share) | {"lr": rate}
        trial = partial(_trial, design, entrant, material, plan, folder / f"pilot-{rate:g}")
        trials[f"{rate:g}"] = kept.part(f"planned/{name} at {rate:g}", trial)
    final = kept.part(f"planned/{name}", lambda: _final_plan(design, timed, trials))
    ran = _fit(design, entrant, material, final, folder / "run")
    facts = {
        "seconds": final["spent"] + ran["seconds"],
        "step_seconds": timed["full"],
        "steps": final["small_steps"] + final["full_steps"],
        "small_steps": final["small_steps"],
        "lr": final["lr"],
        "resumed": ran["resumed"],
        "validation_ssim": ran["score"],
    }
    return {"facts": facts, "sha256": ran["sha256"]}


def _step_times(design: Design, entrant: Entrant, material: Material) -> Mapping[str, float | int]:
    """Return what a core takes: the median step at half and full resolution, the scoring."""
    start = process_time()
    times = dict[str, float]()
    for name, small_steps in (("small", 10**6), ("full", 0)):
        task = _task(design, entrant, material, small_steps if design.small_share else 0)
        times[name] = _median_step(task)
    scoring = process_time()
    with torch.no_grad():
        task.evaluate(task.build(Generator().manual_seed(0)))
    end = process_time()
    return times | {"scoring": end - scoring, "seconds": end - start}


def _median_step(task: Supervised) -> float:
    network = task.build(Generator().manual_seed(0))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-6)
    times = list[float]()
    for step in range(_MEASURED_STEPS + 1):
        start = process_time()
        optimiser.zero_grad()
        loss = task.losses(network, task.draw(Generator().manual_seed(step), step))["loss"]
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        optimiser.step()
        times.append(process_time() - start)
    return sorted(times[1:])[_MEASURED_STEPS // 2]  # the first one allocates


def _plan(
    design: Design, timed: Mapping[str, float | int], seconds: float
) -> dict[str, float | int]:
    """Return how many steps of each resolution fit into so many seconds, and what they take."""
    if design.steps is not None:
        small = int(design.small_share * design.steps)
        full = design.steps - small
    else:
        small = int(design.small_share * seconds / timed["small"])
        full = max(1, int((1 - design.small_share) * seconds / timed["full"]))
    expected = small * timed["small"] + full * timed["full"]
    return {"small_steps": small, "full_steps": full, "expected": expected}


def _trial(
    design: Design,
    entrant: Entrant,
    material: Material,
    plan: Mapping[str, float | int],
    folder: Path,
) -> Mapping[str, Any]:
    """Return score and time of a short training; of one that diverges, no score."""
    start = process_time()
    try:
        return _fit(design, entrant, material, plan, folder)
    except ConvergenceError as error:
        return {"score": None, "seconds": process_time() - start, "diverged": str(error)}


def _final_plan(
    design: Design, timed: Mapping[str, float | int], trials: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, float | int]:
    """Return rate and steps of the training itself, from what is left of the budget.

    A step of the loop takes another time than those that were measured; the trials say by how much.
    """
    spent = timed["seconds"] + sum(one["seconds"] for one in trials.values())
    scored = {rate: one["score"] for rate, one in trials.items() if one["score"] is not None}
    if trials and not scored:
        reasons = "; ".join(f"at {rate}: {one['diverged']}" for rate, one in trials.items())
        raise ConvergenceError(reasons)
    rate = float(max(scored, key=scored.__getitem__)) if scored else design.rates[0]
    longer = [
        (one["seconds"] - timed["scoring"]) / one["expected"]
        for one in trials.values()
        if one["score"] is not None and not one["resumed"]
    ]
    factor = min(max(fmean(longer), 1 / _FACTOR), _FACTOR) if longer else 1.0
    left = max(0.0, design.seconds - spent - timed["scoring"])
    plan = _plan(design, timed, left / factor)
    return plan | {"lr": rate, "spent": spent}


def _fit(
    design: Design,
    entrant: Entrant,
    material: Material,
    plan: Mapping[str, float | int],
    folder: Path,
) -> Mapping[str, Any]:
    steps = int(plan["small_steps"] + plan["full_steps"])
    task = _task(design, entrant, material, int(plan["small_steps"]))
    config = TrainConfig(
        steps=steps,
        lr=plan["lr"],
        warmup=steps // _WARMUP,
        seed=design.seed,
        evaluate_every=steps,
        checkpoint_every=max(1, steps // 20),
    )
    logger.info("training %s: %d steps at %g ...", entrant.name, steps, plan["lr"])
    resumed = RunFolder(folder).checkpoint.is_file()
    start = process_time()
    recipe = entrant.as_config() | {"plan": dict(plan)}
    fitted = fit(task, config, folder, recipe=recipe, resume=True, progress=False)
    return {
        "seconds": process_time() - start,
        "expected": plan["expected"],
        "resumed": resumed,
        "score": fitted.metrics[_SCORE],
        "sha256": RunFolder(folder).read_summary()["weights_sha256"],
    }


def _task(design: Design, entrant: Entrant, material: Material, small_steps: int) -> Supervised:
    config = SupervisedConfig(
        network=entrant.network,
        weighting=entrant.weighting,
        masks=material.masks,
        noise=material.noise,
        small=design.size // 2,
        small_steps=small_steps,
    )
    return Supervised(config, material.training, material.validation, about={"recipe": "benchmark"})

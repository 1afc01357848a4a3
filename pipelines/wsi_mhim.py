"""Train MHIM-MIL v1 and v2 from one teacher, beside their own baseline at equal compute.

::

    python pipelines/wsi_mhim.py                                # some minutes on 2 cores
    python pipelines/wsi_mhim.py --bags.easy 0.0                # all alike: no gain expected
    python pipelines/wsi_mhim.py --task.base dsmil --task.presets c16-dsmil v2
    python pipelines/wsi_mhim.py --task.momentum 0.9999         # as published; needs long runs

Per dataset draw of the simulator (nobody's tissue): a teacher is trained for some epochs, each
student starts from it and takes as many again, and the baseline is the teacher's own model trained
for both together. The unit of analysis is the draw, differences are paired by it. ``medconsist
bench mil`` asks the same over more draws and seeds, with one contrast fixed beforehand.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from torch import Generator, nn

from medconsist._atomic import atomic_write_bytes
from medconsist._digests import canonical_json
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.report import Estimate, interval, paired_difference, written
from medconsist.training.draws import generator_for
from medconsist.training.fit import fit
from medconsist.training.run_folder import RunFolder
from medconsist.training.settings import EarlyStop, TrainConfig
from medconsist.training.weights import read_weights
from medconsist.wsi.bench.mil_methods import standardised
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.mhim.config import PRESETS
from medconsist.wsi.mil.mhim.objective import MhimObjective
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.models.choice import architecture_of, model_from
from medconsist.wsi.mil.objective import MilObjective, Sampling, all_bags
from medconsist.wsi.mil.simulate import BagRecipe, simulate_bags

SIMULATED = "simulated bags"
UNIT = "dataset draw"
BASELINE = "baseline at equal compute"
SHARES = (0.36, 0.56)  # of the patients: where training ends, and where validation does
NEVER = 10**6


@dataclass(frozen=True, kw_only=True)
class Task:
    """Teacher, students, and how long each learns.

    Parameters
    ----------
    base
        The model below all of them.
    presets
        Students: names of ``medconsist.wsi.mil.mhim.config.PRESETS``.
    momentum
        Share of the old teacher. The papers' .9999 is for tens of thousands of steps: in hundreds
        the teacher would stay the baseline.
    width, dropout
        Of an embedded instance.
    epochs
        Of the teacher, and again of each student; the baseline takes both.
    lr, bags
        Largest learning rate of all; bags of a step.
    """

    base: Literal["abmil", "transmil", "dsmil"] = "abmil"
    presets: tuple[str, ...] = ("c16-abmil", "v2")
    momentum: float = 0.99
    width: int = 128
    dropout: float = 0.25
    epochs: int = 20
    lr: float = 1e-3
    bags: int = 4


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, on what, and how it is judged.

    Parameters
    ----------
    task
        Teacher and students.
    bags
        Simulated ones; by default most positive instances are easy, where MHIM should gain.
    draws, first_draw
        How many datasets of them, and the number of the first.
    seed
        Of the trainings.
    device
        Of the trainings.
    out
        Trainings go to ``out/runs``.
    resume
        Go on with what is in ``out``.
    """

    task: Task = field(default_factory=Task)
    bags: BagRecipe = field(default_factory=lambda: BagRecipe(easy=0.9))
    draws: int = 5
    first_draw: int = 300
    seed: int = 0
    device: Literal["cpu", "cuda"] = "cpu"
    out: Path = Path("out/wsi_mhim")
    resume: bool = False


recipe = Recipe()


def run(recipe: Recipe) -> str:
    """Train teachers, students and baselines; return the figures as text."""
    figures = list(on_draws(recipe))
    table = judged(figures)
    report = {
        "task": asdict(recipe.task),
        "bags": asdict(recipe.bags),
        "draws": [recipe.first_draw, recipe.first_draw + recipe.draws - 1],
        "seed": recipe.seed,
        "figures": figures,
        "table": {name: asdict(estimate) for name, estimate in table.items()},
    }
    atomic_write_bytes(recipe.out / "figures.json", canonical_json(report))
    rows = [f"{name:52} {written(estimate)}" for name, estimate in table.items()]
    head = f"MHIM-MIL over {recipe.task.base}, trained on {SIMULATED}, bag AUC on test bags"
    return "\n".join([head, *rows])


def on_draws(recipe: Recipe) -> Iterator[dict[str, float]]:
    """Yield the bag AUC of teacher, baseline and students of each dataset draw."""
    for draw in range(recipe.first_draw, recipe.first_draw + recipe.draws):
        train, validation, test = parts_of(simulate_bags(recipe.bags, draw=draw).cohort)
        folder = recipe.out / "runs" / str(draw)
        trained = train_all(recipe, train, validation, folder)
        yield {name: bag_auc(network, test) for name, network in trained.items()}


def train_all(
    recipe: Recipe, train: Cohort, validation: Cohort, folder: Path
) -> dict[str, nn.Module]:
    """Return all networks of one dataset; validation chooses their checkpoints and nothing else."""
    task = recipe.task
    size = MilSize(
        dim=train.source.dim,
        classes=len(train.classes),
        width=task.width,
        dropout=task.dropout,
    )
    architecture = architecture_of(task.base, size)
    common: dict[str, Any] = {
        "sampling": Sampling(bags=task.bags, seed=recipe.seed),
        "architecture": architecture,
        "about": {"recipe": f"pipelines/wsi_mhim.py, {SIMULATED}"},
    }
    steps = task.epochs * -(-len(train) // task.bags)

    def make(generator: Generator) -> nn.Module:
        return model_from(architecture, generator)

    def fitted(objective: MilObjective, stage: str, *, parts: int = 1) -> nn.Module:
        config = settings(recipe, parts * steps)
        described = {"task": asdict(task), "bags": asdict(recipe.bags), "stage": stage}
        done = fit(
            objective,
            config,
            folder / stage,
            recipe=described,
            resume=recipe.resume,
            progress=False,
        )
        return done.network

    found = {"teacher": fitted(MilObjective(make, train, validation, **common), "teacher")}
    plain = MilObjective(make, train, validation, **common)
    found[BASELINE] = fitted(plain, "baseline", parts=2)
    teacher = read_weights(RunFolder(folder / "teacher").weights)
    for preset in task.presets:
        config = replace(PRESETS[preset], momentum=task.momentum).over(steps)
        student = MhimObjective(make, teacher, config, train, validation, **common)
        found[f"MHIM {preset}"] = fitted(student, preset)
    return found


def settings(recipe: Recipe, steps: int) -> TrainConfig:
    """Return the settings of one stage; all are judged on validation equally often."""
    return TrainConfig(
        steps=steps,
        lr=recipe.task.lr,
        weight_decay=1e-5,
        seed=recipe.seed,
        device=recipe.device,
        evaluate_every=max(1, steps // 10),
        checkpoint_every=min(steps, 200),
        stop=EarlyStop(metric="val_log_loss", patience=NEVER),
    )


def parts_of(cohort: Cohort) -> list[Cohort]:
    """Return training, validation and test, standardised; patients come in random order."""
    patients = list(dict.fromkeys(cohort.patients))
    cuts = (0, *(int(share * len(patients)) for share in SHARES), len(patients))
    parts = [
        cohort.part([bag for bag, one in enumerate(cohort.patients) if one in patients[a:b]])
        for a, b in pairwise(cuts)
    ]
    return standardised(*parts)


def bag_auc(network: nn.Module, test: Cohort) -> float:
    """Return the area under the curve of the test bags."""
    said = torch.cat([output.probabilities[:, 1].cpu() for _, output in all_bags(network, test)])
    return area_under_roc(said, test.labels == 1)


def judged(figures: Sequence[dict[str, float]]) -> dict[str, Estimate]:
    """Return the mean AUC of each network over draws, and what each student gains."""
    columns = {name: [one[name] for one in figures] for name in figures[0]}
    table = {
        name: interval(values, unit=UNIT, generator=generator_for(0, place))
        for place, (name, values) in enumerate(columns.items())
    }
    students = [name for name in columns if name.startswith("MHIM")]
    for place, name in enumerate(students):
        table[f"{name} - {BASELINE} (paired)"] = paired_difference(
            columns[name], columns[BASELINE], unit=UNIT, generator=generator_for(1, place)
        )
    return table


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    sys.stdout.write(run(tyro.cli(Recipe, default=recipe)) + "\n")

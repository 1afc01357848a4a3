"""Train a plain model of bags (or the probe), beside the probe that it must beat.

::

    python pipelines/wsi_mil.py                                  # about a minute on 2 cores
    python pipelines/wsi_mil.py --task.method transmil --draws 3
    python pipelines/wsi_mil.py --bags.easy 0.9 --bags.site-shift 0
    python pipelines/wsi_mil.py --yours.manifest cases.csv --yours.split split.json \
        --yours.classes normal tumour --yours.results results    # or --yours.features, --yours.unit

Without data of yours, bags are simulated (nobody's tissue): the unit of analysis is then the
dataset draw, and the difference to the probe is paired by draw. Of your data, figures are those of
the validation part, which flatter; the labels of the test part stay sealed until
``medconsist wsi evaluate --final``.
"""

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
import tyro
from jaxtyping import Bool
from torch import Tensor

from medconsist._atomic import atomic_write_bytes
from medconsist._digests import canonical_json
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.report import Estimate, interval, paired_difference, written
from medconsist.training.draws import generator_for
from medconsist.wsi.bench.mil_methods import standardised
from medconsist.wsi.mil.baselines import mean_instance_auc
from medconsist.wsi.mil.card import SpaceRecord
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.desk import Desk
from medconsist.wsi.mil.evaluate import answers_of, evaluate
from medconsist.wsi.mil.methods import MethodChoice
from medconsist.wsi.mil.objective import Sampling, all_bags
from medconsist.wsi.mil.predictor import Predictor
from medconsist.wsi.mil.simulate import BagRecipe, simulate_bags
from medconsist.wsi.mil.training_run import MilTraining, Provenance

SIMULATED = "simulated bags"
PROBE = "probe"
UNIT = "dataset draw"
SHARES = (0.36, 0.56)  # of the patients: where training ends, and where validation does
FLATTERS = "Checkpoint, threshold and temperature were chosen here: these figures flatter."


@dataclass(frozen=True, kw_only=True)
class Task:
    """The method, and how long it learns.

    Parameters
    ----------
    method
        See docs/mil.md; those with a teacher and INS have recipes of their own.
    width, dropout
        Of an embedded instance.
    epochs, lr
        Over the training bags; largest learning rate.
    bags
        Of a step.
    instances
        Most of a bag in a step; None takes all.
    """

    method: Literal[
        "probe",
        "mean",
        "mean-mlp",
        "max",
        "abmil",
        "abmil-gated",
        "clam-sb",
        "dsmil",
        "transmil",
        "dtfd",
        "acmil",
        "panther",
    ] = "abmil"
    width: int = 128
    dropout: float = 0.25
    epochs: int = 20
    lr: float = 1e-3
    bags: int = 4
    instances: int | None = None


@dataclass(frozen=True, kw_only=True)
class Yours:
    """Bags of yours; none: they are simulated.

    Parameters
    ----------
    manifest, split, round
        Cases, and the frozen split of ``medconsist manifest split``.
    classes, label
        In the order of their numbers, and the column of the manifest that has them.
    results, study
        Features of ``medconsist wsi embed``; or
    features, unit
        a file of any model's, and what a row of it stands for.
    """

    manifest: Path | None = None
    split: Path = Path("split.json")
    round: int = 0
    classes: tuple[str, ...] = ("normal", "tumour")
    label: str = "label"
    results: Path | None = None
    study: str = "wsi"
    features: Path | None = None
    unit: Literal["tile", "slide", "case"] | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, on what, and how it is judged.

    Parameters
    ----------
    task
        The method.
    bags
        Simulated ones.
    draws, first_draw
        How many datasets of them, and the number of the first.
    yours
        Data of yours instead.
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
    bags: BagRecipe = field(default_factory=BagRecipe)
    draws: int = 5
    first_draw: int = 200
    yours: Yours = field(default_factory=Yours)
    seed: int = 0
    device: Literal["cpu", "cuda"] = "cpu"
    out: Path = Path("out/wsi_mil")
    resume: bool = False


recipe = Recipe()


@dataclass(frozen=True)
class Dataset:
    """One draw, split by patient and standardised; its truth lies apart."""

    train: Cohort
    validation: Cohort
    test: Cohort
    truth: tuple[Bool[Tensor, " _"], ...]


def run(recipe: Recipe) -> str:
    """Train, judge, and return the figures as text."""
    if recipe.yours.manifest is not None:
        return on_yours(recipe, recipe.yours.manifest)
    figures = list(on_draws(recipe))
    table = judged(figures, recipe.task.method)
    report = {
        "task": asdict(recipe.task),
        "bags": asdict(recipe.bags),
        "draws": [recipe.first_draw, recipe.first_draw + recipe.draws - 1],
        "seed": recipe.seed,
        "figures": figures,
        "table": {name: asdict(estimate) for name, estimate in table.items()},
    }
    atomic_write_bytes(recipe.out / "figures.json", canonical_json(report))
    rows = [f"{name:44} {written(estimate)}" for name, estimate in table.items()]
    sizes = f"{recipe.bags.bags} bags a draw, {SHARES[0]:.0%} of the patients to train on"
    return "\n".join([f"{recipe.task.method}, trained on {SIMULATED}: {sizes}", *rows])


def on_yours(recipe: Recipe, manifest: Path) -> str:
    """Train on data of the user, and return what validation says."""
    yours = recipe.yours
    desk = Desk(
        manifest=manifest,
        split=yours.split,
        classes=yours.classes,
        column=yours.label,
        round=yours.round,
        bags=yours.results,
        study=yours.study,
        features=yours.features,
        unit=yours.unit,
    )
    validation = desk.validation
    folder = recipe.out / "runs" / "yours"
    predictor = trained(
        recipe, recipe.task.method, desk.parts.train, validation, desk.provenance(), folder
    )
    answers = answers_of(predictor, validation)
    said = evaluate(answers, predictor.card, part="validation", sentences=[FLATTERS])
    return f"{folder}: trained on {len(desk.parts.train)} cases of yours\n{said.text}"


def on_draws(recipe: Recipe) -> Iterator[dict[str, float]]:
    """Yield the figures of each dataset draw: of the method and of the probe."""
    for draw in range(recipe.first_draw, recipe.first_draw + recipe.draws):
        data = dataset(recipe.bags, draw)
        found: dict[str, float] = {}
        for method in dict.fromkeys((recipe.task.method, PROBE)):
            folder = recipe.out / "runs" / f"{method}-{draw}"
            origin = Provenance(
                space=SpaceRecord(dim=recipe.bags.dim),
                study=f"{SIMULATED}, draw {draw}",
                notes=("Bags of this simulator, nobody's tissue.",),
            )
            predictor = trained(recipe, method, data.train, data.validation, origin, folder)
            found |= {f"{method}, {name}": v for name, v in scores(predictor, data).items()}
        yield found


def dataset(bags: BagRecipe, draw: int) -> Dataset:
    """Return a draw; the simulator has its patients in random order, so the first are any."""
    simulated = simulate_bags(bags, draw=draw)
    cohort = simulated.cohort
    patients = list(dict.fromkeys(cohort.patients))
    cuts = (0, *(int(share * len(patients)) for share in SHARES), len(patients))
    parts = [
        cohort.part([bag for bag, one in enumerate(cohort.patients) if one in patients[a:b]])
        for a, b in pairwise(cuts)
    ]
    train, validation, test = standardised(*parts)
    return Dataset(train, validation, test, simulated.truth_of(parts[2]))


def trained(
    recipe: Recipe,
    method: str,
    train: Cohort,
    validation: Cohort,
    provenance: Provenance,
    folder: Path,
) -> Predictor:
    """Return the trained method; validation alone chooses its checkpoint and its temperature."""
    task = recipe.task
    return MilTraining(
        out=folder,
        choice=MethodChoice(name=method, width=task.width, dropout=task.dropout),
        train=train,
        validation=validation,
        provenance=provenance,
        epochs=task.epochs,
        lr=task.lr,
        patience=None,
        evaluations=10,
        sampling=Sampling(bags=task.bags, instances=task.instances, seed=recipe.seed),
        device=recipe.device,
        seed=recipe.seed,
        resume=recipe.resume,
        progress=False,
    ).run()


def scores(predictor: Predictor, data: Dataset) -> dict[str, float]:
    """Return the AUC of the test bags and, within the positive ones, of their instances."""
    outputs = [output for _, output in all_bags(predictor.network, data.test)]
    said = torch.cat([output.probabilities[:, 1] for output in outputs])
    found = {"bag AUC": area_under_roc(said, data.test.labels == 1)}
    if outputs[0].attention is not None:
        attention = [one.attention.mean(1) for one in outputs if one.attention is not None]
        found["instance AUC, attention"] = mean_instance_auc(attention, data.truth)
    if outputs[0].instance_scores is not None:
        classes = [
            one.instance_scores.diff(dim=1)[:, 0]
            for one in outputs
            if one.instance_scores is not None
        ]
        found["instance AUC, instance scores"] = mean_instance_auc(classes, data.truth)
    return found


def judged(figures: Sequence[dict[str, float]], method: str) -> dict[str, Estimate]:
    """Return the mean of each figure over draws, and what the method gains on the probe."""
    columns = {name: [one[name] for one in figures] for name in figures[0]}
    table = {
        name: interval(values, unit=UNIT, generator=generator_for(0, place))
        for place, (name, values) in enumerate(columns.items())
    }
    if method != PROBE:
        table[f"{method} - {PROBE}, bag AUC (paired)"] = paired_difference(
            columns[f"{method}, bag AUC"],
            columns[f"{PROBE}, bag AUC"],
            unit=UNIT,
            generator=generator_for(1, 0),
        )
    return table


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    sys.stdout.write(run(tyro.cli(Recipe, default=recipe)) + "\n")

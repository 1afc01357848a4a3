"""Pre-train COMET (or a rival) without labels, probe it, and judge it beside what is trivial.

::

    python pipelines/ts_comet.py                                  # about 3 minutes on 2 cores
    python pipelines/ts_comet.py --world "not shared" --draws 3
    python pipelines/ts_comet.py --task.method ts2vec --task.options "{}"
    python pipelines/ts_comet.py --yours.prepared folder          # of medconsist ts prepare

Without data of yours, EEGs are simulated (nobody's brain): encoders learn on some patients without
labels, a logistic probe sees the labels of a few of them, fresh patients are judged; the unit of
analysis is the dataset draw, and the difference to the encoder before training is paired by draw.
Of your recordings, each pair of patients is left out once; the unit is the patient, and the one
contrast is the method less band power, both with the same probe.
"""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from medconsist._atomic import atomic_write_bytes, make_folder
from medconsist._digests import canonical_json
from medconsist.metrics.report import Estimate, t_interval, written
from medconsist.timeseries.bench.world_draw import Dataset, Patients
from medconsist.timeseries.candidates import Budgets, candidates
from medconsist.timeseries.evaluation.band_power import BandPower
from medconsist.timeseries.evaluation.judge import Contrast, JudgeSettings, judge
from medconsist.timeseries.evaluation.rounds import RoundsPlan, make_rounds
from medconsist.timeseries.prepared import read_prepared
from medconsist.timeseries.pretrained import Pretraining, as_released
from medconsist.timeseries.pretraining import WindowSampling, encode_all
from medconsist.training.draws import generator_for

SIMULATED = "patients of this simulator"
RANDOM, HAND_MADE, LUCK = "encoder before training", "band power", "permuted labels"
UNIT = "dataset draw"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is pre-trained, and for how long.

    Parameters
    ----------
    method
        comet, comet-reference, comet-ordering, ts2vec, mixing-up, ts-tcc, simclr, tf-c, clocs, cpc.
    options
        Of the method, as JSON; for COMET also the sizes of its encoder.
    epochs, batch, lr
        Over the windows; windows a step; of AdamW.
    choose
        ``best`` keeps the weights of the highest rank less identity, which no label enters.
    """

    method: str = "comet"
    options: str = '{"hidden": 32, "dim": 64, "depth": 6}'
    epochs: int = 7
    batch: int = 32
    lr: float = 1e-3
    choose: Literal["best", "last"] = "last"

    def pretraining(self, seed: int, device: Literal["cpu", "cuda"]) -> Pretraining:
        """Return it with these settings."""
        how = Pretraining(
            method=self.method,
            options=json.loads(self.options),
            epochs=self.epochs,
            lr=self.lr,
            sampling=WindowSampling(batch=self.batch, seed=seed),
            average="last",
            choose=self.choose == "best",
            evaluations=self.epochs,
            device=device,
            seed=seed,
        )
        return as_released(how)


@dataclass(frozen=True, kw_only=True)
class Yours:
    """Recordings of yours; none: they are simulated.

    Parameters
    ----------
    prepared
        Folder of ``medconsist ts prepare``.
    blocks
        A pair's encoder learns on the patients of all blocks that hold neither of it.
    permutations
        Labellings for the permutation test.
    """

    prepared: Path | None = None
    blocks: int = 4
    permutations: int = 99


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, on what, and how it is judged.

    Parameters
    ----------
    task
        The method.
    world
        Whether a patient's recordings share what tells the classes apart.
    patients
        Simulated ones.
    draws, first_draw
        How many datasets of them, and the number of the first.
    yours
        Recordings of yours instead.
    seed
        Of the training.
    device
        Of the training.
    out
        Trainings go to ``out/runs``.
    resume
        Go on with trainings that were killed.
    """

    task: Task = field(default_factory=Task)
    world: Literal["shared", "not shared"] = "shared"
    patients: Patients = field(default_factory=Patients)
    draws: int = 2
    first_draw: int = 500
    yours: Yours = field(default_factory=Yours)
    seed: int = 0
    device: Literal["cpu", "cuda"] = "cpu"
    out: Path = Path("runs/ts_comet")
    resume: bool = False


recipe = Recipe()


def run(recipe: Recipe) -> str:
    """Train and judge, and return what was found, for people."""
    make_folder(recipe.out)
    prepared = recipe.yours.prepared
    return on_draws(recipe) if prepared is None else on_yours(recipe, prepared)


def on_draws(recipe: Recipe) -> str:
    """Pre-train on each simulated dataset, and return the table over them."""
    numbers = range(recipe.first_draw, recipe.first_draw + recipe.draws)
    figures = [of_draw(recipe, draw) for draw in numbers]
    table = judged(figures, recipe.task.method)
    report = {"draws": list(numbers), "figures": figures}
    atomic_write_bytes(recipe.out / "figures.json", canonical_json(report))
    rows = [
        f"draw {draw}: " + ", ".join(f"{name} {value:.3f}" for name, value in one.items())
        for draw, one in zip(numbers, figures, strict=True)
    ]
    rows += [f"{name:44} {written(estimate)}" for name, estimate in table.items()]
    sizes = recipe.patients
    head = (
        f"{recipe.task.method}, pre-trained on {sizes.learnt} {SIMULATED}, world: {recipe.world}; "
        f"labels of {sizes.labelled} + {sizes.labelled}, AUC of {sizes.fresh} fresh ones"
    )
    return "\n".join([head, *rows])


def of_draw(recipe: Recipe, draw: int) -> dict[str, float]:
    """Return the area of fresh patients by the method, by its first weights, and by band power."""
    data = Dataset.of(recipe.patients.recipe(recipe.world), recipe.patients, draw)
    how = recipe.task.pretraining(recipe.seed + draw, recipe.device)
    folder = recipe.out / "runs" / f"{recipe.task.method}-{draw}"
    network = how.run(data.seen, folder, resume=recipe.resume, progress=False)
    untrained = how.make(data.seen)(generator_for(how.seed)).eval()
    truth = data.cohort.truth
    return {
        recipe.task.method: data.probed(encode_all(network, data.scaled)),
        RANDOM: data.probed(encode_all(untrained, data.scaled)),
        LUCK: data.permuted(encode_all(network, data.scaled)),
        HAND_MADE: data.probed(BandPower().features(data.cohort.windows)),
        "best possible score (all patients)": truth.ceiling,
    }


def judged(figures: Sequence[dict[str, float]], method: str) -> dict[str, Estimate]:
    """Return the mean of each figure over draws, and what training gained."""
    columns = {name: [one[name] for one in figures] for name in figures[0]}
    table = {name: t_interval(values, unit=UNIT) for name, values in columns.items()}
    gains = [one[method] - one[RANDOM] for one in figures]
    return table | {f"{method} less {RANDOM} (paired)": t_interval(gains, unit=UNIT)}


def on_yours(recipe: Recipe, prepared: Path) -> str:
    """Judge the method on recordings of the user by leave-pair-out, and return the table."""
    windows = read_prepared(prepared)
    plan = RoundsPlan(kind="pairs", blocks=recipe.yours.blocks, seed=recipe.seed)
    budgets = Budgets(
        pretraining=recipe.task.pretraining(recipe.seed, recipe.device),
        folder=recipe.out / "runs",
    )
    settings = JudgeSettings(
        permutations=recipe.yours.permutations,
        contrast=Contrast(first=f"{recipe.task.method}, logistic", second="band power, logistic"),
        seed=recipe.seed,
    )
    report = judge(
        windows,
        candidates([recipe.task.method], windows, budgets=budgets),
        make_rounds(windows.table, plan, fingerprint=windows.fingerprint),
        settings,
    )
    atomic_write_bytes(recipe.out / "report.json", canonical_json(report.as_json()))
    return report.text


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    sys.stdout.write(run(tyro.cli(Recipe, default=recipe)) + "\n")

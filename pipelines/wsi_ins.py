"""Train INS from labels of bags alone, and ask what it knows of single instances.

::

    python pipelines/wsi_ins.py                             # features; about a minute on 2 cores
    python pipelines/wsi_ins.py --on tiles                  # end to end; some minutes
    python pipelines/wsi_ins.py --ins.least-positive 0      # as published
    python pipelines/wsi_ins.py --on tiles --train-tiles.device cuda --tiles.ins.batch 256

On features: bags of the simulator (nobody's tissue), per dataset draw the area under the ROC curve
of instances within positive test bags, beside a logistic regression on copied bag labels and the
same on true labels, a ceiling. Differences are paired by draw. On tiles: drawn slides with tumour
and without, written and read back; a ResNet18 learns with INS, and each positive test slide is a
unit. INS never sees what an instance is; the truth only judges.
"""

import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from jaxtyping import Bool
from torch import Generator, Tensor, nn
from tyro.conf import Fixed

from medconsist._atomic import atomic_write_bytes, make_folder
from medconsist._digests import canonical_json
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.report import Estimate, interval, paired_difference, written
from medconsist.networks.resnet import RESNET18, ResNetConfig
from medconsist.tiling.affine import Affine
from medconsist.training.draws import generator_for
from medconsist.training.fit import fit
from medconsist.training.settings import TrainConfig
from medconsist.wsi.bench.mil_methods import standardised
from medconsist.wsi.mil.baselines import (
    LogisticScorer,
    copied_label_scores,
    mean_instance_auc,
    true_label_scores,
)
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.ins.bag_score import instance_probability
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.objective import InsObjective
from medconsist.wsi.mil.ins.tiles import InsTilesConfig, InsTilesObjective
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.objective import Sampling, all_bags
from medconsist.wsi.mil.simulate import BagRecipe, simulate_bags
from medconsist.wsi.read_tiles import tissue_batches
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simclr.tile_pool import TilePool, build_pool
from medconsist.wsi.simclr.views import Views
from medconsist.wsi.simulate import SlideConfig, write_slide
from medconsist.wsi.tissue.tiles import mask_shares

SHARES = (0.36, 0.56)  # of the patients: where training ends, and where validation does
ROLES = ("train", "test")
CELL = 16  # level-0 pixels along a cell of the truth masks
TUMOUR = 0.5  # share from which a tile counts as tumour
ROLE_STRIDE = 2**16  # seeds of training and test slides never meet
ROUNDING = 1e-9
INS, COPIED, CEILING = "ins", "copied bag labels, logistic", "true labels, logistic (ceiling)"


@dataclass(frozen=True, kw_only=True)
class Tiles(InsTilesConfig):
    """INS end to end; the network is a ResNet18."""

    ins: InsConfig = field(
        default_factory=lambda: InsConfig(
            bag_loss="warmup",
            batch=32,
            bank=512,
            warmup=40,
            phi_steps=160,
            momentum=0.99,
            least_positive=0.1,
        )
    )
    backbone: Fixed[ResNetConfig] = RESNET18
    weak: Views = field(
        default_factory=lambda: Views(
            pixels=32, crop_area=(0.8, 1.0), stain=0.05, stain_shift=0.0, grey_share=0.0, blur=0.0
        )
    )
    strong: Views = field(default_factory=lambda: Views(pixels=32))
    bag_tiles: int = 32


@dataclass(frozen=True, kw_only=True)
class Slides:
    """Drawn slides, every second one with tumour.

    Parameters
    ----------
    train, test
        How many.
    size
        Rows and columns.
    mpp
        Microns per pixel of slides and tiles.
    tumour
        Share of the tissue of a positive slide.
    """

    train: int = 12
    test: int = 12
    size: int = 1024
    mpp: float = 1.0
    tumour: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, on what, and how it is judged.

    Parameters
    ----------
    on
        ``features``: simulated bags. ``tiles``: drawn slides, the encoder learns too.
    ins
        On features. Lengths are for runs of hundreds of steps; ``least_positive`` is 0 as
        published, and without it INS often collapses.
    width
        Of the encoder on features.
    bags, draws, first_draw
        Simulated bags, how many datasets of them, and the number of the first.
    train
        On features.
    tiles, slides, train_tiles
        On tiles.
    seed
        Of orders of bags, instances and tiles; that of the weights is in ``train``.
    out
        Runs go to ``out/runs``.
    resume
        Go on with what is in ``out``.
    """

    on: Literal["features", "tiles"] = "features"
    ins: InsConfig = field(
        default_factory=lambda: InsConfig(
            bank=1024, warmup=0, phi_steps=200, momentum=0.99, least_positive=0.1
        )
    )
    width: int = 128
    bags: BagRecipe = field(default_factory=BagRecipe)
    draws: int = 5
    first_draw: int = 400
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(steps=300, lr=1e-3, weight_decay=1e-5)
    )
    tiles: Tiles = field(default_factory=Tiles)
    slides: Slides = field(default_factory=Slides)
    train_tiles: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            steps=200, lr=1e-3, optimiser="adamw", weight_decay=1e-4, warmup=20
        )
    )
    seed: int = 0
    out: Path = Path("out/wsi_ins")
    resume: bool = False


recipe = Recipe()


def run(recipe: Recipe) -> str:
    """Train, judge, and return the figures as text."""
    if recipe.on == "tiles":
        pool, truth = pool_of(recipe)
        columns, unit = on_tiles(recipe, pool, truth), "slide"
        head = f"INS end to end, trained on {len(pool.of_slides(names(recipe, 'train')))} tiles of"
        head = f"{head} {recipe.slides.train} simulated slides; instance AUC in positive test ones"
    else:
        columns, unit = on_features(recipe), "dataset draw"
        head = f"INS, trained on simulated bags ({recipe.bags.bags} a draw), on test bags"
    table = judged(columns, unit)
    report = {
        "recipe": asdict(recipe) | {"out": recipe.out.name},
        "columns": columns,
        "table": {name: asdict(estimate) for name, estimate in table.items()},
    }
    atomic_write_bytes(recipe.out / "figures.json", canonical_json(report))
    return "\n".join([head, *(f"{name:60} {written(one)}" for name, one in table.items())])


def on_features(recipe: Recipe) -> dict[str, list[float]]:
    """Return the figures of each dataset draw by name."""
    columns: dict[str, list[float]] = {}
    for draw in range(recipe.first_draw, recipe.first_draw + recipe.draws):
        simulated = simulate_bags(recipe.bags, draw=draw)
        parts = parts_of(simulated.cohort)
        truth_of_train, _, truth = (simulated.truth_of(part) for part in parts)
        train, validation, test = standardised(*parts)
        network = ins_of(recipe, train, validation, recipe.out / "runs" / str(draw))
        outputs = [output for _, output in all_bags(network, test)]
        said = torch.cat([output.probabilities[:, 1].cpu() for output in outputs])
        scorer = LogisticScorer()
        scores = {
            INS: [instance_probability(output).cpu() for output in outputs],
            COPIED: copied_label_scores(train, test, scorer=scorer),
            CEILING: true_label_scores(train, truth_of_train, test, scorer=scorer),
        }
        found = {name: mean_instance_auc(one, truth) for name, one in scores.items()}
        found["ins, bag AUC"] = area_under_roc(said, test.labels == 1)
        for name, value in found.items():
            columns.setdefault(name, []).append(value)
    return columns


def ins_of(recipe: Recipe, train: Cohort, validation: Cohort, folder: Path) -> nn.Module:
    """Return INS after its last step: by its bags validation would choose one too early."""
    objective = InsObjective(
        MilSize(dim=train.source.dim, width=recipe.width),
        train,
        validation,
        config=recipe.ins,
        sampling=Sampling(bags=4, seed=recipe.seed),
        about={"recipe": "pipelines/wsi_ins.py, simulated bags"},
    )
    described = {"ins": asdict(recipe.ins), "bags": asdict(recipe.bags), "seed": recipe.seed}
    return fit(
        objective,
        recipe.train,
        folder,
        recipe=described,
        resume=recipe.resume,
        progress=False,
    ).network


def parts_of(cohort: Cohort) -> list[Cohort]:
    """Return training, validation and test; patients come in random order."""
    patients = list(dict.fromkeys(cohort.patients))
    cuts = (0, *(int(share * len(patients)) for share in SHARES), len(patients))
    return [
        cohort.part([bag for bag, one in enumerate(cohort.patients) if one in patients[a:b]])
        for a, b in pairwise(cuts)
    ]


def names(recipe: Recipe, role: str) -> list[str]:
    """Return the names of the slides of a role."""
    count = recipe.slides.train if role == "train" else recipe.slides.test
    return [f"{role}-{number:03d}" for number in range(count)]


def labels(recipe: Recipe) -> dict[str, int]:
    """Return the label of each slide: every second one has tumour."""
    return {name: int(name[-3:]) % 2 for role in ROLES for name in names(recipe, role)}


def pool_of(recipe: Recipe) -> tuple[TilePool, dict[str, Bool[Tensor, " _"]]]:
    """Return the tiles of all drawn slides and, for the judge alone, which of them are tumour."""
    slides, truth = recipe.slides, dict[str, list[bool]]()
    make_folder(recipe.out / "slides")

    def cut() -> Iterator[tuple[str, Tensor]]:
        for place, role in enumerate(ROLES):
            for number, name in enumerate(names(recipe, role)):
                config = SlideConfig(
                    width=slides.size,
                    height=slides.size,
                    mpp=slides.mpp,
                    tumour=slides.tumour * (number % 2),
                    downsample=CELL,
                    seed=place * ROLE_STRIDE + number,
                )
                path = recipe.out / "slides" / f"{name}.svs"
                written_truth = write_slide(path, config)
                affine = Affine(offset=(0.0, 0.0), scale=(written_truth.downsample,) * 2)
                settings = Embedding(target_mpp=slides.mpp, min_tissue=0.5)
                tile_px = recipe.tiles.weak.pixels
                for batch in tissue_batches(path, tile_px=tile_px, settings=settings):
                    shares = mask_shares(
                        batch.grid, written_truth.tumour, affine, items=batch.items
                    )
                    tumour = shares >= TUMOUR - ROUNDING
                    truth.setdefault(name, []).extend(np.asarray(tumour).tolist())
                    yield name, batch.tiles

    pool = build_pool(recipe.out / "pool", cut(), mpp=slides.mpp)
    return pool, {name: torch.tensor(kinds) for name, kinds in truth.items()}


def on_tiles(
    recipe: Recipe, pool: TilePool, truth: dict[str, Bool[Tensor, " _"]]
) -> dict[str, list[float]]:
    """Return the instance AUC of each positive test slide, after and before the training."""
    train, test = (pool.of_slides(names(recipe, role)) for role in ROLES)
    objective = InsTilesObjective(
        recipe.tiles,
        train,
        {name: label for name, label in labels(recipe).items() if name in train.slides},
        about={"recipe": "pipelines/wsi_ins.py, simulated slides"},
    )
    described = {
        "tiles": asdict(recipe.tiles),
        "slides": asdict(recipe.slides),
        "tiles_sha256": pool.sha256,
    }
    fitted = fit(
        objective,
        recipe.train_tiles,
        recipe.out / "runs" / "tiles",
        recipe=described,
        resume=recipe.resume,
    )
    untrained = objective.build(Generator().manual_seed(recipe.seed)).eval()
    shown = {INS: fitted.network, "untrained network": untrained}
    return {name: areas(network, recipe.tiles, test, truth) for name, network in shown.items()}


@torch.no_grad()
def areas(
    network: nn.Module,
    tiles: InsTilesConfig,
    test: TilePool,
    truth: dict[str, Bool[Tensor, " _"]],
) -> list[float]:
    """Return the AUC within each test slide that has tiles of both kinds."""
    device = next(network.parameters()).device
    plain, found = tiles.weak.plain(), list[float]()
    for name in test.slides:
        one = test.of_slides([name])
        if not 0 < int(truth[name].sum()) < len(one):
            continue
        parts = torch.split(torch.arange(len(one)), tiles.ins.batch)
        said = torch.cat(
            [
                network(plain(one.at(some).tiles, Generator()).to(device)).logits.cpu()
                for some in parts
            ]
        )
        found.append(area_under_roc(said.diff(dim=1)[:, 0], truth[name]))
    return found


def judged(columns: dict[str, list[float]], unit: str) -> dict[str, Estimate]:
    """Return the mean of each column, and what INS gains on the other scores of instances."""
    table = {
        name: interval(values, unit=unit, generator=generator_for(0, place))
        for place, (name, values) in enumerate(columns.items())
    }
    others = [name for name in columns if not name.startswith(INS)]
    for place, other in enumerate(others):
        table[f"{INS} - {other} (paired)"] = paired_difference(
            columns[INS], columns[other], unit=unit, generator=generator_for(1, place)
        )
    return table


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    sys.stdout.write(
        run(tyro.cli(Recipe, default=recipe, config=(tyro.conf.SuppressFixed,))) + "\n"
    )

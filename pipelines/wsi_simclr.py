"""Train a ResNet18 on tiles without labels (SimCLR), then ask what a straight cut through it knows.

::

    python pipelines/wsi_simclr.py                        # 20 core-minutes: 10 on 2 idle cores
    python pipelines/wsi_simclr.py --task.keys bank --task.batch 32 --out out/moco
    python pipelines/wsi_simclr.py --train.device cuda --train.precision bf16 --task.batch 256

The slides are simulated: what is printed says that the recipe learns, and nothing about tissue.
Training, validation and test slides differ in seed, and every third has another scanner. The probe
is a logistic regression on the tiles of a few labelled training slides, tumour against normal; its
area under the ROC curve is taken on each test slide alone, so that the slide is the unit of
analysis. ``OUT/encoder.safetensors`` is what ``make_encoder("resnet18", weights=FILE)`` takes.
"""

import logging
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor
from tyro.conf import Fixed

from medconsist._atomic import atomic_write_bytes
from medconsist._digests import canonical_json
from medconsist.metrics.report import Estimate, interval, paired_difference
from medconsist.networks.resnet import RESNET18, ResNetConfig
from medconsist.training.draws import generator_for
from medconsist.training.fit import fit
from medconsist.training.settings import TrainConfig
from medconsist.wsi.encoders.choice import make_encoder
from medconsist.wsi.encoders.encoder import Encoder
from medconsist.wsi.simclr.config import SimclrConfig
from medconsist.wsi.simclr.encoder_file import save_simclr_encoder
from medconsist.wsi.simclr.objective import SimclrObjective
from medconsist.wsi.simclr.probe import auc_by_slide, embed_pool, linear_probe
from medconsist.wsi.simclr.tile_pool import TilePool, build_pool
from medconsist.wsi.simclr.views import Views
from medconsist.wsi.simulate import SlideConfig, simulate_pixels, slide_truth

SCANNERS = ("a", "b", "c")
CELL = 16  # pixels of a tile that one cell of the truth masks covers
TISSUE = 0.5  # least share of a tile that is tissue
TUMOUR = 0.75  # least share that makes a tile tumour; without any it is normal
ROLE_STRIDE = 2**16  # seeds of training, validation and test slides never meet


@dataclass(frozen=True, kw_only=True)
class Task(SimclrConfig):
    """Views, batches and loss; the network is a ResNet18."""

    backbone: Fixed[ResNetConfig] = RESNET18
    views: Views = field(default_factory=lambda: Views(pixels=64))


@dataclass(frozen=True, kw_only=True)
class Slides:
    """Simulated slides, each drawn at the mpp of the tiles.

    Parameters
    ----------
    train, validation, test
        How many; at least 2 to train on.
    labelled
        Training slides whose tiles the probe sees with their labels.
    size
        Rows and columns.
    mpp
        Microns per pixel.
    """

    train: int = 24
    validation: int = 4
    test: int = 12
    labelled: int = 4
    size: int = 1536
    mpp: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, on what, and how it is judged.

    Parameters
    ----------
    task
        Views, batches and loss.
    slides
        Simulated slides; which are trained on, scored and tested on is no option.
    train
        See ``TrainConfig``.
    out
        The pool goes to ``out/pool``, the run to ``out/run``.
    resume
        Go on with the run that is in ``out``.
    """

    task: Task = field(default_factory=Task)
    slides: Slides = field(default_factory=Slides)
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            steps=600,
            lr=1e-3,
            optimiser="adamw",
            weight_decay=1e-4,
            warmup=50,
            precision="bf16",
            evaluate_every=100,
            checkpoint_every=100,
        )
    )
    out: Path = Path("out/wsi_simclr")
    resume: bool = False


recipe = Recipe()


def run(recipe: Recipe) -> str:
    """Train, probe; return where the encoder is, and the probe's table."""
    pixels = recipe.task.views.pixels
    truth: dict[str, Tensor] = {}

    def cut() -> Iterator[tuple[str, Tensor]]:
        for name, config in slides_of(recipe.slides).items():
            tiles, truth[name] = tiles_of(config, pixels)
            yield name, tiles

    pool = build_pool(recipe.out / "pool", cut(), mpp=recipe.slides.mpp)
    train, validation, test = (
        pool.of_slides([name for name in pool.slides if name.startswith(role)])
        for role in ("train", "validation", "test")
    )
    objective = SimclrObjective(
        recipe.task, train, validation, about={"recipe": "pipelines/wsi_simclr.py, simulated"}
    )
    described = {"task": asdict(recipe.task), "slides": asdict(recipe.slides)}
    fitted = fit(
        objective,
        recipe.train,
        recipe.out / "run",
        recipe={**described, "tiles_sha256": pool.sha256},
        resume=recipe.resume,
    )
    path = recipe.out / "encoder.safetensors"
    save_simclr_encoder(path, fitted, objective)
    shown, device = objective.preprocessing(), recipe.train.device
    encoders = {
        "simclr": make_encoder("resnet18", weights=path, device=device),
        "random-init": make_encoder("resnet18-random", preprocessing=shown, device=device),
        "colour-texture": make_encoder("colour-texture", preprocessing=shown, device=device),
    }
    labelled = train.of_slides(train.slides[: recipe.slides.labelled])
    found = {name: probe(one, labelled, test, truth) for name, one in encoders.items()}
    table = judged(found)
    report = {name: asdict(estimate) for name, estimate in table.items()}
    atomic_write_bytes(recipe.out / "probe.json", canonical_json({**described, "auc": report}))
    rows = [f"{name:24} {written(estimate)}" for name, estimate in table.items()]
    return "\n".join([f"{path}: {fitted.step} steps; AUC, simulated slides", *rows])


def slides_of(slides: Slides) -> dict[str, SlideConfig]:
    """Return the simulated slides by name; scanners take turns."""
    counts = {"train": slides.train, "validation": slides.validation, "test": slides.test}
    return {
        f"{role}-{number:03d}": SlideConfig(
            width=slides.size,
            height=slides.size,
            mpp=slides.mpp,
            tumour=0.4,
            scanner=SCANNERS[number % len(SCANNERS)],
            downsample=CELL,
            seed=place * ROLE_STRIDE + number,
        )
        for place, (role, count) in enumerate(counts.items())
        for number in range(count)
    }


def tiles_of(config: SlideConfig, pixels: int) -> tuple[Tensor, Tensor]:
    """Return the tissue tiles of a slide and, for each, 1 tumour, 0 normal or -1 neither.

    Parameters
    ----------
    config
        The slide; level 0 has the mpp of the tiles.
    pixels
        Rows and columns of a tile, a multiple of 16.
    """
    rows, columns = config.height // pixels, config.width // pixels
    level0 = simulate_pixels(config, 0, 0, rows * pixels, columns * pixels)
    tiles = level0.reshape(rows, pixels, columns, pixels, 3).swapaxes(1, 2)
    truth, cells = slide_truth(config), pixels // CELL
    tissue, tumour = (
        mask[: rows * cells, : columns * cells]
        .reshape(rows, cells, columns, cells)
        .mean((1, 3))
        .ravel()
        for mask in (truth.tissue, truth.tumour)
    )
    kind = np.select([tumour >= TUMOUR, tumour == 0], [1, 0], -1)
    chosen = tissue >= TISSUE
    kept = np.ascontiguousarray(tiles.reshape(-1, pixels, pixels, 3)[chosen])
    return torch.from_numpy(kept), torch.from_numpy(kind[chosen])


def probe(
    encoder: Encoder, labelled: TilePool, test: TilePool, truth: dict[str, Tensor]
) -> dict[int, float]:
    """Return the AUC of each test slide, of a probe on the labelled slides."""
    kinds = [torch.cat([truth[name] for name in pool.slides]) for pool in (labelled, test)]
    clear = [kind >= 0 for kind in kinds]
    seen, others = (
        embed_pool(encoder, pool)[use] for pool, use in zip((labelled, test), clear, strict=True)
    )
    known, wanted = (kind[use] > 0 for kind, use in zip(kinds, clear, strict=True))
    score = linear_probe(seen, known, others)
    return auc_by_slide(score, wanted, test.slide[clear[1]])


def judged(found: dict[str, dict[int, float]]) -> dict[str, Estimate]:
    """Return the mean AUC of each encoder, and what the trained one gains on the same slides."""
    values = {name: list(areas.values()) for name, areas in found.items()}
    table = {
        name: interval(areas, unit="slide", generator=generator_for(0, place))
        for place, (name, areas) in enumerate(values.items())
    }
    for place, other in enumerate(list(values)[1:]):
        table[f"simclr - {other}"] = paired_difference(
            values["simclr"], values[other], unit="slide", generator=generator_for(1, place)
        )
    return table


def written(estimate: Estimate) -> str:
    """Return an estimate as a person reads it."""
    low, high = estimate.ci_low, estimate.ci_high
    limits = "" if low is None or high is None else f"95 % CI {low:.3f} to {high:.3f}; "
    note = f"; {estimate.note}" if estimate.note else ""
    return f"{estimate.mean:+.3f} ({limits}n = {estimate.n} {estimate.unit_of_analysis}s{note})"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.stdout.write(
        run(tyro.cli(Recipe, default=recipe, config=(tyro.conf.SuppressFixed,))) + "\n"
    )

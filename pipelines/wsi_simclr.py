"""Train a ResNet18 on tiles without labels (SimCLR), then ask what a straight cut through it knows.

::

    python pipelines/wsi_simclr.py                        # 20 core-minutes: 10 on 2 idle cores
    python pipelines/wsi_simclr.py --task.keys bank --task.batch 32 --out out/moco
    python pipelines/wsi_simclr.py --task.style 0.1 --task.views.colour-share 0 --out out/style
    python pipelines/wsi_simclr.py --train.device cuda --train.precision bf16 --task.batch 256
    python pipelines/wsi_simclr.py --slides.paths *.svs --slides.mpp 0.5    # yours, without probe

Without slides of yours they are simulated, written as SVS and read back: what is printed then says
that the recipe learns, and nothing about tissue. Training, validation and test slides differ in
seed, and every third has another scanner. The probe is a logistic regression on the tiles of a few
labelled training slides, tumour against normal; its area under the ROC curve is taken on each test
slide alone, so that the slide is the unit of analysis. ``medconsist wsi embed SLIDE --encoder
resnet18 --weights OUT/encoder.safetensors`` takes what was trained.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor
from tyro.conf import Fixed

from medconsist._atomic import atomic_write_bytes, make_folder
from medconsist._digests import canonical_json
from medconsist.errors import RefusedInputError
from medconsist.metrics.report import Estimate, interval, paired_difference, written
from medconsist.networks.resnet import RESNET18, ResNetConfig
from medconsist.results.safetensors_file import require_regular
from medconsist.tiling.affine import Affine
from medconsist.training.draws import generator_for
from medconsist.training.fit import fit
from medconsist.training.settings import TrainConfig
from medconsist.wsi.encoders.choice import make_encoder
from medconsist.wsi.encoders.encoder import Encoder
from medconsist.wsi.read_tiles import TissueBatch, tissue_batches
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simclr.config import SimclrConfig
from medconsist.wsi.simclr.encoder_file import save_simclr_encoder
from medconsist.wsi.simclr.objective import SimclrObjective
from medconsist.wsi.simclr.probe import auc_by_slide, embed_pool, linear_probe
from medconsist.wsi.simclr.tile_pool import TilePool, build_pool
from medconsist.wsi.simclr.views import Views
from medconsist.wsi.simulate import SlideConfig, SlideTruth, write_slide
from medconsist.wsi.tissue.tiles import mask_shares

SCANNERS = ("a", "b", "c")
CELL = 16  # level-0 pixels along a cell of the truth masks
TISSUE = 0.5  # least share of a tile that is tissue
TUMOUR = 0.75  # least share that makes a tile tumour; without any it is normal
ROUNDING = 1e-9
MADE_OF = "made_of.json"
ROLE_STRIDE = 2**16  # seeds of training, validation and test slides never meet


@dataclass(frozen=True, kw_only=True)
class Task(SimclrConfig):
    """Views, batches and loss; the network is a ResNet18."""

    backbone: Fixed[ResNetConfig] = RESNET18
    views: Views = field(default_factory=lambda: Views(pixels=64))


@dataclass(frozen=True, kw_only=True)
class Slides:
    """Slides of yours, or simulated ones that state the mpp of the tiles.

    Parameters
    ----------
    paths
        Files to train on, the last ``validation`` of them to score on; none: simulated slides.
        Order them so that no patient is on both sides. Of the rest, only ``validation`` and
        ``mpp`` count then.
    train, validation, test
        How many; at least 2 to train on.
    labelled
        Training slides whose tiles the probe sees with their labels.
    size
        Rows and columns.
    mpp
        Microns per pixel of the tiles.
    """

    paths: tuple[Path, ...] = ()
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
        Yours, or simulated ones.
    train
        See ``TrainConfig``.
    out
        Simulated slides go to ``out/slides``, the pool to ``out/pool``, the run to ``out/run``. A
        finished pool of the same slides is not built again.
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
    """Train, and probe where the truth is known; return where the encoder is, and the table."""
    roles = split(recipe.slides)
    pool, kinds = pool_of(recipe)
    parts = {role: pool.of_slides(names) for role, names in roles.items() if names}
    made_of = "the user's slides" if recipe.slides.paths else "simulated"
    objective = SimclrObjective(
        recipe.task,
        parts["train"],
        parts.get("validation"),
        about={"recipe": f"pipelines/wsi_simclr.py, {made_of}"},
    )
    described = {"task": asdict(recipe.task), "slides": as_config(recipe.slides)}
    fitted = fit(
        objective,
        recipe.train,
        recipe.out / "run",
        recipe={**described, "tiles_sha256": pool.sha256},
        resume=recipe.resume,
    )
    path = recipe.out / "encoder.safetensors"
    save_simclr_encoder(path, fitted, objective)
    trained = f"{path}: {fitted.step} steps on {len(parts['train'])} tiles"
    if recipe.slides.paths:
        return f"{trained}; no probe, as nothing is known of what the slides show"
    shown, device = objective.preprocessing(), recipe.train.device
    encoders = {
        "simclr": make_encoder("resnet18", weights=path, device=device),
        "random-init": make_encoder("resnet18-random", preprocessing=shown, device=device),
        "colour-texture": make_encoder("colour-texture", preprocessing=shown, device=device),
    }
    labelled = pool.of_slides(roles["train"][: recipe.slides.labelled])
    found = {name: probe(one, labelled, parts["test"], kinds) for name, one in encoders.items()}
    table = judged(found)
    report = {name: asdict(estimate) for name, estimate in table.items()}
    atomic_write_bytes(recipe.out / "probe.json", canonical_json({**described, "auc": report}))
    rows = [f"{name:24} {written(estimate)}" for name, estimate in table.items()]
    return "\n".join([f"{trained}; AUC, simulated slides", *rows])


def split(slides: Slides) -> dict[str, list[str]]:
    """Return the names of the slides by role; a file's name is that without its suffix."""
    if not slides.paths:
        roles, names = ("train", "validation", "test"), list(simulated(slides))
        return {role: [name for name in names if name.startswith(role)] for role in roles}
    names = [path.stem for path in slides.paths]
    n_train = len(names) - slides.validation
    if len(set(names)) < len(names) or n_train < 2 or slides.validation < 0:
        msg = (
            f"--slides.paths got {len(names)} files of {len(set(names))} names, of which "
            f"{slides.validation} are for validation; allowed: names that differ, and at least 2 "
            "slides to train on. Give more slides, or lower --slides.validation."
        )
        raise RefusedInputError(msg)
    return {"train": names[:n_train], "validation": names[n_train:]}


def pool_of(recipe: Recipe) -> tuple[TilePool, dict[str, list[int]]]:
    """Return the tiles of all slides and, of each simulated one, what its tiles show.

    A finished pool of the same slides, as ``out/pool/made_of.json`` says, is taken as it is.
    """
    folder, pixels, made_of = recipe.out / "pool", recipe.task.views.pixels, made_of_what(recipe)
    with suppress(FileNotFoundError):
        held = json.loads((folder / MADE_OF).read_bytes())
        if held["made_of"] == made_of:
            return TilePool.open(folder), held["kinds"]
    kinds: dict[str, list[int]] = {}
    settings = Embedding(target_mpp=recipe.slides.mpp, min_tissue=TISSUE)

    def cut() -> Iterator[tuple[str, Tensor]]:
        for name, path, truth in slides_of(recipe):
            for batch in tissue_batches(path, tile_px=pixels, settings=settings):
                if truth is not None:
                    kinds.setdefault(name, []).extend(kinds_of(batch, truth))
                yield name, batch.tiles
        # before the pool counts as finished
        written = canonical_json({"made_of": made_of, "kinds": kinds})
        atomic_write_bytes(folder / MADE_OF, written)

    return build_pool(folder, cut(), mpp=recipe.slides.mpp), kinds


def made_of_what(recipe: Recipe) -> dict[str, Any]:
    """Return what decides the tiles; files count by size and time, for slides are large."""
    for path in recipe.slides.paths:
        require_regular(path, what="slide", allowed="a slide")
    files = [[one.st_size, one.st_mtime_ns] for one in map(Path.stat, recipe.slides.paths)]
    pixels = recipe.task.views.pixels
    return {"slides": as_config(recipe.slides), "files": files, "tile_px": pixels}


def as_config(slides: Slides) -> dict[str, Any]:
    """Return the settings as JSON values; a file may move, its name stays."""
    return {**asdict(slides), "paths": [path.name for path in slides.paths]}


def slides_of(recipe: Recipe) -> Iterator[tuple[str, Path, SlideTruth | None]]:
    """Yield name, file and, if it is simulated and written here, truth of each slide."""
    for path in recipe.slides.paths:
        yield path.stem, path, None
    if recipe.slides.paths:
        return
    make_folder(recipe.out / "slides")
    for name, config in simulated(recipe.slides).items():
        path = recipe.out / "slides" / f"{name}.svs"
        yield name, path, write_slide(path, config)


def simulated(slides: Slides) -> dict[str, SlideConfig]:
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


def kinds_of(batch: TissueBatch, truth: SlideTruth) -> list[int]:
    """Return 1 for a tile of tumour, 0 for one of none and -1 for one between."""
    affine = Affine(offset=(0.0, 0.0), scale=(truth.downsample,) * 2)
    tumour = mask_shares(batch.grid, truth.tumour, affine, items=batch.items)
    # a share that is equal but for rounding counts as equal
    chosen = [tumour >= TUMOUR - ROUNDING, tumour <= ROUNDING]
    return list(map(int, np.select(chosen, [1, 0], -1)))


def probe(
    encoder: Encoder, labelled: TilePool, test: TilePool, kinds_by_slide: dict[str, list[int]]
) -> dict[int, float]:
    """Return the AUC of each test slide, of a probe on the labelled slides."""
    kinds = [
        torch.tensor([kind for name in pool.slides for kind in kinds_by_slide[name]])
        for pool in (labelled, test)
    ]
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


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.stdout.write(
        run(tyro.cli(Recipe, default=recipe, config=(tyro.conf.SuppressFixed,))) + "\n"
    )

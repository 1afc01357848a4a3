"""Train RIM, IRIM or CIRIM on scans of the simulator; this made the weights that are shipped.

::

    python pipelines/mri_cirim_supervised.py                        # CIRIM, 15 minutes on 2 cores
    python pipelines/mri_cirim_supervised.py --model rim --out out/rim
    python pipelines/mri_cirim_supervised.py --model cirim --train.steps 200 --pool.scans 12

Every model sees the same draws, slice for slice, for as many steps: they differ in nothing but the
network. Run again with ``--resume`` after an interruption. ``OUT/run/weights.safetensors`` is what
``medconsist mri reconstruct --method cirim --weights FILE`` takes; weights of other settings than
these name no model card.
"""

import logging
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import tyro
from tyro.conf import Fixed

from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.draw_seeds import Role
from medconsist.mri.learned.supervised import Supervised, SupervisedConfig
from medconsist.mri.scan_pool import PoolConfig, load_pool
from medconsist.training.fit import fit
from medconsist.training.settings import TrainConfig

CIRIM = CirimConfig(cascades=5, steps=5, features=32, noise_input=True)
MODELS = {
    "cirim": CIRIM,
    "cirim-explicit": replace(CIRIM, consistency="explicit"),
    "irim": replace(CIRIM, cascades=1),
    "rim": replace(CIRIM, cascades=1, unit="gru"),
}


@dataclass(frozen=True, kw_only=True)
class Task(SupervisedConfig):
    """Loss, masks and batches; the network is that of the model."""

    network: Fixed[CirimConfig] = CIRIM


@dataclass(frozen=True, kw_only=True)
class Scans(PoolConfig):
    """Scans of the simulator; which are trained on and which are scored is no option."""

    role: Fixed[Role] = "training"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is trained, on what, and how.

    Parameters
    ----------
    model
        CIRIM with implicit or explicit data consistency; IRIM and RIM are one cascade of it, RIM
        with gated recurrent units.
    task
        Loss, masks, batches; its network is that of the model.
    pool, validation
        Scans that are trained on and scored; they never meet.
    train
        See ``TrainConfig``.
    out
        The pool goes to ``out/pools``, the run to ``out/run``.
    resume
        Go on with the run that is in ``out``.
    """

    model: Literal["cirim", "cirim-explicit", "irim", "rim"] = "cirim"
    task: Task = field(default_factory=lambda: Task(small_steps=3000))
    pool: Scans = field(default_factory=lambda: Scans(scans=120, slices=3))
    validation: Scans = field(default_factory=lambda: Scans(scans=8, slices=1, role="validation"))
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            steps=4200,
            lr=1e-3,
            warmup=100,
            precision="bf16",
            evaluate_every=600,
            checkpoint_every=300,
        )
    )
    out: Path = Path("out/mri_cirim_supervised")
    resume: bool = False


recipe = Recipe()


def run(recipe: Recipe) -> str:
    """Train; return where the weights are, and the validation scores."""
    task = replace(recipe.task, network=MODELS[recipe.model])
    pools = recipe.out / "pools"
    objective = Supervised(
        task,
        load_pool(recipe.pool, pools),
        load_pool(recipe.validation, pools),
        about=about(recipe),
    )
    settings = {name: asdict(getattr(recipe, name)) for name in ("pool", "validation")}
    fitted = fit(
        objective,
        recipe.train,
        recipe.out / "run",
        recipe={"model": recipe.model, "task": asdict(task), **settings},
        resume=recipe.resume,
    )
    scores = ", ".join(f"{name} {value:.4g}" for name, value in sorted(fitted.metrics.items()))
    return f"{recipe.out / 'run' / 'weights.safetensors'}: {fitted.step} steps, {scores}"


def about(recipe: Recipe) -> dict[str, str]:
    """Return what the weights say of how they were made; the card is of these settings alone."""
    made_by = f"pipelines/mri_cirim_supervised.py --model {recipe.model}"
    usual = replace(Recipe(), model=recipe.model, out=recipe.out, resume=recipe.resume)
    if recipe != usual:
        return {"recipe": f"{made_by}, with other settings"}
    return {"recipe": made_by, "card": f"{recipe.model}.md"}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    sys.stdout.write(
        run(tyro.cli(Recipe, default=recipe, config=(tyro.conf.SuppressFixed,))) + "\n"
    )

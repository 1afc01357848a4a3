"""One run from an objective and its settings to weights, resumable at any moment."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medconsist._digests import plain_json
from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.training.draws import generator_for, seed_for
from medconsist.training.objective import Objective
from medconsist.training.optimisation import trainable
from medconsist.training.run_folder import RunFolder
from medconsist.training.settings import TrainConfig
from medconsist.training.weights import load_state, read_weights, save_weights

__all__ = ["Fitted", "fit"]

# Place of torch's own numbers in the build, beside those of the generator that build is given.
_GLOBAL = -1


@dataclass(frozen=True)
class Fitted:
    """A finished run.

    Parameters
    ----------
    network
        With the saved weights, on the CPU, in eval mode.
    step
        Optimiser steps done.
    metrics
        The last value of everything that was recorded.

    Examples
    --------
    >>> Fitted(nn.Linear(1, 1), step=10, metrics={"loss": 0.1}).step
    10
    """

    network: nn.Module
    step: int
    metrics: dict[str, float]


def fit(
    objective: Objective,
    config: TrainConfig,
    folder: Path,
    *,
    recipe: Mapping[str, Any],
    resume: bool = False,
    progress: bool = True,
) -> Fitted:
    """Train the objective's network in one run folder, or go on with a run that was killed.

    Every batch is a function of seed, step, micro-batch and rank, and a checkpoint holds weights,
    optimiser, schedule, average and early stop: on a CPU with as many threads, a run that was
    killed and resumed ends with the very bits of one that was not. torch's own generators are
    seeded for the build and for every micro-batch, and put back at the end; a checkpoint needs
    no state of theirs.

    With ``devices`` > 1 every process calls this, as Lightning starts the same script once more
    for each; only the first writes.

    Parameters
    ----------
    objective
        What is trained.
    config
        How.
    folder
        The run folder (:class:`~medconsist.training.run_folder.RunFolder`), new or this run's.
    recipe
        Everything that decides the outcome beside ``config``, plain JSON; kept in the folder.
    resume
        Go on with an unfinished run of the same recipe; a new folder is started. A finished run
        is returned as it is either way.
    progress
        Show steps and loss on stderr.

    Raises
    ------
    RefusedInputError
        The folder belongs to another recipe or to another process; nothing to train; CUDA asked
        for and not there.
    ConvergenceError
        A loss, gradient, weight or score is not finite; the last checkpoint stays.
    StorageError
        The disk is full or not writable.
    MissingExtraError
        Lightning or TensorBoard is not installed.

    Examples
    --------
    ::

        fitted = fit(MyObjective(), TrainConfig(steps=2000), Path("runs/a"), recipe={"data": "b"})
        fitted.metrics["loss"]
    """
    for module in ("lightning.pytorch", "tensorboard"):
        require(module, extra="train")
    _require_device(config)
    run, first = RunFolder(folder), _is_first_process(config)
    resolved = plain_json({"recipe": recipe, "training": asdict(config)}, "recipe")
    with run.claimed() if first else nullcontext():
        if first:
            run.start(resolved, resume=resume)
        with _own_randomness(config):
            network = objective.build(generator_for(config.seed))
            trainable(network)
            if run.is_done:
                return _finished(run, network)
            return _train(objective, network, config, run, progress=progress)


def _train(
    objective: Objective, network: nn.Module, config: TrainConfig, run: RunFolder, *, progress: bool
) -> Fitted:
    from medconsist.training._loop import train

    outcome = train(objective, network, config, run, progress=progress)
    network.load_state_dict(outcome.state)
    if _is_first_process(config):
        about = {**objective.about(), "steps": str(outcome.step), "seed": str(config.seed)}
        digest = save_weights(
            run.weights, outcome.state, architecture=objective.architecture(), about=about
        )
        run.finish(
            {
                "metrics": outcome.metrics,
                "seconds": round(outcome.seconds, 3),
                "steps": outcome.step,
                "weights_sha256": digest,
            }
        )
    return Fitted(network.cpu().eval(), outcome.step, outcome.metrics)


def _finished(run: RunFolder, network: nn.Module) -> Fitted:
    summary = run.read_summary()
    load_state(network, read_weights(run.weights).state, run.weights)
    return Fitted(network.eval(), summary["steps"], summary["metrics"])


@contextmanager
def _own_randomness(config: TrainConfig) -> Iterator[None]:
    """Seed torch's own generators, for layers that start by themselves, and put them back."""
    devices = range(torch.cuda.device_count()) if config.device == "cuda" else ()
    with torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed_for(config.seed, _GLOBAL))
        yield


def _require_device(config: TrainConfig) -> None:
    if config.device == "cuda" and torch.cuda.device_count() < config.devices:
        msg = (
            f"device got cuda with {config.devices} devices; this machine has "
            f"{torch.cuda.device_count()}. Use --device cpu or fewer devices."
        )
        raise RefusedInputError(msg)


def _is_first_process(config: TrainConfig) -> bool:
    """Say whether this process writes; read before Lightning knows, from what starts processes."""
    if config.devices == 1:
        return True
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return next((os.environ[name] for name in names if name in os.environ), "0") == "0"

"""The Lightning half of a run; imported only where Lightning is installed."""

import dataclasses
import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from medconsist.training._after_step import AfterStep
from medconsist.training._checkpoints import CheckpointFiles
from medconsist.training._progress import Bar
from medconsist.training._step import StepModule
from medconsist.training.objective import Objective
from medconsist.training.process_group import leave_group_at_exit
from medconsist.training.run_folder import RunFolder
from medconsist.training.settings import TrainConfig

__all__ = ["Outcome", "train"]

_NAMES = ("lightning", "lightning.pytorch", "lightning.fabric")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What is left of a run: the state of the weights to save, and how it ended.

    Parameters
    ----------
    state
        Parameters and buffers of the network.
    step
        Optimiser steps done.
    metrics
        The last value of everything that was recorded.
    seconds
        Time in the loop, over all starts.
    """

    state: dict[str, Tensor]
    step: int
    metrics: dict[str, float]
    seconds: float


def train(
    objective: Objective,
    network: nn.Module,
    config: TrainConfig,
    run: RunFolder,
    *,
    progress: bool,
) -> Outcome:
    """Train ``network`` in place, from the folder's last checkpoint where there is one.

    torch's own generators are seeded here; the caller keeps and restores their states.

    Raises
    ------
    ConvergenceError
        A loss, gradient, weight or score is not finite; the last checkpoint stays.
    RefusedInputError
        The objective's losses or scores are not what they must be.
    StorageError
        The disk is full or not writable.
    """
    module = StepModule(objective, network, config)
    after = AfterStep(module, run)
    bar = [Bar(config.steps)] if progress else []
    with _quiet(), _keyboard():
        trainer = _trainer(config, run, [after, *bar])
        resumed = str(run.checkpoint) if run.checkpoint.is_file() else None
        trainer.fit(module, _Forever(), ckpt_path=resumed, weights_only=True)
    return Outcome(after.state_to_save(), trainer.global_step, after.metrics, after.seconds)


class _Forever:
    """A stream without end or content: a batch is drawn where its step is known."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 0


def _trainer(config: TrainConfig, run: RunFolder, callbacks: list[pl.Callback]) -> pl.Trainer:
    plugins: list[Any] = [CheckpointFiles()]
    strategy: Any = "auto"
    if config.devices == 1:
        # one process is one process, also inside an allocation of a cluster
        plugins.append(LightningEnvironment())
    else:
        backend = "gloo" if config.device == "cpu" else "nccl"
        strategy = DDPStrategy(process_group_backend=backend)
        leave_group_at_exit()
    return pl.Trainer(
        accelerator=config.device,
        devices=config.devices,
        strategy=strategy,
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        max_steps=config.steps,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.clip,
        callbacks=callbacks,
        plugins=plugins,
        default_root_dir=run.path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back Lightning's notes and tips, and warnings that say nothing of this run."""
    loggers = [logging.getLogger(name) for name in _NAMES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 uses what torch 2.13 has deprecated
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"lightning\.")
            # frozen parts of a network stay in eval mode on purpose
            warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _keyboard() -> Iterator[None]:
    """Let an interrupt be one; Lightning turns it into exit code 1 and keeps the signal ignored."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error

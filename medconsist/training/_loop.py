"""The Lightning half of a run; imported only where Lightning is installed."""

import dataclasses
import io
import logging
import math
import pickle  # only for the name of its error
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from medconsist.consistency.schedules import ema_warmup
from medconsist.consistency.teacher import Teacher
from medconsist.errors import ConvergenceError, CorruptResultError, RefusedInputError
from medconsist.results.atomic import atomic_write_bytes, storage_errors
from medconsist.training.draws import generator_for, seed_for
from medconsist.training.metrics_log import MetricsLog, finite
from medconsist.training.objective import Objective
from medconsist.training.optimisation import make_optimizer, trainable
from medconsist.training.run_folder import RunFolder
from medconsist.training.settings import EarlyStop, TrainConfig

__all__ = ["Outcome", "train"]

# Places of the random numbers of one step, after (step, micro-batch, rank).
_BATCH, _NETWORK = 0, 1
_TERMINATED = 128 + signal.SIGTERM
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
    module = _Module(objective, network, config)
    after = _AfterStep(module, run)
    bar = [_Bar(config.steps)] if progress else []
    with _quiet(), _keyboard():
        trainer = _trainer(config, run, [after, *bar])
        resumed = str(run.checkpoint) if run.checkpoint.is_file() else None
        trainer.fit(module, _Forever(), ckpt_path=resumed, weights_only=True)
    return Outcome(after.state_to_save(), trainer.global_step, after.metrics, after.seconds)


class _Module(pl.LightningModule):
    """One step: draw, losses, and the gradient watched before it moves anything."""

    def __init__(self, objective: Objective, network: nn.Module, config: TrainConfig) -> None:
        super().__init__()
        self.objective, self.network, self.config = objective, network, config
        self.row: dict[str, float] = {}

    def training_step(self, batch: object, batch_idx: int) -> Tensor:  # noqa: ARG002  Lightning's
        step, micro = self.trainer.global_step, batch_idx % self.config.accumulate
        place = (step, micro, self.global_rank)
        generator = generator_for(self.config.seed, *place, _BATCH)
        drawn = _on_device(self.objective.draw(generator, step), self.device)
        torch.manual_seed(seed_for(self.config.seed, *place, _NETWORK))
        losses = self.objective.losses(self.network, drawn)
        loss = _scalars(losses)["loss"]
        self._note(step, micro, losses)
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        gradients = {n: p.grad for n, p in self.network.named_parameters() if p.grad is not None}
        norm = float(torch.nn.utils.get_total_norm(list(gradients.values())))
        if not math.isfinite(norm):
            bad = [name for name, grad in gradients.items() if not bool(grad.isfinite().all())]
            _diverged(self.trainer.global_step, f"the gradient of {', '.join(bad[:3])}", norm)
        self.row |= {"grad_norm": norm, "lr": float(optimizer.param_groups[0]["lr"])}

    def configure_optimizers(self) -> Any:  # noqa: ANN401  Lightning's union
        optimizer, scheduler = make_optimizer(trainable(self.network), self.config)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _note(self, step: int, micro: int, losses: Mapping[str, Tensor]) -> None:
        """Keep the mean over ranks and micro-batches; every rank stops at the same NaN."""
        terms = torch.stack([value.detach().float() for value in losses.values()])
        means = torch.as_tensor(self.trainer.strategy.reduce(terms, reduce_op="mean")).tolist()
        values = dict(zip(losses, means, strict=True))
        if bad := finite(values):
            _diverged(step, f"the loss term {bad!r}", values[bad])
        old = self.row if micro else dict.fromkeys(values, 0.0)
        self.row = {name: old[name] + v / self.config.accumulate for name, v in values.items()}


class _AfterStep(pl.Callback):
    """What happens once the weights have moved: average, evaluate, record, keep."""

    def __init__(self, module: _Module, run: RunFolder) -> None:
        self.config, self.run, self.network = module.config, run, module.network
        share = self.config.ema
        self.teacher = None if share is None else Teacher(self.network, ema_warmup(share))
        self.metrics: dict[str, float] = {}
        self.seconds = 0.0
        self._since = 0.0
        self._step = 0
        self._record: MetricsLog | None = None
        self._patience = None if self.config.stop is None else _Patience(self.config.stop)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since, self._step = time.monotonic(), trainer.global_step
        if self.teacher is not None:
            self.teacher.to(pl_module.device)
        if trainer.is_global_zero:
            self._record = MetricsLog(self.run.path, after=trainer.global_step)
        # killed between the last checkpoint and the weights: nothing is left to train
        trainer.should_stop = self._patience is not None and self._patience.is_over

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        step = trainer.global_step
        if step == self._step:  # a micro-batch, and no step yet
            return
        self._step = step
        assert isinstance(pl_module, _Module)  # noqa: S101  the type of what fit was given
        row = pl_module.row
        if self.teacher is not None:
            self._average(step)
        if self._is_due(self.config.evaluate_every, step):
            row |= self._evaluate(trainer, pl_module, step)
            trainer.should_stop = self._is_enough(row, step)
        self.metrics |= row
        if self._record is not None:
            self._record.add(step, row)
        ending = trainer.should_stop or trainer.received_sigterm
        if ending or self._is_due(self.config.checkpoint_every, step):
            self._keep(trainer)
        if trainer.received_sigterm:
            # Lightning waits for the end of the epoch, and the only one ends with the run
            raise SystemExit(_TERMINATED)

    def on_train_end(self, *_: object) -> None:
        self._close()

    def on_exception(self, *_: object) -> None:
        self._close()

    def state_dict(self) -> dict[str, Any]:
        return {
            "metrics": self.metrics,
            "seconds": self.seconds + time.monotonic() - self._since,
            "teacher": None if self.teacher is None else self.teacher.state_dict(),
            "patience": None if self._patience is None else self._patience.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.metrics, self.seconds = state_dict["metrics"], state_dict["seconds"]
        if self.teacher is not None:
            self.teacher.load_state_dict(state_dict["teacher"])
        if self._patience is not None:
            self._patience.load_state_dict(state_dict["patience"])

    def state_to_save(self) -> dict[str, Tensor]:
        """Return the weights that the settings ask for, on the CPU."""
        if self._patience is not None and self._patience.best_state is not None:
            return self._patience.best_state
        return _copied(self._current())

    def _current(self) -> nn.Module:
        return self.network if self.teacher is None else self.teacher.model

    def _is_due(self, every: int | None, step: int) -> bool:
        return every is not None and (step % every == 0 or step == self.config.steps)

    def _average(self, step: int) -> None:
        assert self.teacher is not None  # noqa: S101  the caller looked
        try:
            self.teacher.update(self.network)
        except RefusedInputError as error:
            msg = f"Step {step}: {error}"
            raise ConvergenceError(msg) from error

    def _evaluate(self, trainer: pl.Trainer, module: _Module, step: int) -> dict[str, float]:
        """Evaluate on the first rank; all ranks get its scores, so that all stop together."""
        scores: dict[str, float] = {}
        if trainer.is_global_zero:
            torch.manual_seed(seed_for(self.config.seed, step, _NETWORK))
            with _evaluating(self._current()) as network:
                found = module.objective.evaluate(network)
            scores = {f"val_{name}": float(value) for name, value in found.items()}
        scores = trainer.strategy.broadcast(scores)
        if bad := finite(scores):
            _diverged(step, f"the score {bad!r}", scores[bad])
        return scores

    def _is_enough(self, row: Mapping[str, float], step: int) -> bool:
        if self._patience is None:
            return False
        self._patience.look(row, lambda: _copied(self._current()))
        return self._patience.is_over and step < self.config.steps

    def _keep(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self.run.checkpoint, weights_only=False)
        if trainer.is_global_zero:
            self.run.write_table()

    def _close(self) -> None:
        self.seconds += time.monotonic() - self._since
        if self._record is not None:
            self._record.close()
            self._record = None


class _Patience:
    """The best evaluation so far, and how many followed it without doing better."""

    def __init__(self, rule: EarlyStop) -> None:
        self.rule = rule
        self.best: float | None = None
        self.waited = 0
        self.best_state: dict[str, Tensor] | None = None

    @property
    def is_over(self) -> bool:
        return self.waited >= self.rule.patience

    def look(self, row: Mapping[str, float], state: Any) -> None:  # noqa: ANN401  a callable
        if self.rule.metric not in row:
            scores = ", ".join(sorted(n for n in row if n.startswith("val_"))) or "none"
            msg = f"stop got the metric {self.rule.metric!r}; evaluate gives: {scores}."
            raise RefusedInputError(msg)
        value = row[self.rule.metric]
        gain = math.inf if self.best is None else self.best - value
        if self.rule.mode == "max" and self.best is not None:
            gain = -gain
        if gain <= self.rule.least_change:
            self.waited += 1
            return
        self.best, self.waited = value, 0
        if self.rule.keep == "best":
            self.best_state = state()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "best_state": self.best_state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]
        self.best_state = state["best_state"]


class _Bar(pl.Callback):
    """Steps and loss on stderr; Lightning's own bar writes to stdout and counts batches."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._bar: Any = None

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        if trainer.is_global_zero:
            done = trainer.global_step
            self._bar = tqdm(
                desc="training", total=self.steps, initial=done, unit="step", file=sys.stderr
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        if self._bar is not None and trainer.global_step > self._bar.n:
            assert isinstance(pl_module, _Module)  # noqa: S101  the type of what fit was given
            self._bar.set_postfix(loss=f"{pl_module.row['loss']:.4g}", refresh=False)
            self._bar.update(trainer.global_step - self._bar.n)

    def teardown(self, *_: object, **__: object) -> None:
        if self._bar is not None:
            self._bar.close()


class _Files(TorchCheckpointIO):
    """Checkpoints that are there whole or not at all, and are read without pickle."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: object = None,  # noqa: ARG002  Lightning's
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        atomic_write_bytes(Path(path), buffer.getvalue())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = "cpu",  # noqa: ANN401  torch's union
        weights_only: bool | None = True,  # noqa: ARG002, FBT001, FBT002  Lightning's; always True
    ) -> dict[str, Any]:
        try:
            with storage_errors(Path(path), doing="read"):
                return dict(torch.load(path, map_location=map_location, weights_only=True))
        except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
            msg = f"{path} cannot be read: {error}. Remove it to start this run again."
            raise CorruptResultError(msg) from error


class _Forever:
    """A stream without end or content: a batch is drawn where its step is known."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 0


def _trainer(config: TrainConfig, run: RunFolder, callbacks: list[pl.Callback]) -> pl.Trainer:
    plugins: list[Any] = [_Files()]
    strategy: Any = "auto"
    if config.devices == 1:
        # one process is one process, also inside an allocation of a cluster
        plugins.append(LightningEnvironment())
    else:
        backend = "gloo" if config.device == "cpu" else "nccl"
        strategy = DDPStrategy(process_group_backend=backend)
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


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Eval mode without gradients; every part gets its own mode back."""
    modes = {part: part.training for part in network.modules()}
    try:
        network.eval()
        with torch.no_grad():
            yield network
    finally:
        for part, training in modes.items():
            part.training = training


def _on_device(value: Any, device: torch.device) -> Any:  # noqa: ANN401  a batch of theirs
    match value:
        case Tensor():
            return value.to(device, non_blocking=True)
        case dict():
            return {name: _on_device(item, device) for name, item in value.items()}
        case list():
            return [_on_device(item, device) for item in value]
        case tuple():
            items = [_on_device(item, device) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return dataclasses.replace(
            value, **{name: _on_device(getattr(value, name), device) for name in names}
        )
    return value


def _scalars(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Refuse what is not named scalars with a ``loss`` that depends on the network."""
    if "loss" not in losses:
        msg = f"losses got {sorted(losses)}; one of them must be called 'loss'."
        raise RefusedInputError(msg)
    for name, value in losses.items():
        if value.numel() != 1 or value.dim() or value.is_complex():
            msg = f"The loss term {name!r} is {tuple(value.shape)}; allowed: one real number."
            raise RefusedInputError(msg)
    if not losses["loss"].requires_grad:
        msg = "The loss depends on no parameter that requires a gradient. Check losses()."
        raise RefusedInputError(msg)
    return losses


def _diverged(step: int, what: str, value: float) -> None:
    msg = (
        f"Step {step + 1}: {what} is {value}. The last checkpoint stays. Lower lr, clip the "
        "gradient or look at the batch of this step."
    )
    raise ConvergenceError(msg)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}

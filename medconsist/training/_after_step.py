"""What a run does once its weights have moved."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from medconsist.consistency.schedules import ema_warmup
from medconsist.consistency.teacher import Teacher
from medconsist.errors import ConvergenceError, RefusedInputError
from medconsist.training._patience import Patience
from medconsist.training._step import NETWORK, StepModule, diverged
from medconsist.training.draws import seed_for
from medconsist.training.metrics_log import MetricsLog, first_not_finite
from medconsist.training.run_folder import RunFolder

__all__ = ["AfterStep"]

_TERMINATED = 128 + signal.SIGTERM


class AfterStep(pl.Callback):
    """What happens once the weights have moved: average, evaluate, record, keep."""

    def __init__(self, module: StepModule, run: RunFolder) -> None:
        self.config, self.run, self.network = module.config, run, module.network
        share = self.config.ema
        self.teacher = None if share is None else Teacher(self.network, ema_warmup(share))
        self.metrics: dict[str, float] = {}
        self.seconds = 0.0
        self._since = 0.0
        self._step = 0
        self._is_terminated = False
        self._record: MetricsLog | None = None
        self._patience = None if self.config.stop is None else Patience(self.config.stop)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since, self._step = time.monotonic(), trainer.global_step
        if threading.current_thread() is threading.main_thread():
            # Lightning's, which it has just set and takes back itself, ends between micro-batches
            # with exit code 0
            signal.signal(signal.SIGTERM, self._terminate)
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
        assert isinstance(pl_module, StepModule)  # noqa: S101  the type of what fit was given
        row = pl_module.row
        if self.teacher is not None:
            self._average(step)
        if self._is_due(self.config.evaluate_every, step):
            row |= self._evaluate(trainer, pl_module, step)
            trainer.should_stop = self._is_enough(row, step)
        self.metrics |= row
        if self._record is not None:
            self._record.add(step, row)
        # the signal may have reached one rank only
        terminated = trainer.strategy.reduce_boolean_decision(self._is_terminated, all=False)
        ending = trainer.should_stop or terminated
        if ending or self._is_due(self.config.checkpoint_every, step):
            self._keep(trainer)
        if terminated:
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

    def _evaluate(self, trainer: pl.Trainer, module: StepModule, step: int) -> dict[str, float]:
        """Evaluate on the first rank; all ranks get its scores, so that all stop together."""
        scores: dict[str, float] = {}
        if trainer.is_global_zero:
            torch.manual_seed(seed_for(self.config.seed, step, NETWORK))
            with _evaluating(self._current()) as network:
                found = module.objective.evaluate(network)
            scores = {f"val_{name}": float(value) for name, value in found.items()}
        scores = trainer.strategy.broadcast(scores)
        if bad := first_not_finite(scores):
            diverged(step, f"the score {bad!r}", scores[bad])
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

    def _terminate(self, *_: object) -> None:
        self._is_terminated = True

    def _close(self) -> None:
        self.seconds += time.monotonic() - self._since
        if self._record is not None:
            self._record.close()
            self._record = None


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


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}

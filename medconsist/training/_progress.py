"""The progress bar of a run."""

import sys
from typing import Any

import lightning.pytorch as pl
from tqdm import tqdm

from medconsist.training._step import StepModule

__all__ = ["Bar"]


class Bar(pl.Callback):
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
            assert isinstance(pl_module, StepModule)  # noqa: S101  the type of what fit was given
            self._bar.set_postfix(loss=f"{pl_module.row['loss']:.4g}", refresh=False)
            self._bar.update(trainer.global_step - self._bar.n)

    def on_train_end(self, *_: object) -> None:
        self._close()

    def on_exception(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()

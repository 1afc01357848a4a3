"""``medconsist ts pretrain``: an encoder of windows, taught without labels."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Computing

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.timeseries.pretrained import Pretraining
    from medconsist.timeseries.window_set import WindowSet

__all__ = ["Pretrain", "Rounded"]


@dataclass(frozen=True, kw_only=True)
class Rounded(Computing):
    """Flags that say which windows, and of which patients."""

    prepared: Annotated[Positional[Path], arg(metavar="PREPARED")]
    """Folder of medconsist ts prepare."""
    rounds: Annotated[Path | None, arg(metavar="FILE")] = None
    """Frozen rounds, from medconsist ts evaluate; by default all patients are learned from."""
    round: int = 0
    """Which round of it."""

    def learned_from(self) -> "WindowSet":
        """Return the windows of the patients whose signals may be learned from."""
        from medconsist.timeseries.evaluation.rounds_file import read_rounds
        from medconsist.timeseries.parts import patient_numbers, round_of
        from medconsist.timeseries.prepared import read_prepared

        windows = read_prepared(self.prepared)
        if self.rounds is None:
            return windows
        one = round_of(read_rounds(self.rounds, windows.table), self.round)
        return windows.of_patients(patient_numbers(windows.table, one.learn))


@dataclass(frozen=True, kw_only=True)
class Pretrain(Rounded):
    """Teach an encoder on windows without labels, resumable, with progress.

    OUT is a run folder: metrics.jsonl, checkpoints and, when it is done, weights.safetensors.
    """

    out: Path
    """Run folder."""
    method: str = "comet"
    """comet, comet-reference, comet-ordering, ts2vec, mixing-up, ts-tcc, simclr, tf-c, clocs or
    cpc."""
    epochs: int = 10
    """Over the windows."""
    batch: int = 64
    """Windows a step."""
    lr: float | None = None
    """Learning rate of AdamW, constant; by default that of the method."""
    order: Literal["random", "trial", "trial-frozen"] = "trial"
    """Windows of a trial beside each other, drawn anew each epoch; frozen, as released; random."""
    average: float | Literal["published", "last"] = "published"
    """Share of the old value in the averaged weights that are kept, 1 their plain mean; last: no
    average; published: as the method does."""
    choose: Annotated[
        bool, arg(help="Keep the weights of highest rank less identity, without labels.")
    ] = False
    evaluations: int = 1
    """How often rank and identity are measured."""
    precision: Literal["32", "bf16"] = "32"
    """bf16 is autocast; weights and losses stay 32 bits wide."""
    devices: int = 1
    """Processes with one device each (data parallel)."""
    resume: Annotated[bool, arg(help="Go on with the training that is in --out.")] = False

    def run(self) -> int:
        """Train, and print where the weights are and what was measured."""
        self.set_up()
        from medconsist.training.metrics_log import read_rows

        self._how().run(self.learned_from(), self.out, resume=self.resume)
        last = read_rows(self.out / "metrics.jsonl")[-1]
        known = {name: value for name, value in last.items() if isinstance(value, int | float)}
        path = self.out / "weights.safetensors"
        told = ", ".join(f"{name} {value:.4g}" for name, value in known.items())
        values = json.dumps({"path": str(path), "last": known})
        sys.stdout.write((values if self.json else f"{path}\n{told}") + "\n")
        return 0

    def _how(self) -> "Pretraining":
        from medconsist.timeseries.pretrained import Pretraining
        from medconsist.timeseries.pretraining import WindowSampling

        return Pretraining(
            method=self.method,
            epochs=self.epochs,
            lr=self.lr,
            sampling=WindowSampling(batch=self.batch, order=self.order, seed=self.seed),
            average=self.average,
            choose=self.choose,
            evaluations=self.evaluations,
            precision=self.precision,
            device="cpu" if self.device == "cpu" else "cuda",
            devices=self.devices,
            seed=self.seed,
        )

"""Learning end to end from labels, from three starts: random, pre-trained, or EEGNet."""

import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import RefusedInputError
from medconsist.timeseries.finetuning import (
    FinetuneObjective,
    HeadConfig,
    WindowClassifier,
    classify_all,
)
from medconsist.timeseries.method import Predict, Supervised
from medconsist.timeseries.pretrained import digest_of_windows
from medconsist.timeseries.starts import MakeEncoder, Start
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.fit import fit
from medconsist.training.settings import DeviceName, EarlyStop, Precision, TrainConfig

__all__ = ["Finetuned", "Finetuning", "training_digest"]


@dataclass(frozen=True, kw_only=True)
class Finetuning:
    """How an encoder and a head are trained on labelled windows.

    Parameters
    ----------
    epochs
        Over the windows; COMET takes 50 with all labels, 100 with few.
    batch, lr, weight_decay
        Windows a step (128 in COMET), and of AdamW, constant.
    head
        See `HeadConfig`.
    evaluations
        How often validation patients judge, at least once; fewer where the steps are fewer.
    patience
        Evaluations without a better log loss of validation patients before it stops; the best
        weights are kept.
    precision, device, devices
        See `TrainConfig`.

    Raises
    ------
    RefusedInputError
        Fewer than one epoch or evaluation.

    Examples
    --------
    >>> Finetuning(epochs=5).lr
    0.0001
    """

    epochs: int = 50
    batch: int = 128
    lr: float = 1e-4
    weight_decay: float = 0.01
    head: HeadConfig = field(default_factory=HeadConfig)
    evaluations: int = 50
    patience: int = 20
    precision: Precision = "32"
    device: DeviceName = "cpu"
    devices: int = 1

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.evaluations < 1:
            msg = (
                f"got {self.epochs} epochs and {self.evaluations} evaluations; allowed: 1 or more."
            )
            raise RefusedInputError(msg)

    def run(
        self,
        make: MakeEncoder,
        train: WindowSet,
        validation: WindowSet | None,
        folder: Path,
        *,
        recipe: Mapping[str, Any],
        seed: int = 0,
        resume: bool = True,
        progress: bool = False,
    ) -> WindowClassifier:
        """Return the classifier in eval mode on the CPU; ``folder`` is its run folder.

        Raises
        ------
        RefusedInputError
            What `FinetuneObjective` and `fit` refuse.
        """
        classes = len(train.table.classes)
        objective = FinetuneObjective(
            lambda g: WindowClassifier(make(g), classes, self.head),
            train,
            validation,
            batch=self.batch,
            seed=seed,
        )
        config = self._config(objective.batches, seed, judged=validation is not None)
        said = {"finetuning": {"head": asdict(self.head), "batch": self.batch}, **recipe}
        network = fit(
            objective, config, folder, recipe=said, resume=resume, progress=progress
        ).network
        assert isinstance(network, WindowClassifier)  # noqa: S101  what build returned
        return network

    def _config(self, batches: int, seed: int, *, judged: bool) -> TrainConfig:
        # every device takes a batch a step
        steps = -(-self.epochs * batches // max(1, self.devices))
        stop = EarlyStop(metric="val_log_loss", patience=self.patience)
        return TrainConfig(
            steps=steps,
            lr=self.lr,
            optimiser="adamw",
            weight_decay=self.weight_decay,
            schedule="constant",
            clip=None,
            precision=self.precision,
            seed=seed,
            evaluate_every=-(-steps // self.evaluations),
            checkpoint_every=max(1, min(steps, 10 * batches)),
            device=self.device,
            devices=self.devices,
            stop=stop if judged else None,
        )


class Finetuned(Supervised):
    """A model that is fine-tuned anew in each round of the evaluator.

    Parameters
    ----------
    start
        `RandomStart`, `EegNetStart`, `PretrainedStart`, or `GivenStart` of an encoder that has
        seen none of the test patients.
    how
        See `Finetuning`.
    name
        As a table prints it; None takes that of the start.
    folder
        Keeps each training, so that a table that was killed goes on; None keeps none.

    Examples
    --------
    >>> from medconsist.timeseries.starts import EegNetStart
    >>> Finetuned(EegNetStart()).name
    'EEGNet'
    """

    def __init__(
        self,
        start: Start,
        how: Finetuning | None = None,
        *,
        name: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = start.name if name is None else name
        self.start, self.how = start, how or Finetuning()
        self._folder = folder

    def fit(
        self, train: WindowSet, validation: WindowSet | None, *, generator: Generator
    ) -> Predict:
        """Train, and return what turns windows into logits."""
        seed = int(torch.randint(2**31, (), generator=generator))
        kept = nullcontext(self._folder) if self._folder else tempfile.TemporaryDirectory()
        with kept as folder:
            place = Path(folder) / f"{seed}-{training_digest(train, validation)[:16]}"
            make = self.start.encoder(train, place, seed=seed)
            network = self.how.run(
                make,
                train,
                validation,
                place / "finetuned",
                recipe={"start": self.start.facts()},
                seed=seed,
            )

        def predict(windows: WindowSet) -> Tensor:
            return classify_all(network, windows)

        return predict


def training_digest(train: WindowSet, validation: WindowSet | None) -> str:
    """Return the sha256 of what a training is given: samples, whose they are, and their labels."""
    parts = [train] if validation is None else [train, validation]
    facts = [
        [digest_of_windows(one), list(one.table.classes), one.table.label.tolist()] for one in parts
    ]
    return sha256_of_bytes(canonical_json(facts))

"""A pre-training from windows to weights, and the representation that it gives the evaluator."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import RefusedInputError
from medconsist.timeseries.method import Encode, Representation
from medconsist.timeseries.pretext import Pretext, PretextSize
from medconsist.timeseries.pretexts import PRETEXTS, architecture_of, make_pretext, pretext_from
from medconsist.timeseries.pretraining import (
    OnEvaluation,
    PretextObjective,
    WindowSampling,
    encode_all,
)
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.fit import fit
from medconsist.training.settings import (
    DeviceName,
    EarlyStop,
    Precision,
    TrainConfig,
    require_one_of,
)
from medconsist.training.weights import load_state, read_weights

__all__ = ["Pretrained", "Pretraining", "as_released", "digest_of_windows", "load_pretext"]

WEIGHTS_NAME = "weights.safetensors"
_AVERAGES = ("published", "last")
_CHOICE = 2


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How a pretext task is trained on windows without labels.

    Parameters
    ----------
    method
        One of `medconsist.timeseries.pretexts.PRETEXTS`.
    options
        Of the method, as in its configuration.
    epochs
        Over the windows.
    lr, weight_decay
        Of AdamW, constant; without ``lr`` that of the method, see `PretextEntry`.
    sampling
        See `WindowSampling`.
    average
        Share of the old value in the averaged weights that are kept; 1 is the plain mean over all
        steps, which COMET evaluates. ``"last"`` averages nothing, ``"published"`` does as the
        method does, see `PretextEntry`.
    choose
        ``True`` keeps the weights of the evaluation with the highest ``choice`` (see
        `PretextObjective.evaluate`); ``False`` those of the last step.
    evaluations
        How often rank and identity are measured, at least once; fewer where the steps are fewer.
    precision, device, devices, seed
        See `TrainConfig`.

    Raises
    ------
    RefusedInputError
        Fewer than one epoch or evaluation, a choice from fewer than two, or another word.

    Examples
    --------
    >>> Pretraining(method="comet", epochs=3).average
    'published'
    """

    method: str = "comet"
    options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 10
    lr: float | None = None
    weight_decay: float = 0.01
    sampling: WindowSampling = field(default_factory=WindowSampling)
    average: float | int | Literal["published", "last"] = "published"
    choose: bool = False
    evaluations: int = 1
    precision: Precision = "32"
    device: DeviceName = "cpu"
    devices: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.evaluations < 1:
            msg = (
                f"got {self.epochs} epochs and {self.evaluations} evaluations; allowed: 1 or more."
            )
            raise RefusedInputError(msg)
        if self.choose and self.evaluations < _CHOICE:
            msg = (
                f"the best of {self.evaluations} evaluations cannot be chosen; allowed: two "
                "evaluations or more."
            )
            raise RefusedInputError(msg)
        if isinstance(self.average, str):
            require_one_of("average", self.average, _AVERAGES)

    def run(
        self,
        windows: WindowSet,
        folder: Path,
        *,
        resume: bool = False,
        progress: bool = True,
        seed: int | None = None,
        on_evaluation: OnEvaluation | None = None,
    ) -> Pretext:
        """Return the trained task in eval mode on the CPU; ``folder`` is its run folder.

        Parameters
        ----------
        windows
            To learn from; their labels are hidden.
        folder
            New, or that of the same run.
        resume, progress
            As of `fit`.
        seed
            In place of the configured one.
        on_evaluation
            See `PretextObjective`; a run that is done already evaluates nothing.

        Raises
        ------
        RefusedInputError
            Fewer windows than a batch, another run's folder, or what the task refuses.
        """
        objective = PretextObjective(
            self.make(windows),
            windows,
            sampling=self.sampling,
            architecture=architecture_of(self.make(windows)(torch.Generator().manual_seed(0))),
            on_evaluation=on_evaluation,
        )
        config = self._config(objective.batches, self.seed if seed is None else seed)
        network = fit(
            objective,
            config,
            folder,
            recipe={"pretraining": _plain(self), "windows": digest_of_windows(windows)},
            resume=resume,
            progress=progress,
        ).network
        assert isinstance(network, Pretext)  # noqa: S101  what build returned
        return network

    def make(self, windows: WindowSet) -> Callable[[torch.Generator], Pretext]:
        """Return what builds the untrained task for windows of this size."""
        size = PretextSize.of(windows)
        return lambda generator: make_pretext(
            self.method, size, generator=generator, options=self.options
        )

    def _config(self, batches: int, seed: int) -> TrainConfig:
        # every device takes a batch a step
        steps, entry = -(-self.epochs * batches // max(1, self.devices)), PRETEXTS[self.method]
        shares: dict[str, float | None] = {"published": entry.average, "last": None}
        every = -(-steps // self.evaluations)
        stop = EarlyStop(metric="val_choice", mode="max", patience=steps)
        return TrainConfig(
            steps=steps,
            lr=entry.lr if self.lr is None else self.lr,
            optimiser="adamw",
            weight_decay=self.weight_decay,
            schedule="constant",
            clip=None,
            precision=self.precision,
            seed=seed,
            evaluate_every=every,
            checkpoint_every=max(1, min(steps, batches)),
            device=self.device,
            devices=self.devices,
            ema=shares[self.average] if isinstance(self.average, str) else float(self.average),
            stop=stop if self.choose else None,
        )


class Pretrained(Representation):
    """The features of a task that is pre-trained anew on the training patients of each round.

    Parameters
    ----------
    how
        See `Pretraining`.
    name
        As a table prints it; None takes the name of the method.
    folder
        Keeps each training, so that a table that was killed goes on; None keeps none.

    Examples
    --------
    >>> Pretrained(Pretraining(method="ts2vec")).name
    'ts2vec'
    """

    def __init__(
        self, how: Pretraining, *, name: str | None = None, folder: Path | None = None
    ) -> None:
        self.name = how.method if name is None else name
        self.how = how
        self._folder = folder

    def learn(self, windows: WindowSet, *, generator: torch.Generator) -> Encode:
        """Train on these windows, and return what encodes any."""
        seed = int(torch.randint(2**31, (), generator=generator))
        place = f"{seed}-{digest_of_windows(windows)[:16]}"
        kept = nullcontext(self._folder) if self._folder else tempfile.TemporaryDirectory()
        with kept as folder:
            network = self.how.run(
                windows, Path(folder) / place, resume=True, progress=False, seed=seed
            )
        return lambda others: encode_all(network, others)


def as_released(how: Pretraining) -> Pretraining:
    """Return COMET's reference with frozen batches and the mean of all weights; others as they are.

    Examples
    --------
    >>> as_released(Pretraining(method="comet-reference")).sampling.order
    'trial-frozen'
    """
    if how.method != "comet-reference":
        return how
    return replace(how, sampling=replace(how.sampling, order="trial-frozen"), average=1.0)


def load_pretext(folder: Path) -> Pretext:
    """Return the trained task of a run folder, in eval mode on the CPU.

    Raises
    ------
    RefusedInputError
        The weights are of no pretext task, or damaged.
    """
    path = folder / WEIGHTS_NAME
    stored = read_weights(path)
    network = pretext_from(stored.architecture)
    load_state(network, stored.state, path)
    return network.eval()


def _plain(how: Pretraining) -> dict[str, Any]:
    """Return what decides the outcome and is not in the training's own settings."""
    return {"method": how.method, "options": dict(how.options), "sampling": asdict(how.sampling)}


def digest_of_windows(windows: WindowSet) -> str:
    """Return the sha256 of what a pre-training sees: samples, and whose they are."""
    table = windows.table
    patients = [table.patients[number] for number in np.unique(table.patient)]
    columns = [one.tolist() for one in (windows.rows, table.patient, table.trial, table.start)]
    samples = windows.fingerprint or sha256_of_bytes(windows.batch().numpy().tobytes())
    facts = [samples, patients, columns, windows.rate, windows.samples, windows.channels]
    return sha256_of_bytes(canonical_json(facts))

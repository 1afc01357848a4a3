"""A whole training of a model of bags: stages, calibration on validation, the card, last of all."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch import distributed as dist

from medconsist._atomic import make_folder
from medconsist._digests import plain_json
from medconsist._records import make_record
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.metrics.calibration import fit_temperature
from medconsist.metrics.operating_point import OperatingPoint, youden
from medconsist.results.safetensors_file import require_regular
from medconsist.training.draws import generator_for
from medconsist.training.run_folder import differing
from medconsist.training.settings import DeviceName, EarlyStop, Precision, TrainConfig
from medconsist.training.weights import read_weights, save_weights
from medconsist.wsi.mil.card import (
    CARD_NAME,
    MilCard,
    OperatingPointRecord,
    SpaceRecord,
    read_card,
    write_card,
)
from medconsist.wsi.mil.cohort import Cohort
from medconsist.wsi.mil.evaluate import CaseAnswers
from medconsist.wsi.mil.methods import (
    WEIGHTS_NAME,
    MethodChoice,
    TrainedModel,
    load_model,
    train_method,
    wait_for_all,
)
from medconsist.wsi.mil.objective import Sampling, all_bags
from medconsist.wsi.mil.panther import fit_prototypes
from medconsist.wsi.mil.predictor import HIDDEN, REPEATS, Predictor, tempered
from medconsist.wsi.mil.uncertainty import hidden_repeats, novelty

__all__ = ["MilTraining", "Provenance", "load_predictor"]

CENTRES_NAME = "centres.safetensors"
_CENTRES_SHA256 = "centres_sha256"
_CENTRES = 32  # of the training tiles, for novelty
_MOST_TILES = 50_000  # that the centres are found from
_SHOWN = 3
# Places of the random numbers that are not a stage's.
_FIND_CENTRES, _HIDE = 1, 2


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the bags of a training come from; goes into the card.

    Parameters
    ----------
    space
        What the features are.
    study
        In words.
    split_sha256, fold
        Of the frozen split, and which of its rounds.
    tests
        Lines on whether this kind of model respects the assumption of MIL.
    notes
        What a reader must know, e.g. that slides are simulated.

    Examples
    --------
    >>> Provenance(space=SpaceRecord(dim=64), study="study wsi").fold is None
    True
    """

    space: SpaceRecord
    study: str
    split_sha256: str | None = None
    fold: int | None = None
    tests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MilTraining:
    """What is trained, on what, and where it goes.

    The folder then holds ``card.json``, written last: without it the training is not done;
    ``model.safetensors``, what answers; ``centres.safetensors``, centres of the training tiles; and
    a run folder for each stage. Checkpoint, temperature, threshold and the numbers that a case is
    judged against come from validation alone.

    Parameters
    ----------
    out
        The folder.
    choice
        See `MethodChoice`.
    train, validation
        Cohorts of different patients.
    provenance
        See its class.
    epochs
        Over the training cases, of each stage.
    lr, weight_decay
        Of Adam; half a cosine down to 0.
    patience
        Evaluations without a better log loss after which a stage stops, and its best is kept; None:
        never. Stages of INS go to their end, see `train_method`.
    evaluations
        How often, at least, a stage is judged on validation.
    sampling
        Bags a step, and most instances of each.
    precision, device, devices, seed, resume
        See `TrainConfig` and `fit`.

    Raises
    ------
    RefusedInputError
        Fewer than one epoch or evaluation.

    Examples
    --------
    ::

        MilTraining(out=Path("run"), choice=MethodChoice(name="abmil"), train=parts.train,
                    validation=parts.validation, provenance=provenance).run()
    """

    out: Path
    choice: MethodChoice
    train: Cohort
    validation: Cohort
    provenance: Provenance
    epochs: int = 50
    lr: float = 2e-4
    weight_decay: float = 1e-5
    patience: int | None = 10
    evaluations: int = 50
    sampling: Sampling = field(default_factory=Sampling)
    precision: Precision = "32"
    device: DeviceName = "cpu"
    devices: int = 1
    seed: int = 0
    resume: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.evaluations < 1:
            msg = (
                f"got {self.epochs} epochs and {self.evaluations} evaluations; allowed: 1 or more."
            )
            raise RefusedInputError(msg)

    def run(self) -> Predictor:
        """Train, or go on; a finished training of the same recipe is returned as it is.

        Raises
        ------
        RefusedInputError
            The folder belongs to another recipe, or what the stages refuse.
        StorageError
            The disk is full or not writable.
        """
        if (self.out / CARD_NAME).is_file():
            self._require_same(read_card(self.out))
            return load_predictor(self.out)
        make_folder(self.out)
        trained = train_method(
            self.choice,
            self.train,
            self.validation,
            folder=self.out,
            config=self._config(),
            sampling=self.sampling,
            recipe=self._recipe(),
            resume=self.resume,
            progress=self.progress,
        )
        centres = self._centres()
        if not dist.is_available() or not dist.is_initialized() or dist.get_rank() == 0:
            self._write(trained, centres)
        wait_for_all()
        return load_predictor(self.out)

    def _write(self, trained: TrainedModel, centres: Float[Tensor, "centres dim"]) -> None:
        """Write centres, model and card, each naming the sha256 of the one before."""
        held = save_weights(
            self.out / CENTRES_NAME,
            {"centres": centres},
            architecture={"network": "centres"},
            about={},
        )
        about = {
            "trained_on": f"{len(self.train)} cases of {self.provenance.study}",
            "cases_sha256": self.train.cases_sha256,
            _CENTRES_SHA256: held,
        }
        digest = trained.save(self.out / WEIGHTS_NAME, about=about)
        write_card(self.out, self._card(trained, centres, digest))

    def _require_same(self, card: MilCard) -> None:
        differ = differing(card.training, self._resolved())
        if differ:
            msg = (
                f"{self.out} holds a finished training of another recipe: "
                f"{', '.join(differ[:_SHOWN])} differ (its card.json says what they were). Choose "
                "another folder."
            )
            raise RefusedInputError(msg)

    def _config(self) -> TrainConfig:
        seen = self.sampling.bags * self.devices
        steps = max(1, self.epochs * len(self.train) // seen)
        stop = None
        if self.patience is not None:
            stop = EarlyStop(metric="val_log_loss", patience=self.patience)
        return TrainConfig(
            steps=steps,
            lr=self.lr,
            weight_decay=self.weight_decay,
            evaluate_every=max(1, steps // self.evaluations),
            checkpoint_every=max(1, min(steps, 200)),
            precision=self.precision,
            device=self.device,
            devices=self.devices,
            seed=self.seed,
            stop=stop,
        )

    def _recipe(self) -> dict[str, Any]:
        source = self.provenance
        return {
            "choice": asdict(self.choice),
            "sampling": asdict(self.sampling),
            "classes": list(self.train.classes),
            "train": _said(self.train),
            "validation": _said(self.validation),
            "space": source.space.model_dump(mode="json"),
            "split_sha256": source.split_sha256,
            "fold": source.fold,
        }

    def _resolved(self) -> dict[str, Any]:
        settings = asdict(self._config())
        return plain_json({**self._recipe(), "settings": settings}, "training")

    def _centres(self) -> Float[Tensor, "centres dim"]:
        tiles = sum(self.train.instances(bag) for bag in range(len(self.train)))
        return fit_prototypes(
            self.train,
            components=min(_CENTRES, tiles),
            most=_MOST_TILES,
            generator=generator_for(self.seed, _FIND_CENTRES),
        )

    def _card(
        self, trained: TrainedModel, centres: Float[Tensor, "centres dim"], digest: str
    ) -> MilCard:
        said = torch.cat([o.probabilities for _, o in all_bags(trained.network, self.validation)])
        said, labels = said.double().cpu(), self.validation.labels
        logits = said.clamp(min=torch.finfo(said.dtype).tiny).log()
        temperature = fit_temperature(logits, labels, fitted_on="validation")
        said = tempered(said, temperature.value)
        misfit = (1 - said.gather(1, labels[:, None])[:, 0]).tolist()
        spread, distance = self._unlabelled(trained, centres)
        patients = self.validation.patients
        sizes = [self.train.instances(bag) for bag in range(len(self.train))]
        source = self.provenance
        return make_record(
            MilCard,
            method=self.choice.name,
            weights_sha256=digest,
            classes=self.train.classes,
            space=source.space,
            study=source.study,
            split_sha256=source.split_sha256,
            fold=source.fold,
            cases={"train": len(self.train), "validation": len(self.validation)},
            patients={
                "train": len(set(self.train.patients)),
                "validation": len(set(self.validation.patients)),
            },
            temperature=temperature.value,
            operating_point=_point(
                CaseAnswers(said, labels, patients, _cases(self.validation)).by_patient()
            ),
            validation=dict(trained.metrics),
            nonconformity=_worst(misfit, patients),
            spread=_worst(spread, patients),
            distance=_worst(distance, patients),
            fewest_tiles=min(sizes),
            assumption=source.tests,
            training=self._resolved(),
            notes=(*source.notes, *((temperature.note,) if temperature.note else ())),
        )

    def _unlabelled(
        self, trained: TrainedModel, centres: Tensor
    ) -> tuple[list[float], list[float]]:
        """Return, for each validation case, how it changes with hidden tiles and how new it is."""
        device = next(trained.network.parameters()).device
        spread, distance = list[float](), list[float]()
        for bag in range(len(self.validation)):
            rows = self.validation.rows(bag).float()
            repeats = hidden_repeats(
                trained.network,
                rows.to(device),
                hidden=HIDDEN,
                repeats=REPEATS,
                generator=generator_for(self.seed, _HIDE, bag),
            )
            spread.append(repeats.spread)
            distance.append(float(novelty(rows, centres).mean()))
        return spread, distance


def load_predictor(folder: Path, *, device: str = "cpu") -> Predictor:
    """Return the model of a finished training.

    Parameters
    ----------
    folder
        As given to ``wsi train --out``.
    device
        Where it shall answer.

    Raises
    ------
    MissingInputError
        The training has not come to its end, or a file is gone.
    RefusedInputError
        The weights are not those of the card.
    """
    if not (folder / CARD_NAME).is_file():
        msg = f"{folder} holds no finished training of a model of bags; run medconsist wsi train."
        raise MissingInputError(msg)
    card = read_card(folder)
    path = folder / WEIGHTS_NAME
    require_regular(path, what="model")
    stored = read_weights(path)
    if stored.sha256 != card.weights_sha256:
        msg = (
            f"{path} has the sha256 {stored.sha256[:12]}..., and its card is that of "
            f"{card.weights_sha256[:12]}...: the two do not belong together. Train again, or copy "
            "the folder again."
        )
        raise RefusedInputError(msg)
    model = load_model(stored, source=str(path))
    centres = read_weights(folder / CENTRES_NAME)
    if centres.sha256 != stored.about.get(_CENTRES_SHA256):
        msg = f"{folder / CENTRES_NAME} is of another training. Train again, or copy it again."
        raise RefusedInputError(msg)
    teacher = None if model.teacher is None else model.teacher.to(device)
    return Predictor(
        model.network.to(device), card, prototypes=centres.state["centres"], teacher=teacher
    )


def _said(cohort: Cohort) -> dict[str, list[Any]]:
    """Return what a cohort says of its cases, for the recipe that a run folder belongs to."""
    return {
        "cases": [info.case for info in cohort.infos],
        "labels": [info.label for info in cohort.infos],
        "instances": [cohort.instances(bag) for bag in range(len(cohort))],
    }


def _worst(values: Sequence[float], patients: Sequence[str]) -> tuple[float, ...]:
    """Return the largest value of each patient."""
    worst: dict[str, float] = {}
    for patient, value in zip(patients, values, strict=True):
        worst[patient] = max(value, worst.get(patient, value))
    return tuple(worst.values())


def _cases(cohort: Cohort) -> tuple[str, ...]:
    return tuple(info.case for info in cohort.infos)


def _point(said: CaseAnswers) -> OperatingPointRecord | None:
    """Return the threshold on patients, each as probable as its most probable case."""
    positive, score = said.labels == 1, said.probabilities[:, -1]
    if said.classes != 2 or not 0 < int(positive.sum()) < len(positive):
        return None
    point: OperatingPoint = youden(score, positive, chosen_on="validation", unit="patient")
    return OperatingPointRecord(
        threshold=min(max(point.threshold, 0.0), 1.0),
        rule="largest sensitivity + specificity",
        sensitivity=point.sensitivity,
        specificity=point.specificity,
        n_positive=point.n_positive,
        n_negative=point.n_negative,
    )

"""``medconsist ts probe | finetune``: a model of patients on an encoder, from labels."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

import medconsist
from medconsist.cli.timeseries_train import Rounded
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.timeseries.label_budget import LabelBudget
    from medconsist.timeseries.signal_model import SignalData, SignalModel
    from medconsist.timeseries.starts import Start

__all__ = ["Finetune", "Probe"]


@dataclass(frozen=True, kw_only=True)
class Labelled(Rounded):
    """Flags of both ways to learn from labels."""

    out: Path
    """Folder of the model."""
    patients_per_class: int | None = None
    """Budget of labels: so many labelled patients of each class."""
    share_of_windows: float | None = None
    """Instead, as published: a share of the windows, spread over all patients."""
    study: str = "windows"
    """Where the windows come from, in words, for the card."""

    def data(self) -> "SignalData":
        """Return training and validation windows of the round, and how they were prepared."""
        from medconsist.timeseries.evaluation.rounds_file import read_rounds
        from medconsist.timeseries.parts import patient_numbers, round_of
        from medconsist.timeseries.preparation import Preparation
        from medconsist.timeseries.prepared import read_prepared, read_prepared_record
        from medconsist.timeseries.signal_model import SignalData

        if self.rounds is None:
            msg = (
                "--rounds is needed: patients for training and validation, of medconsist ts split."
            )
            raise RefusedInputError(msg)
        windows = read_prepared(self.prepared)
        rounds = read_rounds(self.rounds, windows.table)
        one = round_of(rounds, self.round)
        if not one.validation:
            msg = (
                f"{self.rounds} keeps no validation patients, and a model is calibrated on them; "
                "freeze others: medconsist ts split PREPARED --validation 0.25 --out FILE"
            )
            raise RefusedInputError(msg)
        train, validation = (
            windows.of_patients(patient_numbers(windows.table, names))
            for names in (one.train, one.validation)
        )
        return SignalData(
            train=train,
            validation=validation,
            preparation=Preparation.of(read_prepared_record(self.prepared).facts),
            study=self.study,
            split_sha256=rounds.sha256,
        )

    def budget(self) -> "LabelBudget":
        """Return which labels may be seen."""
        from medconsist.timeseries.label_budget import LabelBudget

        return LabelBudget(
            patients_per_class=self.patients_per_class, share_of_windows=self.share_of_windows
        )

    def said(self, model: "SignalModel") -> int:
        """Print what the model is and how validation did."""
        card = model.card
        lines = [
            medconsist.RESEARCH_USE_ONLY,
            f"{card.encoder}, {card.method}",
            *(f"validation {name} {value:.4g}" for name, value in sorted(card.validation.items())),
            *card.notes,
            str(self.out / "card.json"),
        ]
        values = {"said": lines[0], "folder": str(self.out)} | card.model_dump(mode="json")
        sys.stdout.write((json.dumps(values) if self.json else "\n".join(lines)) + "\n")
        return 0


@dataclass(frozen=True, kw_only=True)
class Probe(Labelled):
    """Put a logistic probe on a frozen encoder: partial fine-tuning, calibrated on patients."""

    encoder: Path
    """Run folder of medconsist ts pretrain; it must not have seen the test patients."""

    def run(self) -> int:
        """Fit, and print how validation did."""
        self.set_up()
        from medconsist.timeseries.pretrained import load_pretext
        from medconsist.timeseries.trained import fit_probe

        encoder = load_pretext(self.encoder)
        model = fit_probe(
            encoder,
            self.data(),
            self.out,
            name=self.encoder.name,
            budget=self.budget(),
            seed=self.seed,
        )
        return self.said(model)


@dataclass(frozen=True, kw_only=True)
class Finetune(Labelled):
    """Train encoder and head on labels: full fine-tuning, from scratch, or EEGNet."""

    encoder: Path | None = None
    """Run folder of medconsist ts pretrain; without it the start is --start."""
    start: Literal["scratch", "eegnet"] = "scratch"
    """Without --encoder: COMET's encoder with random weights, or EEGNet."""
    epochs: int = 50
    """Over the windows."""
    batch: int = 128
    """Windows a step."""
    lr: float = 1e-4
    """Learning rate of AdamW, constant."""
    head: Literal["single", "released"] = "single"
    """released: with the sigmoids that COMET's code applies twice."""
    precision: Literal["32", "bf16"] = "32"
    """bf16 is autocast."""
    progress: Annotated[bool, arg(help="Show no steps.")] = True

    def run(self) -> int:
        """Train, and print how validation did."""
        self.set_up()
        from medconsist.timeseries.finetuning import HeadConfig
        from medconsist.timeseries.supervised import Finetuning
        from medconsist.timeseries.trained import finetune

        how = Finetuning(
            epochs=self.epochs,
            batch=self.batch,
            lr=self.lr,
            head=HeadConfig(kind=self.head),
            precision=self.precision,
            device="cpu" if self.device == "cpu" else "cuda",
        )
        model = finetune(
            self._start(),
            self.data(),
            self.out,
            how=how,
            budget=self.budget(),
            seed=self.seed,
            progress=self.progress,
        )
        return self.said(model)

    def _start(self) -> "Start":
        from medconsist.timeseries.candidates import SUPERVISED
        from medconsist.timeseries.pretrained import load_pretext
        from medconsist.timeseries.starts import GivenStart

        if self.encoder is None:
            return SUPERVISED[self.start]
        return GivenStart(load_pretext(self.encoder), self.encoder.name)

"""``medconsist wsi train | probe | evaluate | predict | audit``: models of bags of tiles."""

import getpass
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Computing
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.wsi.mil.desk import Desk
    from medconsist.wsi.mil.evaluate import CaseAnswers
    from medconsist.wsi.mil.methods import MethodChoice
    from medconsist.wsi.mil.predictor import Predictor

__all__ = ["Audit", "Evaluate", "Predict", "Probe", "TrainBags"]

_LEAK = 4  # exit code of an audit that found a leak
_PARTIAL = 3


@dataclass(frozen=True, kw_only=True)
class Labelled(Computing):
    """Flags that say which bags, whose labels, and which split."""

    manifest: Annotated[Positional[Path], arg(metavar="MANIFEST")]
    """Cases with patient and label (.csv, .parquet)."""
    split: Path
    """Frozen split, from medconsist manifest split."""
    classes: tuple[str, ...]
    """Labels in the order of the classes; the last one is called positive."""
    label: Annotated[str, arg(metavar="COLUMN")] = "label"
    """Column of the labels."""
    round: int = 0
    """Round (fold) of the split."""
    bags: Annotated[Path | None, arg(metavar="RESULTS")] = None
    """Folder of results with the features of wsi embed."""
    study: str = "wsi"
    """Study in it."""
    features: Annotated[Path | None, arg(metavar="FILE")] = None
    """Instead: features of any model, .h5 (CLAM, TRIDENT), .npz, .safetensors, .csv, .parquet."""
    unit: Literal["tile", "slide", "case"] | None = None
    """What a row of --features stands for; an embedding of a case is a bag of one."""

    def desk(self) -> "Desk":
        """Return the bags and labels."""
        from medconsist.wsi.mil.desk import Desk

        return Desk(
            manifest=self.manifest,
            split=self.split,
            classes=self.classes,
            column=self.label,
            round=self.round,
            bags=self.bags,
            study=self.study,
            features=self.features,
            unit=self.unit,
        )


@dataclass(frozen=True, kw_only=True)
class TrainBags(Labelled):
    """Train a model of bags on the labels of cases; validation alone chooses and calibrates it.

    OUT/card.json, written last, says what it was trained on and how validation did. The labels of
    the test part are not read.
    """

    out: Path
    """Folder of the training."""
    method: str = "abmil"
    """probe, mean, mean-mlp, max, abmil, abmil-gated, clam-sb, dsmil, transmil, dtfd, acmil,
    panther, ins, ins-published, mhim, mhim-ins."""
    base: Literal["abmil", "transmil", "dsmil"] = "abmil"
    """Of mhim and mhim-ins: the model below it, trained first."""
    preset: str = "c16-abmil"
    """Of mhim and mhim-ins: c16-abmil, c16-transmil, c16-dsmil, nsclc-abmil, nsclc-transmil,
    nsclc-dsmil, v2, v2-released-bias."""
    epochs: int = 50
    """Over the training cases; mhim takes as many for each of its two stages."""
    lr: float = 2e-4
    """Largest learning rate; half a cosine down to 0."""
    width: int = 512
    """Of an embedded tile."""
    dropout: float = 0.25
    """Of embedded tiles."""
    bags_a_step: int = 1
    """Bags of one step."""
    tiles_a_bag: int | None = None
    """Most tiles of a bag in a step, drawn anew each time; by default all."""
    patience: int | None = 10
    """Evaluations without a better log loss on validation after which it stops."""
    precision: Literal["32", "bf16"] = "32"
    """bf16 is autocast; weights stay 32 bits wide."""
    devices: int = 1
    """Processes with one device each (data parallel)."""
    resume: Annotated[bool, arg(help="Go on with the training that is in --out.")] = False
    tests: Annotated[
        bool, arg(help="Test whether this kind of model respects the assumption of MIL.")
    ] = True

    def run(self) -> int:
        """Train, and print where the model is and how validation did."""
        self.set_up()
        return _train(self, self._choice())

    def _choice(self) -> "MethodChoice":
        from medconsist.wsi.mil.methods import MethodChoice

        return MethodChoice(
            name=self.method,
            width=self.width,
            dropout=self.dropout,
            base=self.base,
            preset=self.preset,
        )


@dataclass(frozen=True, kw_only=True)
class Probe(Labelled):
    """Fit a logistic regression to the mean feature of each case, and say how validation does.

    The rival that every other method must beat; with --features for tile, slide or case embeddings
    of any model.
    """

    out: Path
    """Folder of the model."""

    def run(self) -> int:
        """Fit, and print where the model is and how validation did."""
        self.set_up()
        from medconsist.wsi.mil.methods import MethodChoice

        return _train(self, MethodChoice(name="probe"))


@dataclass(frozen=True, kw_only=True)
class Evaluate(Labelled):
    """Say how a trained model does: on validation, or with --final, once, on the test.

    Thresholds and temperature are those of the model's card, from validation. Figures are by
    patient, with intervals. --final opens the labels of the test, and writes that down beside the
    split.
    """

    model: Path
    """Folder of a finished training."""
    against: Annotated[Path | None, arg(metavar="MODEL")] = None
    """Another training: also test the difference on the same patients."""
    final: Annotated[bool, arg(help="Open the labels of the test part; it is written down.")] = (
        False
    )
    who: str | None = None
    """Who opens the test; by default the name of the user."""

    def run(self) -> int:
        """Evaluate and print."""
        self.set_up()
        from medconsist.wsi.mil.evaluate import answers_of, compare, evaluate
        from medconsist.wsi.mil.training_run import load_predictor

        desk = self.desk()
        predictor = load_predictor(self.model, device=self.device)
        _require_split(self.model, predictor, desk)
        other = None if self.against is None else load_predictor(self.against, device=self.device)
        if self.against is not None and other is not None:
            _require_split(self.against, other, desk)
        sentences, part, cohort = [], "validation", None
        if self.final:
            opened = desk.parts.unseal(
                final=True,
                model_sha256=predictor.card.weights_sha256,
                who=self.who or getpass.getuser(),
            )
            part, cohort = "test", opened.test
            sentences.append(opened.sentence)
        else:
            cohort = desk.validation
            sentences.append("Checkpoint and temperature were chosen here: these flatter.")
        answers = answers_of(predictor, cohort)
        found = evaluate(answers, predictor.card, part=part, seed=self.seed, sentences=sentences)
        values, text = found.as_json(), found.text
        if other is not None:
            second: CaseAnswers = answers_of(other, cohort)
            names = (f"{self.model.name}", f"{self.against.name if self.against else ''}")
            compared = compare(answers, second, names=names)
            values, text = values | {"against": asdict(compared)}, f"{text}\n{compared.text}"
        sys.stdout.write((json.dumps(values) if self.json else text) + "\n")
        return 0


@dataclass(frozen=True, kw_only=True)
class Predict(Computing):
    """Predict the cases of a study into result folders, with maps of every slide.

    Attention, probability of single tiles, novelty and, with a teacher, disagreement are grids on
    the slide; GeoJSON for QuPath. A case that cannot be assessed says why. A second run computes
    nothing.
    """

    results: Annotated[Positional[Path], arg(metavar="RESULTS")]
    """Folder of results with the features of wsi embed; the predictions go there too."""
    model: Path
    """Folder of a finished training."""
    study: str = "wsi"
    """Study in it."""
    case: tuple[str, ...] = ()
    """Only these cases; by default all that have features of the model's encoder."""
    slides: Annotated[tuple[Path, ...], arg(metavar="SLIDE")] = ()
    """Slide files, for pictures of the highest and lowest tiles; told by their bytes."""
    table: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Also write a CSV of all tiles of each slide into this folder."""

    def run(self) -> int:
        """Predict, and print one line a case; exit code 3 if some could not be."""
        self.set_up()
        from medconsist.wsi.mil.predict_study import predict_study

        done = predict_study(
            self.results,
            self.study,
            model=self.model,
            device=self.device,
            cases=self.case,
            slides=self.slides,
            table=self.table,
            seed=self.seed,
        )
        sys.stdout.write((json.dumps(done.as_json()) if self.json else done.text) + "\n")
        return done.exit_code


@dataclass(frozen=True, kw_only=True)
class Audit(Labelled):
    """Look for leaks: patients or copies of a slide in two parts, sites that give the label away.

    Labels of the test are not read. Exit code 4 if a leak is found.
    """

    def run(self) -> int:
        """Audit, and print one line a finding."""
        self.set_up()
        from medconsist.wsi.mil.desk import audit_of

        findings = audit_of(self.desk(), seed=self.seed)
        marks = {one.name: "ok" if one.passed else one.weight for one in findings}
        text = "\n".join(f"{marks[one.name]:<8}{one.name}: {one.sentence}" for one in findings)
        values = [asdict(one) for one in findings]
        sys.stdout.write((json.dumps(values) if self.json else text) + "\n")
        return _LEAK if any(one.is_leak for one in findings) else 0


def _train(asked: TrainBags | Probe, choice: "MethodChoice") -> int:
    from medconsist.wsi.mil.desk import assumption_lines
    from medconsist.wsi.mil.objective import Sampling
    from medconsist.wsi.mil.training_run import MilTraining

    if asked.device not in ("cpu", "cuda"):
        msg = f"--device of training must be cpu or cuda, got {asked.device!r}."
        raise RefusedInputError(msg)
    desk = asked.desk()
    train, validation = desk.parts.train, desk.validation
    own: dict[str, Any] = {}
    tests: tuple[str, ...] = ()
    if isinstance(asked, TrainBags):
        own = {
            "epochs": asked.epochs,
            "lr": asked.lr,
            "patience": asked.patience,
            "precision": asked.precision,
            "devices": asked.devices,
            "resume": asked.resume,
            "sampling": Sampling(
                bags=asked.bags_a_step, instances=asked.tiles_a_bag, seed=asked.seed
            ),
        }
        tests = assumption_lines(choice, seed=asked.seed) if asked.tests else ()
    predictor = MilTraining(
        out=asked.out,
        choice=choice,
        train=train,
        validation=validation,
        provenance=desk.provenance(tests=tests),
        device=asked.device,
        seed=asked.seed,
        **own,
    ).run()
    card = predictor.card
    lines = [
        f"{card.method}: {card.cases['train']} training and {card.cases['validation']} validation "
        "cases.",
        *(f"validation {name} {value:.4g}" for name, value in sorted(card.validation.items())),
        *card.assumption,
        str(asked.out / "card.json"),
    ]
    values = card.model_dump(mode="json") | {"folder": str(asked.out)}
    sys.stdout.write((json.dumps(values) if asked.json else "\n".join(lines)) + "\n")
    return 0


def _require_split(folder: Path, predictor: "Predictor", desk: "Desk") -> None:
    """Refuse a model of another split or round: its training may hold these cases."""
    card, now = predictor.card, desk.parts.split.sha256
    if (card.split_sha256, card.fold) != (now, desk.round):
        msg = (
            f"{folder} was trained with round {card.fold} of the split "
            f"{(card.split_sha256 or 'none')[:12]}, asked for is round {desk.round} of {now[:12]}: "
            "its training may hold these cases. Give the split and round of its training."
        )
        raise RefusedInputError(msg)

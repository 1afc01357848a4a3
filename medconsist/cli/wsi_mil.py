"""``medconsist wsi train | probe | evaluate | predict | audit``: models of bags of tiles."""

import getpass
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

import medconsist
from medconsist.cli.batch_options import Batching
from medconsist.cli.options import Computing
from medconsist.errors import RefusedInputError

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.wsi.mil.cohort import Cohort
    from medconsist.wsi.mil.desk import Desk
    from medconsist.wsi.mil.evaluate import CaseAnswers
    from medconsist.wsi.mil.methods import MethodChoice
    from medconsist.wsi.mil.predict import CaseJob
    from medconsist.wsi.mil.predictor import Predictor

__all__ = ["Audit", "Evaluate", "Predict", "Probe", "TrainBags"]

_LEAK = 4  # exit code of an audit that found a leak


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
    preset: str | None = None
    """Of mhim and mhim-ins; by default c16- and the base: c16-abmil, c16-transmil, c16-dsmil,
    nsclc-abmil, nsclc-transmil, nsclc-dsmil, v2, v2-released-bias."""
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
        bool, arg(help="Do not test whether this kind of model respects the assumption of MIL.")
    ] = True

    def run(self) -> int:
        """Train, and print where the model is and how validation did."""
        self.set_up()
        return _train(self, self._choice())

    def _choice(self) -> "MethodChoice":
        from medconsist.wsi.mil.methods import MethodChoice

        if (self.base, self.preset) != ("abmil", None) and not self.method.startswith("mhim"):
            msg = (
                f"--base and --preset are of mhim and mhim-ins, got --method {self.method}; leave "
                "them out, or name one of these."
            )
            raise RefusedInputError(msg)
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
        from medconsist.wsi.mil.evaluate import answers_of, evaluate
        from medconsist.wsi.mil.training_run import load_predictor

        folders = [self.model] if self.against is None else [self.model, self.against]
        desk, models = self.desk(), [load_predictor(one, device=self.device) for one in folders]
        # before a label of the test is opened
        for folder, model in zip(folders, models, strict=True):
            desk.require(model.card, model=folder)
        if self.against is not None and len(self.classes) != 2:
            msg = f"--against compares areas of two classes, and there are {len(self.classes)}."
            raise RefusedInputError(msg)
        cohort, sentences = self._opened(desk, models)
        cards = {model.card.study: None for model in models} | {desk.origin: None}
        if len(cards) > 1:
            sentences.append(f"Trained and evaluated on features of: {', '.join(cards)}.")
        answers = [answers_of(model, cohort) for model in models]
        found = evaluate(
            answers[0],
            models[0].card,
            part="test" if self.final else "validation",
            seed=self.seed,
            sentences=sentences,
        )
        values, text = found.as_json(), found.text
        if self.against is not None:
            more, line = _compared(answers, (self.model.name, self.against.name))
            values, text = values | {"against": more}, f"{text}\n{line}"
        _write(values if self.json else text)
        return 0

    def _opened(self, desk: "Desk", models: "list[Predictor]") -> "tuple[Cohort, list[str]]":
        """Return the cases to judge, and what must be said of them."""
        if not self.final:
            flatter = "Checkpoint and temperature were chosen here: these flatter."
            return desk.validation, [flatter]
        who = _user() if self.who is None else self.who
        opened = [
            desk.parts.unseal(final=True, model_sha256=model.card.weights_sha256, who=who)
            for model in models
        ]
        return opened[-1].test, [opened[-1].sentence]


@dataclass(frozen=True, kw_only=True)
class Predict(Batching):
    """Predict the cases of a study into result folders, with maps of every slide.

    Attention, probability of single tiles, novelty and, with a teacher, disagreement are grids on
    the slide; GeoJSON for QuPath. A case that cannot be assessed says why. A second run computes
    nothing. Many cases are a batch: --engine.
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
    """Also write a CSV of all tiles of each slide into this folder, CASE/SLIDE.csv."""

    def run(self) -> int:
        """Predict, and print one line a case; exit code 3 if some could not be."""
        self.set_up()
        from medconsist.results.store import ResultStore
        from medconsist.wsi.mil.methods import WEIGHTS_NAME
        from medconsist.wsi.mil.predict_study import predict_all, study_jobs
        from medconsist.wsi.mil.training_run import load_predictor

        here = self.device if self.engine is None else "cpu"
        predictor = load_predictor(self.model, device=here)
        jobs = study_jobs(
            self.results,
            self.study,
            predictor=predictor,
            cases=self.case,
            slides=self.slides,
            seed=self.seed,
        )
        # the viewer asks the model again where a reader leaves tiles out
        inputs = ResultStore(self.results, self.study).inputs
        inputs.add(predictor.card.weights_sha256, self.model / WEIGHTS_NAME)
        if self.engine is not None:
            return self._run_batch(jobs, self.engine)
        done = predict_all(jobs, table=self.table)
        _write(done.as_json() if self.json else done.text)
        return done.exit_code

    def _run_batch(self, jobs: "list[CaseJob]", engine: str) -> int:
        from medconsist.wsi.mil.batch import PredictWork, prediction_cases

        if self.table is not None:
            msg = "--table goes without --engine: run again without it, nothing is computed twice."
            raise RefusedInputError(msg)
        work, cases = PredictWork.of(jobs[0], model=self.model), prediction_cases(jobs)
        return self.run_cases(work, cases, out=self.results, study=self.study, engine=engine)


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
        lines = [f"{marks[one.name]:<8}{one.name}: {one.sentence}" for one in findings]
        _write([asdict(one) for one in findings] if self.json else "\n".join(lines))
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
        device="cuda" if asked.device == "cuda" else "cpu",
        seed=asked.seed,
        **own,
    ).run()
    card = predictor.card
    lines = [
        medconsist.RESEARCH_USE_ONLY,
        f"{card.method}: {card.cases['train']} training and {card.cases['validation']} validation "
        "cases.",
        *(f"validation {name} {value:.4g}" for name, value in sorted(card.validation.items())),
        *card.assumption,
        str(asked.out / "card.json"),
    ]
    said = {"said": medconsist.RESEARCH_USE_ONLY, "folder": str(asked.out)}
    values = said | card.model_dump(mode="json")
    _write(values if asked.json else "\n".join(lines))
    return 0


def _compared(answers: "list[CaseAnswers]", names: tuple[str, str]) -> tuple[Any, str]:
    """Return the comparison as values and text: an opened test must not end in a refusal."""
    from medconsist.wsi.mil.evaluate import compare

    try:
        compared = compare(answers[0], answers[1], names=names)
    except RefusedInputError as error:
        return None, f"{names[0]} and {names[1]} cannot be compared: {error}"
    return asdict(compared), compared.text


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container may have a user without a name
        msg = "who opens the test is not known; say it with --who NAME."
        raise RefusedInputError(msg) from error


def _write(said: str | dict[str, Any] | list[Any]) -> None:
    """Print text, or one JSON object."""
    sys.stdout.write((said if isinstance(said, str) else json.dumps(said, allow_nan=False)) + "\n")

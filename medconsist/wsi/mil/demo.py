"""The share of models of bags in ``medconsist demo``: a small training, one slide with maps."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medconsist import RESEARCH_USE_ONLY
from medconsist._atomic import make_folder
from medconsist.wsi import demo as slides_demo
from medconsist.wsi.encoders.choice import make_encoder
from medconsist.wsi.jobs import embed_all, slide_jobs
from medconsist.wsi.mil.card import MilCard, SpaceRecord
from medconsist.wsi.mil.cohort import BagInfo, Cohort
from medconsist.wsi.mil.methods import MethodChoice
from medconsist.wsi.mil.predict_study import PredictedStudy, predict_all, study_jobs
from medconsist.wsi.mil.predictor import Predictor
from medconsist.wsi.mil.sources import StudyBags, study_bags
from medconsist.wsi.mil.training_run import MilTraining, Provenance
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simulate import SlideConfig, write_slide

__all__ = ["DemoPrediction", "run_demo"]

CLASSES = ("normal", "tumour")
# 10 validation patients are enough to rule a class out with 1 in 10 allowed to be wrong.
TRAIN, VALIDATION = 18, 10
SMALL = SlideConfig(width=1024, height=1024, mpp=0.5)
TUMOUR = 0.4  # share of the tissue of a positive slide
SCANNERS = ("a", "b")
SEEDS = 1000  # from here on, so that no slide is one that is predicted


@dataclass(frozen=True)
class DemoPrediction:
    """What was trained, and what it says of the slide.

    Parameters
    ----------
    card
        Of the model.
    model
        Its folder.
    predicted
        The slide.

    Examples
    --------
    ::

        run_demo(Path("demo"), device="cpu", seed=0).text
    """

    card: MilCard
    model: Path
    predicted: PredictedStudy

    @property
    def text(self) -> str:
        """For people: the training, its validation, the prediction; paths come last."""
        card = self.card
        scores = ", ".join(f"{name} {value:.3g}" for name, value in sorted(card.validation.items()))
        return "\n".join(
            [
                RESEARCH_USE_ONLY,
                "",
                f"{card.method} trained on the labels of {card.cases['train']} drawn slides; on "
                f"{card.cases['validation']} others, which chose its checkpoint: {scores}.",
                self.predicted.text.removeprefix(f"{RESEARCH_USE_ONLY}\n"),
                str(self.model),
            ]
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "model": str(self.model),
            "validation": dict(self.card.validation),
            **self.predicted.as_json(),
            "said": RESEARCH_USE_ONLY,
        }


def run_demo(out: Path, *, device: str, seed: int) -> DemoPrediction:
    """Draw small slides with tumour and without, train on their labels, predict one of the demo.

    Parameters
    ----------
    out
        Small slides, their features and the model go to ``out/mil``; the prediction to
        ``out/results``, beside the features that `medconsist.wsi.demo` left there.
    device, seed
        As in every command.
    """
    folder = out / "mil"
    source = _features(folder, device=device, seed=seed)
    cohort = _labelled(source)
    bag = source.opened(0).bags[0]
    model = folder / f"model-{seed}"  # a model is of one seed, and slides are drawn over
    predictor = MilTraining(
        out=model,
        choice=MethodChoice(name="abmil", width=64),
        train=cohort.part(range(TRAIN)),
        validation=cohort.part(range(TRAIN, TRAIN + VALIDATION)),
        provenance=Provenance(
            space=SpaceRecord.of(bag.header, bag.dim),
            study="drawn slides",
            notes=("The model has seen drawn slides alone, which are nobody's tissue.",),
        ),
        epochs=40,
        lr=1e-3,
        patience=None,
        evaluations=10,
        device="cpu" if device == "cpu" else "cuda",
        seed=seed,
        resume=True,
        progress=False,
    ).run()
    return DemoPrediction(predictor.card, model, _predicted(out, predictor, seed=seed))


def _features(folder: Path, *, device: str, seed: int) -> StudyBags:
    """Draw the slides to learn from, embed them as the demo does its own, and open their bags."""
    make_folder(folder / "slides")
    paths = []
    for number in range(TRAIN + VALIDATION):
        kind = number % 2
        path = folder / "slides" / f"{number:03d}-{CLASSES[kind]}.svs"
        config = replace(
            SMALL,
            tumour=TUMOUR * kind,
            scanner=SCANNERS[number // 2 % 2],
            seed=SEEDS * (seed + 1) + number,
        )
        write_slide(path, config)
        paths.append(path)
    jobs = slide_jobs(
        paths,
        out=folder / "results",
        study="learnt-from",
        encoder=make_encoder("colour-texture", device=device),
        settings=Embedding(),
    )
    embed_all(jobs)
    return study_bags(folder / "results", "learnt-from", verify=False)


def _labelled(source: StudyBags) -> Cohort:
    """Return all bags with the labels that their names say; every slide is a patient."""
    infos = [
        BagInfo(case=case, patient=case, label=CLASSES.index(case.rpartition("-")[2]))
        for case in source.cases
    ]
    return Cohort.of(source, infos, classes=CLASSES)


def _predicted(out: Path, predictor: Predictor, *, seed: int) -> PredictedStudy:
    case = next(iter(slides_demo.SLIDES))
    jobs = study_jobs(
        out / "results",
        slides_demo.STUDY,
        predictor=predictor,
        cases=[case],
        slides=[out / "slides" / f"{case}.svs"],
        seed=seed,
    )
    return predict_all(jobs)

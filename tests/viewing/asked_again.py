"""A prediction by a model that was trained and lies in a folder, so that it can be asked again."""

from pathlib import Path

import torch

from medconsist.results.store import ResultStore, StoredResult
from medconsist.wsi.bags.bag_store import bags_of
from medconsist.wsi.mil.card import SpaceRecord
from medconsist.wsi.mil.cohort import BagInfo, Cohort, InMemoryBags
from medconsist.wsi.mil.methods import WEIGHTS_NAME, MethodChoice
from medconsist.wsi.mil.predict import CaseJob, predict_case
from medconsist.wsi.mil.training_run import MilTraining, Provenance, load_predictor
from tests.viewing.slides import embed_small


def predict_trained(root: Path, name: str = "biopsy") -> StoredResult:
    """Embed a simulated slide, train a small model on noise, predict; the prediction is current."""
    embed_small(root, name, case=name)
    entries = [entry for entry in bags_of(root, "wsi") if entry.slide == name]
    bag = entries[0].open()
    model = root.parent / "model"
    MilTraining(
        out=model,
        choice=MethodChoice(name="abmil", width=8),
        train=_noise(bag.features.float(), seed=0, prefix="t"),
        validation=_noise(bag.features.float(), seed=1, prefix="v"),
        provenance=Provenance(space=SpaceRecord.of(bag.header, bag.dim), study="noise"),
        epochs=1,
        evaluations=1,
        lr=1e-2,
        progress=False,
    ).run()
    predictor = load_predictor(model)
    slides = {entries[0].stored.result.inputs["slide"]: root.parent / f"{name}.svs"}
    job = CaseJob(out=root, study="wsi", entries=entries, predictor=predictor, slides=slides)
    ResultStore(root, "wsi").inputs.add(predictor.card.weights_sha256, model / WEIGHTS_NAME)
    return predict_case(job)[0].stored


def _noise(like: torch.Tensor, *, seed: int, prefix: str) -> Cohort:
    """Bags of rows like those of the slide, half of them brighter."""
    generator = torch.Generator().manual_seed(seed)
    bags = [
        like.mean(0) + like.std(0) * torch.randn(9, like.shape[1], generator=generator) + n % 2
        for n in range(8)
    ]
    infos = [BagInfo(case=f"{prefix}{n}", patient=f"{prefix}{n}", label=n % 2) for n in range(8)]
    return Cohort.of(InMemoryBags(bags), infos, classes=("normal", "tumour"))

"""Real results of simulated slides for the page, made by the job itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medconsist.results.store import ResultStore, StoredResult
from medconsist.wsi.bags.bag_store import bags_of
from medconsist.wsi.mil.card import MilCard, OperatingPointRecord, SpaceRecord
from medconsist.wsi.mil.models.abmil import Abmil
from medconsist.wsi.mil.models.base import MilSize
from medconsist.wsi.mil.predict import CaseJob, predict_case
from medconsist.wsi.mil.predictor import Predictor
from medconsist.wsi.settings import Embedding
from medconsist.wsi.simulate import SlideConfig, write_slide
from medconsist.wsi.task import SlideJob, embed_slide
from tests.wsi.small_slide import QuarterMeans

PEN = SlideConfig(width=1024, height=896, mpp=1.0, faults=("pen-blue",), tumour=0.3, seed=4)


def embed_small(root: Path, name: str = "biopsy", **more: Any) -> StoredResult:
    """Embed a slide of 1024 x 896 px with ink on it; the result is current."""
    path = root.parent / f"{name}.svs"
    if not path.exists():
        write_slide(path, replace(PEN, seed=sum(name.encode())))
    job: dict[str, Any] = {"slide": path, "out": root, "encoder": QuarterMeans(), "patient": "p-5"}
    return embed_slide(SlideJob(settings=Embedding(target_mpp=1.0), **(job | more))).stored


def predict_small(root: Path, name: str = "biopsy", *, patients: int = 30) -> StoredResult:
    """Predict an embedded slide with untrained networks; the prediction is current.

    Parameters
    ----------
    root, name
        As given to `embed_small`.
    patients
        Of a validation that was never run; with few of them no case can be assessed.
    """
    entries = [entry for entry in bags_of(root, "wsi") if entry.slide == name]
    bag, generator = entries[0].open(), torch.Generator().manual_seed(0)
    size = MilSize(dim=bag.dim, width=8)
    card = MilCard(
        method="abmil",
        weights_sha256="a" * 64,
        classes=("normal", "tumour"),
        space=SpaceRecord.of(bag.header, bag.dim),
        study="study wsi",
        nonconformity=tuple(np.linspace(0, 0.49, patients).tolist()),
        operating_point=OperatingPointRecord(
            threshold=0.4,
            rule="largest sensitivity + specificity",
            sensitivity=0.9,
            specificity=0.8,
            n_positive=10,
            n_negative=12,
        ),
    )
    predictor = Predictor(
        Abmil(size, generator=generator).eval(),
        card,
        prototypes=torch.rand(4, bag.dim, generator=generator),
        teacher=Abmil(size, generator=generator).eval(),
    )
    slides = {entries[0].stored.result.inputs["slide"]: root.parent / f"{name}.svs"}
    job = CaseJob(
        out=root,
        study="wsi",
        entries=entries,
        predictor=predictor,
        slides=slides,
        tiles_shown=3,
    )
    return predict_case(job)[0].stored


def damage(root: Path, stored: StoredResult, role: str) -> None:
    """Overwrite the largest file of an array with zeros."""
    folder = stored.folder.path / f"{role}.zarr"
    chunk = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    chunk.chmod(0o644)
    chunk.write_bytes(b"\0" * chunk.stat().st_size)
    assert ResultStore(root, stored.result.study).verify(stored.result.case, stored.result.key)

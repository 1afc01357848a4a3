"""Real results of simulated slides for the page, made by the job itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from medconsist.results.store import ResultStore, StoredResult
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


def damage(root: Path, stored: StoredResult, role: str) -> None:
    """Overwrite the largest file of an array with zeros."""
    folder = stored.folder.path / f"{role}.zarr"
    chunk = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    chunk.chmod(0o644)
    chunk.write_bytes(b"\0" * chunk.stat().st_size)
    assert ResultStore(root, stored.result.study).verify(stored.result.case, stored.result.key)

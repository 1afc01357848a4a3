"""A small study: a manifest, its frozen split, and features in which a tumour is easily seen."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from medconsist.manifests.case_manifest import read_case_manifest
from medconsist.manifests.split import make_split, write_split
from medconsist.manifests.split_record import Split, SplitPlan
from medconsist.results.schema import ModelRecord, ResultFields, Times
from medconsist.results.store import ResultStore
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bags.bag_file import write_bag

DIM = 6
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class SmallStudy:
    """Files of a study, and the words of a command line that name them."""

    folder: Path

    @property
    def manifest(self) -> Path:
        """Cases with patient, label and site."""
        return self.folder / "cases.csv"

    @property
    def split(self) -> Path:
        """The frozen split."""
        return self.folder / "split.json"

    @property
    def features(self) -> Path:
        """Tiles of each case."""
        return self.folder / "tiles.safetensors"

    def words(self, *, classes: tuple[str, ...] = ("normal", "tumour")) -> tuple[object, ...]:
        """Return manifest, split, classes and features as a command takes them."""
        tiles = ("--features", self.features, "--unit", "tile")
        return (self.manifest, "--split", self.split, "--classes", *classes, *tiles)

    def freeze(self, **plan: object) -> Split:
        """Split the manifest and write the split."""
        made = {"test": 0.4, "validation": 0.4} | plan
        split = make_split(read_case_manifest(self.manifest), SplitPlan.model_validate(made))
        write_split(split, self.split)
        return split


def small_study(
    folder: Path,
    *,
    patients: int = 30,
    label: Callable[[int], str] = lambda n: ("normal", "tumour")[n % 2],
    sites: int = 1,
) -> SmallStudy:
    """Write a study: every fifth patient has two cases; a tumour is in a third of the tiles."""
    study = SmallStudy(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows, bags = list[tuple[str, ...]](), dict[str, Tensor]()
    for number in range(patients):
        for case in [f"c{number}", f"c{number}b"][: 2 if number % 5 == 0 else 1]:
            (folder / f"{case}.svs").touch()
            said = (f"p{number}", case, case, label(number), f"x{number % sites}")
            rows.append((f"{case}.svs", *said))
            bags[case] = features_of(label(number), seed=len(rows))
    write_manifest(study.manifest, rows)
    save_file(bags, study.features)
    return study


def features_of(label: str, *, seed: int, tiles: int = 9) -> Tensor:
    """Return tiles of noise; every label but normal shifts a third of them its own way."""
    bag = torch.randn(tiles, DIM, generator=torch.Generator().manual_seed(seed))
    if label != "normal":
        bag[: tiles // 3, sum(map(ord, label)) % DIM] += 5.0
    return bag


def write_manifest(path: Path, rows: list[tuple[str, ...]]) -> None:
    """Write a manifest with path, patient, case, item, label and site."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "patient", "case", "item", "label", "site"), *rows])


def store_bag(
    root: Path, case: str, bag: Bag, *, patient: str = "p1", result_version: int = 1
) -> str:
    fields = ResultFields(
        kind="wsi.bag",
        patient=patient,
        item=bag.header.slide,
        inputs={"slide": bag.header.slide.encode().hex().ljust(64, "0")},
        config={"task": "wsi.bag"},
        model=ModelRecord(name="random", sha256="e" * 64),
        result_version=result_version,
        times=Times(started=NOW, finished=NOW),
    )
    store = ResultStore(root, "study")
    with store.draft(case, fields.key) as draft:
        draft.add_file(
            "bag",
            "bag.safetensors",
            lambda path: write_bag(path, bag, allow_empty=True),
            axes=("tiles", "features"),
            shape=(max(1, len(bag)), bag.dim),  # a result holds no empty array
            dtype="float16",
        )
        draft.finish(fields)
    store.set_current(case, fields.key)
    return fields.key

"""Results as they lie on a disk, histories of a site, and tests that were opened before."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from medconsist._digests import sha256_of_bytes
from medconsist.errors import CorruptResultError
from medconsist.manifests.cases import CaseManifest, CaseRow
from medconsist.manifests.split import make_split, write_split
from medconsist.manifests.split_record import SplitPlan
from medconsist.results.folder import RESULT_NAME
from medconsist.results.history import HistoryLine
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore, StoredResult
from medconsist.viewing.bench.faults.entry import Entry, Spot, raised_by
from medconsist.viewing.bench.faults.scans import reconstructed, write_scan_file
from medconsist.wsi.mil.feature_bags import FeatureBags
from medconsist.wsi.mil.feature_files import NamedRows
from medconsist.wsi.mil.sealed import sealed_parts
from medconsist.wsi.mil.sources import Classes

__all__ = ["STORED"]

_STUDY, _CASES = "faults", 12
_CLASSES = Classes(("normal", "tumour"))
Damage = Literal["none", "bit_of_json", "bit_of_array", "cut", "gone"]
Opened = Literal["first", "same", "other", "deleted"]


def _write_result(folder: Path) -> None:
    spot = Spot(room=folder, shared=folder, seed=0)
    reconstructed(write_scan_file(spot, "numpy"), study=_STUDY)


def _copied(spot: Spot) -> StoredResult:
    root = spot.room / "results"
    shutil.copytree(spot.shared / "_write_result" / "results", root)
    return ResultStore(root, _STUDY).read("scan")


def _damaged(spot: Spot, *, damage: Damage) -> Path:
    """Return the root of a result of which one file was changed behind its back."""
    stored, rng = _copied(spot), spot.rng
    folder = stored.folder.path
    inside = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    arrays = [path for path in inside if path.name != RESULT_NAME and path.stat().st_size]
    match damage:
        case "bit_of_json":
            _flip(folder / RESULT_NAME, rng)
        case "bit_of_array":
            _flip(arrays[int(rng.integers(len(arrays)))], rng)
        case "cut":
            every = [folder / RESULT_NAME, *arrays]
            path = every[int(rng.integers(len(every)))]
            path.write_bytes(path.read_bytes()[: int(rng.integers(path.stat().st_size))])
        case "gone":
            arrays[int(rng.integers(len(arrays)))].unlink()
    return spot.room / "results"


def _flip(path: Path, rng: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(bytes(data))


def _is_refused(root: Path) -> bool:
    """Return whether a result is refused when it is read, with all that lies beside it."""
    try:
        stored = ResultStore(root, _STUDY).read("scan")
        for role in stored.roles():
            stored.file(role)
    except CorruptResultError:
        return True
    return False


def _after(spot: Spot, *, fewest: int, most: int) -> Result:
    """Return a result that is judged by so many earlier cases, whose scores are like its own."""
    known = ResultStore(spot.shared / "_write_result" / "results", _STUDY).history.read().lines[0]
    rng = spot.rng
    history = ResultStore(spot.room / "results", _STUDY).history
    for number in range(int(rng.integers(fewest, most + 1))):
        scores = {name: value * rng.lognormal(sigma=0.2) for name, value in known.scores.items()}
        key = sha256_of_bytes(f"{spot.seed} {number}".encode())
        line = HistoryLine(case=f"earlier-{number}", key=key, group=known.group, scores=scores)
        history.append(line)
    return reconstructed(write_scan_file(spot, "numpy"), study=_STUDY).result


def _opening(spot: Spot, *, opened: Opened) -> str:
    """Return what is said of a test that is opened, perhaps not for the first time."""
    rows = tuple(
        CaseRow(
            row=number + 2,
            path=Path(f"/{number}"),
            item=f"s{number}",
            case=f"c{number}",
            patient=f"p{spot.seed}-{number}",
            label=_CLASSES.names[number % 2],
        )
        for number in range(_CASES)
    )
    manifest = CaseManifest(rows=rows, path=Path("m.csv"), sha256="0" * 64)
    split = spot.room / "split.json"
    write_split(make_split(manifest, SplitPlan()), split)
    bags = FeatureBags(
        {f"c{n}": [NamedRows(f"c{n}", lambda: torch.ones(2, 3))] for n in range(_CASES)}
    )
    parts = sealed_parts(bags, manifest, split=split, classes=_CLASSES)
    first, second = (sha256_of_bytes(f"{spot.seed} {name}".encode()) for name in "ab")
    if opened != "first":
        parts.unseal(final=True, model_sha256=first, who="bench")
    if opened == "deleted":
        parts.log.unlink()
    weights = first if opened == "same" else second
    return parts.unseal(final=True, model_sha256=weights, who="bench").sentence


def _says_other_weights(sentence: str) -> bool:
    return "different weights" in sentence


STORED: Mapping[str, Entry] = {
    "stored_bytes": Entry(
        unit="stored result",
        n=60,
        make={
            "as_written": partial(_damaged, damage="none"),
            "bit_of_json": partial(_damaged, damage="bit_of_json"),
            "bit_of_array": partial(_damaged, damage="bit_of_array"),
            "cut": partial(_damaged, damage="cut"),
            "gone": partial(_damaged, damage="gone"),
        },
        raised=_is_refused,
        needs=(_write_result,),
    ),
    "no_history": Entry(
        unit="simulated scan",
        n=12,
        make={
            "long": partial(_after, fewest=40, most=80),
            "short": partial(_after, fewest=0, most=18),
        },
        raised=raised_by("no_history"),
        needs=(_write_result,),
    ),
    "test_reopened": Entry(
        unit="split",
        n=50,
        make={
            "first": partial(_opening, opened="first"),
            "same": partial(_opening, opened="same"),
            "other": partial(_opening, opened="other"),
            "deleted": partial(_opening, opened="deleted"),
        },
        raised=_says_other_weights,
    ),
}
"""Alarms of what is stored."""

"""``medconsist manifest``: build, check, split, datasets, croissant, fetch."""

import json
import logging
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg, subcommand

from medconsist.cli.manifest_croissant import Croissant
from medconsist.cli.manifest_split import SplitCases

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.manifests.cases import CaseManifest
    from medconsist.manifests.problem import Problem

__all__ = ["Build", "Check", "Datasets", "Fetch", "Manifest"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Build:
    """Write a manifest (.csv) of the files below folders.

    By default the folder that a file lies in is its patient and its case, the name of the file its
    item; how ids were made is printed. Look at it, add columns (label, split, mpp, site, x_...),
    then run: medconsist manifest check FILE.
    """

    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="FOLDER")]
    """Folders; all that is below them is searched."""
    out: Path
    """The manifest; paths are written relative to its folder."""
    kind: Literal["slides", "kspace", "recordings"] = "slides"
    """Which files: whole slides, k-space, or signals."""
    pattern: Annotated[tuple[str, ...], arg(metavar="GLOB")] = ()
    """Names of files instead of --kind, e.g. '*.h5'."""
    patient_from: Annotated[str | None, arg(metavar="REGEX")] = None
    """Regular expression with (?P<patient>...), also (?P<case>...) and (?P<item>...), searched in
    the path below FOLDER."""
    hash: Annotated[bool, arg(help="Read every file and write its sha256.")] = False
    json: Annotated[bool, arg(help="Print one JSON object to stdout instead of text.")] = False

    def run(self) -> int:
        """Write, and print how the ids were made."""
        from medconsist.manifests.build import build_manifest
        from medconsist.manifests.files import KINDS

        built = build_manifest(
            self.folders,
            patterns=self.pattern or KINDS[self.kind],
            out=self.out,
            patient_from=self.patient_from,
            hashes=self.hash,
        )
        patients = len({row.patient for row in built.rows})
        text = [f"{built.path}: {len(built.rows)} rows, {patients} patients.", *built.sentences]
        values = {
            "path": str(built.path),
            "rows": len(built.rows),
            "patients": patients,
            "notes": built.sentences,
        }
        _print(values if self.json else text)
        return 0


@dataclass(frozen=True, kw_only=True)
class Check:
    """Say everything that is wrong with a manifest (.csv, .parquet), or that nothing is."""

    file: Annotated[Positional[Path], arg(metavar="FILE")]
    """The manifest."""
    hash: Annotated[bool, arg(help="Also read every file and compare its sha256.")] = False
    json: Annotated[bool, arg(help="Print one JSON object to stdout instead of text.")] = False

    def run(self) -> int:
        """Check, and print one line for each fault; exit code 2 if there is one."""
        from medconsist.manifests.case_manifest import examine
        from medconsist.manifests.hashes import hash_problems

        manifest, problems = examine(self.file)
        if manifest is not None and self.hash:
            problems = list(hash_problems(manifest))
        _print(
            _as_json(self.file, manifest, problems)
            if self.json
            else _as_text(self.file, manifest, problems)
        )
        return 2 if problems else 0


@dataclass(frozen=True, kw_only=True)
class Datasets:
    """Say where public data sets are, under which licence, and what their file names tell."""

    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME|FILE")] = ()
    """Data sets, or TOML files of your own; by default all that come with the program."""
    json: Annotated[bool, arg(help="Print one JSON object to stdout instead of text.")] = False

    def run(self) -> int:
        """Print them."""
        from medconsist.manifests.dataset import datasets, named_dataset

        found = list(map(named_dataset, self.names)) or list(datasets().values())
        values = {one.name: one.model_dump(mode="json") for one in found}
        _print(values if self.json else [one.text for one in found])
        return 0


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Fetch the files that a data manifest lists, each with its size and digest.

    The only command that uses the network. What is there and verifies is left alone; a transfer
    that broke goes on where it stopped.
    """

    dataset: Annotated[Positional[str], arg(metavar="NAME|FILE")]
    """Data set, or a TOML file of your own."""
    out: Path
    """Folder; made if it is not there."""
    attempts: int = 6
    """Connections in a row that may bring nothing new before a file is given up."""
    timeout_s: float = 60.0
    """A connection that is silent for so long is broken [s]."""
    spare_gib: float = 1.0
    """Free space that is to be left on the disk [GiB]."""
    json: Annotated[bool, arg(help="Print one JSON object to stdout instead of text.")] = False

    def run(self) -> int:
        """Fetch, and print one path a line."""
        from medconsist.errors import RefusedInputError
        from medconsist.manifests.dataset import named_dataset
        from medconsist.manifests.fetch import FetchLimits, fetch_files

        dataset = named_dataset(self.dataset)
        if not dataset.files:
            msg = (
                f"{dataset.name} lists no files with digests. {dataset.how} Or copy its TOML file "
                "and add [[files]] with path, url, bytes and sha256 or md5."
            )
            raise RefusedInputError(msg)
        if not 0 <= self.spare_gib < math.inf:
            msg = f"--spare-gib must be 0 or more and finite, got {self.spare_gib}."
            raise RefusedInputError(msg)
        limits = FetchLimits(
            attempts=self.attempts,
            timeout_s=self.timeout_s,
            spare_bytes=int(self.spare_gib * 2**30),
        )
        fetched = fetch_files(dataset.files, self.out, limits=limits, said=logger.info)
        paths = [str(one.path) for one in fetched]
        fresh = sum(one.fresh for one in fetched)
        text = [*paths, f"{len(paths)} files, {fresh} fetched now. {dataset.license}."]
        _print({"paths": paths, "fresh": fresh, "license": dataset.license} if self.json else text)
        return 0


@dataclass(frozen=True)
class Manifest:
    """Lists of cases: build, check, split; public data sets: datasets, croissant, fetch."""

    verb: (
        Annotated[Build, subcommand("build", prefix_name=False)]
        | Annotated[Check, subcommand("check", prefix_name=False)]
        | Annotated[SplitCases, subcommand("split", prefix_name=False)]
        | Annotated[Datasets, subcommand("datasets", prefix_name=False)]
        | Annotated[Croissant, subcommand("croissant", prefix_name=False)]
        | Annotated[Fetch, subcommand("fetch", prefix_name=False)]
    )

    def run(self) -> int:
        """Run the verb."""
        return self.verb.run()


def _as_json(
    path: Path, manifest: "CaseManifest | None", problems: list["Problem"]
) -> dict[str, Any]:
    about = {"path": str(path), "problems": [asdict(problem) for problem in problems]}
    if manifest is None:
        return about
    counts = {"rows": len(manifest.rows), "cases": manifest.cases, "patients": manifest.patients}
    return {**about, **counts, "sha256": manifest.sha256, "notes": manifest.notes}


def _as_text(path: Path, manifest: "CaseManifest | None", problems: list["Problem"]) -> list[str]:
    if manifest is None or problems:
        faults = "1 fault" if len(problems) == 1 else f"{len(problems)} faults"
        return [*(f"{path}: {problem.sentence}" for problem in problems), f"{path}: {faults}."]
    counts = f"{len(manifest.rows)} rows, {manifest.cases} cases, {manifest.patients} patients"
    return [f"{path}: {counts}; no fault.", *manifest.notes]


def _print(answer: dict[str, Any] | list[str]) -> None:
    text = json.dumps(answer) if isinstance(answer, dict) else "\n".join(answer)
    sys.stdout.write(f"{text}\n")

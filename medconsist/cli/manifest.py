"""``medconsist manifest``: build, check."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg, subcommand

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.manifests.cases import CaseManifest
    from medconsist.manifests.problem import Problem

__all__ = ["Build", "Check", "Manifest"]


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


@dataclass(frozen=True)
class Manifest:
    """Lists of cases: build, check."""

    verb: (
        Annotated[Build, subcommand("build", prefix_name=False)]
        | Annotated[Check, subcommand("check", prefix_name=False)]
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

"""``medconsist manifest split``: who is trained on, who validates, who is the test; frozen."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

__all__ = ["SplitCases"]


@dataclass(frozen=True, kw_only=True)
class SplitCases:
    """Split a manifest by patient, or by site, and freeze the split in a file with its hash.

    Validation chooses checkpoint, threshold and temperature; the labels of the test are sealed
    until wsi evaluate --final. The same manifest and seed give the same split.
    """

    file: Annotated[Positional[Path], arg(metavar="MANIFEST")]
    """The manifest (.csv, .parquet)."""
    out: Path
    """The split (.json); a file that holds another one is never replaced."""
    group: Literal["patient", "site"] = "patient"
    """What stays on one side; site keeps all patients of a site together."""
    test: float = 0.2
    """Share of the patients that is held out."""
    validation: float = 0.2
    """Share of the others."""
    folds: int | None = None
    """Folds instead of one test part; each is the test once, with its own validation."""
    repeats: int = 1
    """How many times all that is drawn anew."""
    label: Annotated[str, arg(metavar="COLUMN")] = "label"
    """Column that is balanced over the parts."""
    given_test: Annotated[
        bool, arg(help="Keep as test the patients whose rows say so in the column split.")
    ] = False
    seed: int = 0
    """Of the draw."""
    json: Annotated[bool, arg(help="Print one JSON object to stdout instead of text.")] = False

    def run(self) -> int:
        """Split, write, and print what each part holds."""
        from medconsist._records import make_record
        from medconsist.manifests.case_manifest import read_case_manifest
        from medconsist.manifests.split import make_split, write_split
        from medconsist.manifests.split_notes import split_text
        from medconsist.manifests.split_record import SplitPlan

        plan = make_record(
            SplitPlan,
            seed=self.seed,
            group=self.group,
            test=self.test,
            validation=self.validation,
            folds=self.folds,
            repeats=self.repeats,
            label=self.label,
            given="test" if self.given_test else "ignored",
        )
        split = make_split(read_case_manifest(self.file, files=False), plan)
        write_split(split, self.out)
        values = {
            "path": str(self.out),
            "sha256": split.sha256,
            "rounds": [
                {part: counts.model_dump() for part, counts in one.counts.items()}
                for one in split.rounds
            ],
            "notes": split.notes,
        }
        text = f"{split_text(split)}\n{self.out}"
        sys.stdout.write((json.dumps(values) if self.json else text) + "\n")
        return 0

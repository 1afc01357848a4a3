"""``medconsist manifest croissant``: a data manifest as Croissant 1.0."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

__all__ = ["Croissant"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Croissant:
    """Write what is known of a data set as Croissant 1.0 (JSON-LD), which tools and search read.

    What is not known is left out; what Croissant requires of it is said on stderr.
    """

    dataset: Annotated[Positional[str], arg(metavar="NAME|FILE")]
    """Data set, or a TOML file of your own; see: medconsist manifest datasets."""
    cases: Path | None = None
    """Its case manifest (.csv, .parquet); the description is to lie beside it."""
    out: Path | None = None
    """The description (.json), replaced if it is there; without it, stdout."""

    def run(self) -> int:
        """Write, and say what is not known."""
        from medconsist._atomic import atomic_write_bytes, make_folder
        from medconsist.manifests.case_manifest import read_case_manifest
        from medconsist.manifests.croissant import croissant_bytes, unknown_properties
        from medconsist.manifests.dataset import named_dataset

        dataset = named_dataset(self.dataset)
        self._require_beside()
        cases = None if self.cases is None else read_case_manifest(self.cases, files=False)
        data = croissant_bytes(dataset, cases=cases)
        unknown = unknown_properties(dataset)
        if unknown:
            logger.info(
                "%s: Croissant requires %s, not known here.", dataset.name, " and ".join(unknown)
            )
        if self.out is None:
            sys.stdout.write(data.decode())
            return 0
        make_folder(self.out.parent)
        atomic_write_bytes(self.out, data)
        sys.stdout.write(f"{self.out}\n")
        return 0

    def _require_beside(self) -> None:
        from medconsist.errors import RefusedInputError

        if self.out is None:
            return
        if self.out.suffix.lower() not in (".json", ".jsonld"):
            msg = f"--out {self.out} must end with .json or .jsonld, so that no list is replaced."
            raise RefusedInputError(msg)
        if self.cases is not None and self.out.resolve().parent != self.cases.resolve().parent:
            msg = (
                f"--out {self.out} must lie beside --cases {self.cases}, which it names without a "
                "folder."
            )
            raise RefusedInputError(msg)

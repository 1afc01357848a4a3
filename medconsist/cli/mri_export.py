"""``medconsist mri export``: an image of a result as DICOM, NIfTI or ISMRMRD."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from medconsist.cli.options import Common

__all__ = ["ExportImage"]


@dataclass(frozen=True, kw_only=True)
class ExportImage(Common):
    """Write an image of a finished reconstruction as DICOM, NIfTI or ISMRMRD.

    DICOM is an Enhanced MR image where orientation and spacing are known, else a secondary
    capture without them. No file holds the identity of a patient, unless --keep-identity is given.
    """

    result: Annotated[Positional[Path], arg(metavar="RESULT")]
    """Folder of a case (its current result is taken), or of one of its results."""
    to: Literal["dicom", "nifti", "ismrmrd"]
    """Format of the file."""
    out: Path
    """Folder for the file; made if it is not there."""
    role: str = "reconstruction"
    """Which image: reconstruction, one that it is compared with, or reference."""
    reference: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """DICOM series of the same scan: lends its study, and its geometry where pictures agree."""
    keep_identity: Annotated[
        bool, arg(help="Keep name, ids, dates and UIDs of the reference in the DICOM file.")
    ] = False

    def run(self) -> int:
        """Write the file, and print what must be said of it and its path."""
        self.set_up()
        import medconsist
        from medconsist.mri.export import Export, export_result

        job = Export(
            result=self.result,
            out=self.out,
            to=self.to,
            role=self.role,
            reference=self.reference,
            identity="kept" if self.keep_identity else "removed",
        )
        done = export_result(job)
        said = medconsist.RESEARCH_USE_ONLY
        values = {"path": str(done.path), "notes": list(done.notes), "said": said}
        lines = [said, *(f"- {note}" for note in done.notes), str(done.path)]
        sys.stdout.write((json.dumps(values) if self.json else "\n".join(lines)) + "\n")
        return 0

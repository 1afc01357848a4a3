"""A reviewed MR result with its DICOM image, and programs of others that read what leaves."""

import shutil
import subprocess
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from torch import Tensor

from medconsist.results.schema import Result
from medconsist.results.store import ResultStore, StoredResult
from medconsist.review.records import Subject
from medconsist.viewing.leaving.dicom_source import Source, source_of_image, volume_export
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.leaving.report import Review
from tests.mri.posed import SPACING
from tests.mri.stored_result import store_result
from tests.viewing.leaving.filed import LINK, entry, signed, subject_of


@dataclass(frozen=True, eq=False)
class Imaged:
    """A result, the file of its image, and the source that the file is."""

    stored: StoredResult
    image: Export
    source: Source

    @property
    def result(self) -> Result:
        return self.stored.result

    @property
    def subject(self) -> Subject:
        return subject_of(self.result)

    def review(self, **changes: Any) -> Review:
        """A signed review of it."""
        thread = [entry(signed(self.subject), "v1")]
        fields: dict[str, Any] = {"thread": thread, "entry": "v1", "links": {"v1": LINK}}
        return Review(**({"result": self.result} | fields | changes))


def imaged(root: Path, affine: Tensor | None, *, reference: Path | None = None) -> Imaged:
    """Store a result with an orientation or without, and make its image."""
    store_result(root, affine=affine, spacing=None if affine is None else SPACING)
    stored = ResultStore(root, "mri").read("head")
    how: dict[str, Any] = {"identity": "removed" if reference is None else "kept"}
    image = volume_export(stored, to="dicom", reference=reference, **how)
    return Imaged(stored, image, source_of_image(image))


def read(left: Export) -> Any:
    """Return the file as pydicom reads it."""
    return pydicom.dcmread(BytesIO(left.data))


def dates_of(left: Export) -> set[str]:
    """Return every date in a file, of a date or of a date and time; the empty ones left out."""
    dated = [one for one in read(left).iterall() if one.VR in ("DA", "DT") and one.value]
    return {str(one.value)[:8] for one in dated}


def dcmtk(program: str, left: Export, folder: Path, *options: str, out: str = "") -> str:
    """Return what a program of DCMTK says of a file, or a refusal; it may warn of nothing else."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"the program {program} is not installed (Debian package: dcmtk)")
    path = folder / left.name
    path.write_bytes(left.data)
    more = [str(folder / out)] if out else []
    command = [found, *options, str(path), *more]
    done = subprocess.run(command, capture_output=True, check=True)
    warned = [line for line in done.stderr.decode().splitlines() if line.strip()]
    # DCMTK checks values of ASCII and Latin alone.
    assert all("VR checker does not support" in line for line in warned), warned
    return done.stdout.decode(errors="replace")  # it cuts long text between bytes

"""What ``prepared.json`` says of the files beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import Record
from medconsist.errors import RefusedInputError
from medconsist.timeseries.prepare_config import PrepareConfig

__all__ = [
    "RECORD",
    "SIGNALS",
    "TABLE",
    "Dropped",
    "FileFacts",
    "Flat",
    "PatientCount",
    "PreparedFacts",
    "PreparedRecord",
    "fingerprint_of_facts",
    "refuse_foreign",
]

SIGNALS, TABLE, RECORD = "signals.npy", "windows.safetensors", "prepared.json"


class FileFacts(Record):
    """Size in bytes and sha256 of a file.

    Examples
    --------
    >>> FileFacts(bytes=0, sha256="0" * 64).bytes
    0
    """

    bytes: int
    sha256: str


class PatientCount(Record):
    """What a patient gave: recordings read, windows kept (none: not in the table).

    Examples
    --------
    >>> PatientCount(patient="p1", label="case", site=None, recordings=2, windows=9).windows
    9
    """

    patient: str
    label: str | None
    site: str | None
    recordings: int
    windows: int


class Dropped(Record):
    """Pieces of a recording that were left out, and why.

    Examples
    --------
    >>> Dropped(patient="p1", trial="t1", reason="gap", pieces=3).pieces
    3
    """

    patient: str
    trial: str
    reason: str
    pieces: int


class Flat(Record):
    """Channels of a recording in which nothing varied.

    Examples
    --------
    >>> Flat(patient="p1", trial="t1", channels=("V2",)).channels
    ('V2',)
    """

    patient: str
    trial: str
    channels: tuple[str, ...]


class PreparedFacts(Record):
    """What the windows of a folder are and where they come from.

    Parameters
    ----------
    inputs
        sha256 of what was recorded, see `medconsist.timeseries.prepare.fingerprint_of`.
    settings
        How it was prepared.
    channels, units
        Of the windows.
    windows
        Number of them.
    patients
        Counts, in the order of the recordings.
    trials
        Name of each trial of the table by its number; ``recording/3`` is its pseudo-trial 3.
    dropped, flat, notes
        What was left out and what was found.

    Examples
    --------
    >>> sorted(PreparedFacts.model_fields)[:4]
    ['channels', 'dropped', 'flat', 'inputs']
    """

    kind: Literal["medconsist-prepared"] = "medconsist-prepared"
    schema_version: Literal[1] = 1
    inputs: str
    settings: PrepareConfig
    channels: tuple[str, ...]
    units: tuple[str | None, ...]
    windows: int
    patients: tuple[PatientCount, ...]
    trials: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    flat: tuple[Flat, ...]
    notes: tuple[str, ...]

    @property
    def kept(self) -> tuple[PatientCount, ...]:
        """Patients that have windows, in the order of their numbers in the table."""
        return tuple(count for count in self.patients if count.windows)


class PreparedRecord(Record):
    """``prepared.json``: facts, the sha256 of the files beside it, and one of all of that.

    Examples
    --------
    >>> sorted(PreparedRecord.model_fields)
    ['facts', 'files', 'fingerprint', 'made_by']
    """

    facts: PreparedFacts
    files: dict[str, FileFacts]
    fingerprint: str
    made_by: str


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds anything but what preparing writes.

    Raises
    ------
    RefusedInputError
        Names some of it.
    """
    ours = (SIGNALS, TABLE, RECORD)
    there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    others = sorted(
        name
        for name in there
        if name not in ours and not name.startswith(tuple(f".{n}." for n in ours))
    )
    if others or (folder.exists() and not folder.is_dir()):
        msg = f"{folder} is no folder for windows: it holds {others[:3]}. Choose an empty one."
        raise RefusedInputError(msg)


def fingerprint_of_facts(facts: PreparedFacts, files: Mapping[str, FileFacts]) -> str:
    """Return the sha256 that stands for samples, table and preparation."""
    shas = {name: file.sha256 for name, file in sorted(files.items())}
    said: dict[str, Any] = {"facts": facts.model_dump(mode="json"), "files": shas}
    return sha256_of_bytes(canonical_json(said))

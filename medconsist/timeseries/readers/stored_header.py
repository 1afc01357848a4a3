"""Our own layout of a recording in HDF5 or Zarr: one array of samples and one JSON header.

The array ``signal`` is ``time channels`` (float32, float64 or whole numbers of up to 32 bits). The
header is a JSON object::

    {"format": "medconsist-recording", "version": 1, "rate": 500.0, "channels": ["I", "II"],
     "units": ["mV", null], "patient": "a", "trial": "1", "start": "2020-01-01T10:00:00" or null,
     "annotations": [[0.2, "N", 0.0]], "diagnoses": [], "notes": []}

HDF5 holds its UTF-8 bytes as the dataset ``header`` (uint8), contiguous like ``signal``, since an
attribute may not be longer than 64 KiB; Zarr holds it as the attribute ``medconsist`` of the group.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from medconsist.errors import CorruptInputError
from medconsist.timeseries.readers.raw_header import RawHeader
from medconsist.timeseries.recording import Annotation, RecordingInfo

__all__ = ["header_text", "parsed_header"]


class _Header(BaseModel):
    """The JSON object; a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["medconsist-recording"]
    version: Literal[1]
    rate: float
    channels: tuple[str, ...]
    units: tuple[str | None, ...]
    patient: str | None = None
    trial: str | None = None
    start: datetime | None = None
    annotations: tuple[tuple[float, str, float], ...] = ()
    diagnoses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def header_text(info: RecordingInfo) -> str:
    """Return the JSON header of a recording."""
    header = _Header(
        format="medconsist-recording",
        version=1,
        rate=info.rate,
        channels=info.channels,
        units=info.units,
        patient=info.patient,
        trial=info.trial,
        start=info.start,
        annotations=tuple((a.start, a.label, a.duration) for a in info.annotations),
        diagnoses=info.diagnoses,
        notes=info.notes,
    )
    return header.model_dump_json()


def parsed_header(content: object, *, kind: str, shape: tuple[int, ...], path: Path) -> RawHeader:
    """Return what a JSON header says of samples of this shape.

    Raises
    ------
    CorruptInputError
        It is no such header, or says another number of channels than there are.
    """
    try:
        found: Any = json.loads(content) if isinstance(content, str | bytes) else content
        header = _Header.model_validate(found)
    except (ValidationError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"{path.name}: the header is not that of a recording of medconsist: {reason}."
        raise CorruptInputError(msg) from error
    if len(shape) != 2 or shape[1] != len(header.channels) or min(shape) < 1:
        msg = (
            f"{path.name}: signal has shape {shape}, its header names {len(header.channels)} "
            "channels; allowed: (time, channels), one name each."
        )
        raise CorruptInputError(msg)
    return RawHeader(
        kind=kind,
        rate=header.rate,
        channels=header.channels,
        units=header.units,
        samples=shape[0],
        patient=header.patient,
        trial=header.trial,
        start=header.start,
        annotations=tuple(
            Annotation(start=start, label=label, duration=duration)
            for start, label, duration in header.annotations
        ),
        diagnoses=header.diagnoses,
        notes=header.notes,
    )

"""The contract of ``result.json``: what a job writes and every viewer reads."""

import json
import re
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    JsonValue,
    field_validator,
    model_validator,
)

from medconsist._digests import plain_json, sha256_of_bytes
from medconsist._ids import safe_id
from medconsist._records import Record, read_record
from medconsist.errors import CorruptResultError, RefusedInputError
from medconsist.results.digests import result_key
from medconsist.results.environment import Environment, environment
from medconsist.results.ids import safe_key, safe_role
from medconsist.results.trust import TrustRecord

__all__ = [
    "SIMULATION_TRAINED",
    "Affine",
    "ArrayRecord",
    "Metric",
    "ModelRecord",
    "Place",
    "Result",
    "ResultFields",
    "Times",
    "read_result",
    "sealed_bytes",
]

Identifier = Annotated[str, AfterValidator(safe_id)]
Role = Annotated[str, AfterValidator(safe_role)]
Sha256 = Annotated[str, AfterValidator(safe_key)]
Row = tuple[float, float, float, float]
Affine = tuple[Row, Row, Row, Row]

SIMULATION_TRAINED = "simulation-trained"
_UNSEALED = "0" * 64
_NEWEST: Literal[3] = 3
_VERSION = re.compile(rb'^  "schema_version": ([0-9]{1,9}),', re.MULTILINE)
# Two blanks: the key of the outermost object. A string cannot hold a line break of its own.
_SEAL = re.compile(rb'^  "content_sha256": "([0-9a-f]{64})"', re.MULTILINE)


class Place(Record):
    """Where the pixels of an array lie on something larger, along each of its first axes.

    Index ``i`` along an axis begins at ``offset + scale * i``: the map of a picture, mask or heat
    map of a slide to the slide itself.

    Parameters
    ----------
    of, unit
        What the numbers count on, e.g. ``"slide"`` and ``"level-0 px"``.
    offset, scale
        One entry for each placed axis, in the order of the axes of the array; no scale is 0.

    Examples
    --------
    >>> Place(of="slide", unit="level-0 px", offset=(0.0, 0.0), scale=(32.0, 32.0)).scale[0]
    32.0
    """

    of: str = Field(min_length=1)
    unit: str = Field(min_length=1)
    offset: tuple[float, ...] = Field(min_length=1)
    scale: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _axes_fit(self) -> "Place":
        if len(self.offset) != len(self.scale) or 0.0 in self.scale:
            msg = f"offset {self.offset} and scale {self.scale} need one entry for each axis, "
            msg += "no scale 0"
            raise ValueError(msg)
        return self


class ArrayRecord(Record):
    """One array or file beside ``result.json``.

    Parameters
    ----------
    role
        What it is to the reader, unique in a result: ``reconstruction``, ``zerofilled``, ``cs``,
        ``reference``, or the name of a trust map.
    path
        Name in the folder of the result.
    kind
        ``zarr`` (images, grids), ``nifti`` (for a clinician's tool), ``safetensors``, ``geojson``.
    axes, shape, dtype
        Axis names, lengths and NumPy name of the type.
    unit
        Unit of the values, None if they have none that is known.
    sha256
        Of the file, or of the listing of the folder.
    spacing_mm
        One entry for each axis [mm]; None is unknown or no length.
    orientation
        Voxel index (column, row, slice) to patient millimetres, right-anterior-superior; None is
        unknown, and stays so.
    description
        One sentence.
    method
        Name of the method that made it, None where none did (reference, mask) or an older layout
        does not say. A role says what an array is to the reader, and not which method that was.
    place
        Where it lies on the slide that it was made from; None if it is no part of one.

    Examples
    --------
    >>> ArrayRecord(role="cs", path="cs.zarr", kind="zarr", axes=("height", "width"),
    ...             shape=(2, 3), dtype="float32", sha256="0" * 64).spacing_mm is None
    True
    """

    role: Role
    path: Identifier
    kind: Literal["zarr", "nifti", "safetensors", "geojson"]
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    sha256: Sha256
    unit: str | None = None
    spacing_mm: tuple[float | None, ...] | None = None
    orientation: Affine | None = None
    description: str = ""
    method: str | None = None
    place: Place | None = None

    @model_validator(mode="after")
    def _place_fits(self) -> "ArrayRecord":
        if self.place is not None and len(self.place.scale) > len(self.axes):
            msg = f"array {self.role!r}: its place has {len(self.place.scale)} axes, it has "
            msg += f"{len(self.axes)}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _axes_fit(self) -> "ArrayRecord":
        if len(self.axes) != len(self.shape) or len(set(self.axes)) != len(self.axes):
            msg = f"array {self.role!r}: axes {self.axes} must be one different name for each of "
            msg += f"the {len(self.shape)} axes of shape {self.shape}"
            raise ValueError(msg)
        if min(self.shape, default=1) < 1:
            msg = f"array {self.role!r}: shape {self.shape} has an axis shorter than 1"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _spacing_fits(self) -> "ArrayRecord":
        if self.spacing_mm is None:
            return self
        if len(self.spacing_mm) != len(self.axes):
            msg = f"array {self.role!r}: spacing_mm {self.spacing_mm} needs one entry for each of "
            msg += f"the axes {self.axes}; use None for an axis that has no length"
            raise ValueError(msg)
        if any(spacing is not None and spacing <= 0 for spacing in self.spacing_mm):
            msg = f"array {self.role!r}: spacing_mm {self.spacing_mm} must be positive"
            raise ValueError(msg)
        return self


class Metric(Record):
    """One reported number, with what it was counted over.

    Parameters
    ----------
    name, value, unit
        E.g. ``"ssim"``, 0.93, ``"1"``.
    n, unit_of_analysis
        How many of what: 24 of ``"slice"``, 1 of ``"scan"``.
    ci_low, ci_high
        Confidence interval; both or neither.
    role
        The array that is meant, None for the result as a whole.
    split
        Which part of the data, e.g. ``"test"`` or ``"withheld"``.

    Examples
    --------
    >>> Metric(name="ssim", value=0.93, unit="1", n=8, unit_of_analysis="slice").value
    0.93
    """

    name: str = Field(min_length=1)
    value: float
    unit: str
    n: int = Field(ge=1)
    unit_of_analysis: str = Field(min_length=1)
    ci_low: float | None = None
    ci_high: float | None = None
    role: Role | None = None
    split: str | None = None

    @model_validator(mode="after")
    def _interval_is_whole(self) -> "Metric":
        if (self.ci_low is None) != (self.ci_high is None):
            msg = f"metric {self.name!r}: give both ends of the interval or none"
            raise ValueError(msg)
        if self.ci_low is not None and self.ci_high is not None and self.ci_low > self.ci_high:
            msg = f"metric {self.name!r}: ci_low {self.ci_low} is above ci_high {self.ci_high}"
            raise ValueError(msg)
        return self


class ModelRecord(Record):
    """The weights that made a result, and their card.

    Parameters
    ----------
    name, sha256
        Of the weights file.
    card
        Name of the model card that belongs to them, None if there is none.
    trained_on
        What they have seen, e.g. ``"simulation"``: scans of the simulator and nobody's; None if
        they do not say.

    Examples
    --------
    >>> ModelRecord(name="cirim", sha256="0" * 64).card is None
    True
    """

    name: str
    sha256: Sha256
    card: str | None = None
    trained_on: str | None = None

    @property
    def label(self) -> str:
        """What must stand wherever an image of this model is named; empty if nothing must."""
        return SIMULATION_TRAINED if "simulation" in (self.trained_on or "") else ""


class Times(Record):
    """When a job ran, with time zone, and the seconds that each step took.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> Times(started=datetime.now(UTC), finished=datetime.now(UTC), steps_s={"read": 0.1}).steps_s
    {'read': 0.1}
    """

    started: AwareDatetime
    finished: AwareDatetime
    steps_s: dict[str, float] = Field(default_factory=dict)


class ResultFields(Record):
    """What a job says about its result; the store adds where it lies and the sha256 of its arrays.

    Parameters
    ----------
    kind
        Domain and task, e.g. ``"mri.reconstruction"``.
    patient, item
        Opaque ids; the case is the folder. None if there is none.
    inputs
        Role of each input file to its sha256.
    config
        The resolved configuration, any JSON; together with inputs, model and ``result_version``
        it makes the key.
    model
        None for a method without weights.
    result_version
        Raised by hand when the output of the task changes.
    seed, device
        E.g. 0, ``"cpu"``; seed None if nothing was drawn.
    times, metrics, trust
        See their classes.
    notes
        What was inferred or assumed, as sentences for the reader.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> now = datetime.now(UTC)
    >>> fields = ResultFields(kind="mri.reconstruction", inputs={"kspace": "0" * 64},
    ...     config={"method": "cs"}, result_version=1, times=Times(started=now, finished=now))
    >>> len(fields.key)
    64
    """

    kind: Identifier
    patient: Identifier | None = None
    item: Identifier | None = None
    inputs: dict[Identifier, Sha256]
    config: dict[str, JsonValue]
    model: ModelRecord | None = None
    result_version: int = Field(ge=1)
    seed: int | None = None
    device: str = "cpu"
    times: Times
    metrics: tuple[Metric, ...] = ()
    trust: TrustRecord = TrustRecord()
    notes: tuple[str, ...] = ()
    environment: Environment = Field(default_factory=environment)

    @field_validator("config", mode="before")
    @classmethod
    def _config_is_json(cls, value: object) -> object:
        return plain_json(value)

    @property
    def key(self) -> str:
        """The key of these fields: hash of inputs, config, model and ``result_version``."""
        return result_key(
            inputs=self.inputs,
            config=self.config,
            model_sha256=None if self.model is None else self.model.sha256,
            result_version=self.result_version,
        )


class Result(ResultFields):
    """The whole of ``result.json``.

    Parameters
    ----------
    schema_version
        Of this layout. 2 has ``method`` of an array and ``trained_on`` of a model, 3 ``place`` of
        an array and GeoJSON; 1 and 2 are still read.
    study, case
        Where it lies: ``study/case/key``.
    arrays
        What lies beside it.
    content_sha256
        sha256 of ``result.json`` itself with these 64 digits replaced by zeros. It covers the
        sha256 of every array: a signature binds this one number.

    Examples
    --------
    >>> sorted(set(Result.model_fields) - set(ResultFields.model_fields))
    ['arrays', 'case', 'content_sha256', 'schema_version', 'study']
    """

    schema_version: Literal[1, 2, 3] = _NEWEST
    study: Identifier
    case: Identifier
    arrays: tuple[ArrayRecord, ...]
    content_sha256: Sha256 = _UNSEALED

    @model_validator(mode="after")
    def _roles_are_unique(self) -> "Result":
        for words in ([a.role for a in self.arrays], [a.path for a in self.arrays]):
            if len(set(words)) != len(words):
                msg = f"roles and paths of arrays must be unique, got {words}"
                raise ValueError(msg)
        return self


def sealed_bytes(result: Result) -> bytes:
    """Return the bytes of ``result.json``, with the sha256 of themselves written in."""
    values = result.model_dump(mode="json") | {"content_sha256": _UNSEALED}
    data = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    return _with_seal(data, sha256_of_bytes(data))


def read_result(data: bytes, *, source: str) -> Result:
    """Return the result that the bytes of a ``result.json`` hold.

    Parameters
    ----------
    data
        The bytes.
    source
        Name of the file, for the sentence.

    Raises
    ------
    CorruptResultError
        If a byte differs from what was sealed, or the content does not fit the schema.
    """
    seals = _SEAL.findall(data)
    if len(seals) != 1 or sha256_of_bytes(_with_seal(data, _UNSEALED)) != seals[0].decode():
        msg = f"{source} is not as it was written: its bytes differ from its own sha256."
        raise CorruptResultError(msg)
    try:
        return read_record(Result, data, source=source)
    except RefusedInputError as error:
        raise CorruptResultError(_newer(data, source) or str(error)) from error


def _newer(data: bytes, source: str) -> str:
    """Return what to say of a newer layout, of which the first new key says little."""
    found = _VERSION.search(data)
    if found is None or int(found[1]) <= _NEWEST:
        return ""
    return (
        f"{source}: 'schema_version' is not allowed: {int(found[1])}, read here are 1 to "
        f"{_NEWEST}. A newer medconsist wrote it, and it may be sound: read it with that one."
    )


def _with_seal(data: bytes, digest: str) -> bytes:
    return _SEAL.sub(f'  "content_sha256": "{digest}"'.encode(), data)

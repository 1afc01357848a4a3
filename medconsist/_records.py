"""The base of every stored record, and one sentence for a file that does not fit it."""

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from medconsist._ids import nearest
from medconsist.errors import RefusedInputError

__all__ = ["Record", "make_record", "read_record"]


class Record(BaseModel):
    """A frozen record: unknown keys, NaN and silent conversions are refused.

    Examples
    --------
    >>> class Size(Record):
    ...     width: int
    >>> Size(width=3).width
    3
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


_R = TypeVar("_R", bound=Record)


def read_record(model: type[_R], text: str | bytes, *, source: str) -> _R:
    """Return the record that a JSON text holds.

    Parameters
    ----------
    model
        The class of the record.
    text
        One JSON object.
    source
        Name of the file, for the sentence.

    Raises
    ------
    RefusedInputError
        Names the file, the key and, for an unknown key, the nearest valid one.

    Examples
    --------
    >>> read_record(Record, "{}", source="empty.json")
    Record()
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        msg = f"{source}: {_first(model, error)}"
        raise RefusedInputError(msg) from error


def make_record(model: type[_R], /, **values: Any) -> _R:  # noqa: ANN401  checked by the record
    """Return the record with these values, or refuse them with one sentence.

    Raises
    ------
    RefusedInputError
        Names the key, and the nearest valid one for an unknown key.

    Examples
    --------
    >>> make_record(Record)
    Record()
    """
    try:
        return model(**values)
    except ValidationError as error:
        msg = f"{model.__name__}: {_first(model, error)}"
        raise RefusedInputError(msg) from error


def _first(model: type[BaseModel], error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    sentence = _sentence(model, first["loc"], first["type"], first["msg"])
    more = error.error_count() - 1
    return f"{sentence} ({more} more.)" if more else sentence


def _sentence(model: type[BaseModel], place: tuple[int | str, ...], kind: str, reason: str) -> str:
    dotted = ".".join(map(str, place))
    if kind == "extra_forbidden":
        hint = nearest(str(place[-1]), _fields(model, place[:-1]))
        return f"the key {dotted!r} is not known. {hint}"
    if kind == "missing":
        return f"the key {dotted!r} is missing. Add it."
    if not dotted:
        return f"{reason}."
    return f"the value of {dotted!r} is not allowed: {reason}."


def _fields(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    for step in place:
        if isinstance(step, str) and step in model.model_fields:
            model = _record_in(model.model_fields[step].annotation) or model
    return [field.alias or name for name, field in model.model_fields.items()]


def _record_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_record_in(part) for part in get_args(annotation))
    return next((record for record in found if record is not None), None)

"""Checks that the settings of all baselines share."""

import math
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

from medconsist.errors import RefusedInputError

__all__ = ["require_settings"]


def require_settings(config: Any, *, zero: frozenset[str] = frozenset()) -> None:  # noqa: ANN401
    """Refuse an unknown choice, and numbers that are not positive and finite.

    Whole-number fields need whole numbers; a field named ``dropout`` is below 1.

    Parameters
    ----------
    config
        A frozen dataclass of choices (Literal), numbers, and tuples of either.
    zero
        Fields that may be 0; ``dropout`` may always.

    Raises
    ------
    RefusedInputError
        Names the field, what it got and what is allowed.

    Examples
    --------
    >>> from medconsist.timeseries.baselines.cpc import CpcConfig
    >>> require_settings(CpcConfig())
    """
    for field in fields(config):
        kind, value = field.type, getattr(config, field.name)
        if get_origin(kind) is tuple:
            kinds = get_args(kind)
            lengths = Ellipsis in kinds or len(kinds) == len(value)
            if not isinstance(value, tuple) or not value or not lengths:
                msg = f"{field.name} got {value!r}; allowed: as many as in {field.default!r}."
                raise RefusedInputError(msg)
            for part in value:
                _require(field.name, part, kinds[0], zero)
        else:
            _require(field.name, value, kind, zero)


def _require(name: str, value: Any, kind: Any, zero: frozenset[str]) -> None:  # noqa: ANN401
    if get_origin(kind) is Literal:
        right = value in get_args(kind)
        allowed = ", ".join(repr(choice) for choice in get_args(kind))
    elif kind is bool:
        right, allowed = isinstance(value, bool), "True, False"
    else:
        wanted = int if kind is int else (int, float)
        may_be_zero = name in zero | {"dropout"}
        right = isinstance(value, wanted) and not isinstance(value, bool) and math.isfinite(value)
        right = right and (value > 0 or (may_be_zero and value == 0))
        right = right and (name != "dropout" or value < 1)
        allowed = "whole numbers" if kind is int else "finite numbers"
        allowed += " of at least 0" if may_be_zero else " above 0"
    if not right:
        msg = f"{name} got {value!r}; allowed: {allowed}{', below 1' * (name == 'dropout')}."
        raise RefusedInputError(msg)

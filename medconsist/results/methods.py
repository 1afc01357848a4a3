"""Which method made an array of a result, by which settings, and which one is shown first."""

from collections.abc import Mapping
from typing import Any

from medconsist.results.schema import Result

__all__ = ["SHOWN_FIRST", "labelled_method", "method_of", "reason_of_order", "settings_of"]

SHOWN_FIRST = "Shown first:"
"""How the note begins that says which of two methods is shown first, and why."""


def method_of(result: Result, role: str) -> str | None:
    """Return the name of the method that made an array; None if the result does not say.

    The record of the array decides. Results of the first layout name their methods by role in
    ``config["methods"]``.

    Examples
    --------
    A network that was shown second gives ``"cs"`` for ``"reconstruction"``.
    """
    for record in result.arrays:
        if record.role == role and record.method is not None:
            return record.method
    name = _asked(result).get(role, {}).get("name")
    return None if name is None else str(name)


def labelled_method(result: Result, role: str) -> str:
    """Return the name of the method, or else the role, with the label that its weights ask for.

    Examples
    --------
    A network that has seen simulated scans alone gives ``"cirim (simulation-trained)"``.
    """
    name = method_of(result, role) or role
    model = result.model
    label = model.label if model is not None and model.name == name else ""
    return f"{name} ({label})" if label else name


def settings_of(result: Result, role: str) -> dict[str, Any]:
    """Return the settings of the method that made an array, empty if the result names none."""
    asked = _asked(result)
    own, name = asked.get(role, {}), method_of(result, role)
    if name is None or own.get("name") == name:
        return dict(own)
    return dict(next((other for other in asked.values() if other.get("name") == name), {}))


def reason_of_order(result: Result) -> str:
    """Return the note that says which of two methods is shown first and why; empty without."""
    return next((note for note in result.notes if note.startswith(SHOWN_FIRST)), "")


def _asked(result: Result) -> dict[str, Mapping[str, Any]]:
    """Return the settings by the role that was asked for, as far as they have that form."""
    methods = result.config.get("methods")
    if not isinstance(methods, dict):
        return {}
    return {role: found for role, found in methods.items() if isinstance(found, dict)}

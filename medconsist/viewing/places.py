"""Places that go between widget, review panel and address: whatever came, a place or none."""

from collections.abc import Mapping
from typing import Any, Literal

from medconsist.errors import RefusedInputError
from medconsist.review.records import Pin

__all__ = ["asked_place", "asked_slice", "sent_pin"]

Space = Literal["voxel", "slide", "time"]


def sent_pin(sent: object, space: Space) -> Pin | None:
    """Return a pin that came as plain values; None for anything else, or one of another space.

    Examples
    --------
    >>> sent_pin({"kind": "pin", "space": "voxel", "at": [1, 2.5, 3]}, "voxel").at
    (1.0, 2.5, 3.0)
    >>> sent_pin({"space": "slide", "at": [1, 2]}, "voxel") is None
    True
    """
    if not isinstance(sent, Mapping) or sent.get("space") != space:
        return None
    try:
        return Pin(space=space, at=tuple(sent.get("at", ())), lead=sent.get("lead"))
    except (ValueError, TypeError):
        return None


def asked_place(asked: object, space: Space) -> dict[str, Any] | None:
    """Return ``at lead n`` of a place that a reader wants to be shown, None for none in a space.

    ``n`` grows with each time that it is asked for, so that a screen goes there once.

    Examples
    --------
    >>> asked_place({"space": "slide", "at": [8, 9], "n": 2}, "slide")
    {'at': [8.0, 9.0], 'lead': None, 'n': 2}
    """
    pin = sent_pin(asked, space)
    if pin is None or not isinstance(asked, Mapping):
        return None
    return {"at": list(pin.at), "lead": pin.lead, "n": asked.get("n", 0)}


def asked_slice(asked: str | None, count: int) -> int | None:
    """Return the index of the slice that an address names as the screen counts, from 1.

    Parameters
    ----------
    asked
        The value of ``slice=``; None for none.
    count
        Of slices.

    Raises
    ------
    RefusedInputError
        There is no such slice.

    Examples
    --------
    >>> asked_slice("3", 3), asked_slice(None, 3)
    (2, None)
    """
    if asked is None:
        return None
    numbers = {str(number + 1): number for number in range(count)}
    if asked not in numbers:
        msg = f"The link names a slice that is not here; there are 1 to {count}."
        raise RefusedInputError(msg)
    return numbers[asked]

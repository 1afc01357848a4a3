"""The verdicts that stand in one place: what was signed, and what took its place."""

from collections.abc import Sequence
from datetime import datetime

from medconsist.errors import RefusedInputError
from medconsist.review.entries import Entry
from medconsist.review.records import Pin, Verdict

__all__ = ["line_of", "pin_words", "time_words", "verdict_of"]


def line_of(thread: Sequence[Entry], entry: str) -> list[Entry]:
    """Return the verdicts of one place, the oldest first; drafts that others filed are not known.

    Parameters
    ----------
    thread
        Verdicts of a case, as `ReviewStore.thread` gives them.
    entry
        Id of any of the place.

    Raises
    ------
    RefusedInputError
        There is no such verdict, or one that was amended is missing.
    """
    known = {one.id: one for one in thread}
    after = {one.supersedes: one for one in thread if one.supersedes is not None}
    if entry not in known:
        msg = f"there is no verdict {entry[:64]} in this case; open the case again."
        raise RefusedInputError(msg)
    first = known[entry]
    for _ in thread:  # as many steps as there are verdicts: a torn store may hold a circle
        first = known.get(first.supersedes or "", first)
    if verdict_of(first).state == "amended":
        msg = f"verdict {first.id} amends {first.supersedes}, which is not given; give the whole "
        msg += "thread of the case."
        raise RefusedInputError(msg)
    line = [first]
    while line[-1].id in after and len(line) < len(thread):
        line.append(after[line[-1].id])
    return line


def verdict_of(entry: Entry) -> Verdict:
    """Return what a verdict says.

    Raises
    ------
    RefusedInputError
        The entry is of another kind.
    """
    if isinstance(entry.body, Verdict):
        return entry.body
    msg = f"entry {entry.id} is no verdict but a {type(entry.body).__name__.lower()}."
    raise RefusedInputError(msg)


def time_words(stored: str) -> str:
    """Return a time of the store as it is printed, with its zone.

    Examples
    --------
    >>> time_words("2026-01-31T09:30:00.000000Z")
    '2026-01-31 09:30:00 UTC'
    """
    return f"{datetime.fromisoformat(stored):%Y-%m-%d %H:%M:%S %Z}"


def pin_words(pin: Pin | None) -> str:
    """Return where a comment points.

    Examples
    --------
    >>> pin_words(Pin(space="voxel", at=(3.0, 20.0, 31.5)))
    'slice 4, row 20, column 31.5 (slices from 1, pixels from 0)'
    """
    if pin is None:
        return "the whole result"
    at = [f"{value:.7g}" for value in pin.at]
    match pin.space:
        case "voxel":
            first = f"slice {pin.at[0] + 1:.7g}"  # as the screen counts them
            return f"{first}, row {at[1]}, column {at[2]} (slices from 1, pixels from 0)"
        case "slide":
            return f"x {at[0]}, y {at[1]} (level-0 pixels)"
        case "time":
            return f"{at[0]} s to {at[1]} s, {f'lead {pin.lead}' if pin.lead else 'all leads'}"

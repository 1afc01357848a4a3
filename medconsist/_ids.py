"""Names that become folders: opaque, short, and unable to leave the results folder."""

import difflib
import re
from collections.abc import Iterable

from medconsist.errors import RefusedInputError

__all__ = ["is_id", "nearest", "safe_id"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RESERVED = frozenset({"current", "history.jsonl", "inputs.jsonl", "result.json"})


def safe_id(value: str, *, what: str = "id") -> str:
    """Return ``value`` if it may name a study, patient, case, item or file; refuse it otherwise.

    Parameters
    ----------
    value
        1 to 128 characters of ``A-Z a-z 0-9 . _ -``, the first a letter or digit, and not one of
        the names that the results folder uses itself.
    what
        The word for the sentence, e.g. ``"case id"``.

    Raises
    ------
    RefusedInputError
        If the name could leave its folder, hide, or clash with a name of the store.

    Examples
    --------
    >>> safe_id("case-007", what="case id")
    'case-007'
    """
    if is_id(value):
        return value
    if value in _RESERVED:
        msg = f"The {what} {value!r} is a name that the store uses itself. Choose another one."
        raise RefusedInputError(msg)
    shown = value if len(value) <= 64 else f"{value[:64]}..."
    msg = (
        f"The {what} {shown!r} is not a safe name. Allowed are 1 to 128 letters, digits, "
        "'.', '_' and '-', beginning with a letter or digit. Use a pseudonym, e.g. 'case-007'."
    )
    raise RefusedInputError(msg)


def is_id(value: str) -> bool:
    """Say whether :func:`safe_id` allows this name."""
    return value not in _RESERVED and _ID.fullmatch(value) is not None


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return a sentence that suggests the closest allowed word, or lists them all.

    Examples
    --------
    >>> nearest("metric", ["metrics", "seed"])
    "Did you mean 'metrics'?"
    """
    choices = sorted(allowed)
    close = difflib.get_close_matches(word, choices, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Allowed are: {', '.join(choices) or '(none)'}."

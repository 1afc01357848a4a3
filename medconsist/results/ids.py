"""Names that become folders: opaque, short, and unable to leave the results folder."""

import difflib
import re
from collections.abc import Iterable

from medconsist.errors import RefusedInputError

__all__ = ["is_id", "is_key", "nearest", "safe_id", "safe_key", "safe_role"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_ROLE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEY = re.compile(r"[0-9a-f]{64}")
_RESERVED = frozenset({"current", "history.jsonl", "result.json"})


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


def is_key(value: str) -> bool:
    """Say whether :func:`safe_key` allows this name."""
    return _KEY.fullmatch(value) is not None


def safe_role(value: str) -> str:
    """Return ``value`` if it may name the role of an array, e.g. ``"reconstruction"``.

    Raises
    ------
    RefusedInputError
        Unless it has 1 to 64 of ``a-z 0-9 _`` and begins with a letter.
    """
    if _ROLE.fullmatch(value) is None:
        msg = (
            f"The role {value[:64]!r} is not allowed: 1 to 64 of a-z, 0-9 and '_', "
            "beginning with a letter, such as 'reconstruction'."
        )
        raise RefusedInputError(msg)
    return value


def safe_key(value: str) -> str:
    """Return ``value`` if it is a result key: 64 lower-case hexadecimal digits.

    Raises
    ------
    RefusedInputError
        Otherwise.
    """
    if not is_key(value):
        msg = f"The key {value[:80]!r} is no result key: 64 digits of 0-9 and a-f are."
        raise RefusedInputError(msg)
    return value


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

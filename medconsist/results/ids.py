"""Names that only results have: keys, and roles of arrays."""

import re

from medconsist.errors import RefusedInputError

__all__ = ["is_key", "safe_key", "safe_role"]

_ROLE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEY = re.compile(r"[0-9a-f]{64}")


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

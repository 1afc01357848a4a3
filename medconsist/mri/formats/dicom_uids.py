"""UIDs that are made from what they name: the same content always has the same UID.

A UID is ``2.25.`` and the decimal number of a UUID (PS3.5 B.2), the UUID a version 5 name (RFC 9562
section 5.5) in a namespace of this program. No registered root is needed.
"""

from uuid import UUID, uuid5

from medconsist._digests import canonical_json

__all__ = ["UID_NAMESPACE", "derived_uid"]

UID_NAMESPACE = UUID("6d656463-6f6e-8369-b374-646963756964")
"""The namespace of every UID below: fixed for ever, since UIDs of written files hang on it."""


def derived_uid(*words: str) -> str:
    """Return the UID of a list of words, at most 44 characters.

    Whoever holds the same words finds the same UID: a UID made from another UID hides it from
    readers, not from somebody who has the other and compares.

    Examples
    --------
    >>> derived_uid("study", "a") == derived_uid("study", "a") != derived_uid("studya")
    True
    """
    # JSON keeps the borders between words: ("ab", "c") is not ("a", "bc").
    return f"2.25.{uuid5(UID_NAMESPACE, canonical_json(list(words)).decode()).int}"

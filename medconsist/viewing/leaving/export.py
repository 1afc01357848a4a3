"""A file that leaves: its bytes, their sha256, and what it is called."""

from dataclasses import dataclass

from medconsist._digests import sha256_of_bytes

__all__ = ["Export"]


@dataclass(frozen=True, kw_only=True)
class Export:
    """One file for a person to take away; who gives it out calls `ReviewStore.exported` first.

    Parameters
    ----------
    name
        Of the file, made of ids alone.
    media_type
        E.g. ``"application/pdf"``.
    what
        What it is, as the audit chain calls it.
    data
        Its bytes.

    Examples
    --------
    >>> Export(name="a.csv", media_type="text/csv", what="verdicts", data=b"").sha256[:8]
    'e3b0c442'
    """

    name: str
    media_type: str
    what: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Of the bytes, as 64 hexadecimal digits."""
        return sha256_of_bytes(self.data)

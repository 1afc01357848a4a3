"""The reasons that a reader chooses from: a short list here, or that of the site."""

import json
import tomllib
from pathlib import Path

from pydantic import Field

from medconsist._records import Record, read_record
from medconsist.errors import RefusedInputError

__all__ = ["DEFAULT_REASONS", "REASONS_FILE", "Reason", "reason_codes"]

REASONS_FILE = "review-reasons.toml"
"""Beside the results: ``[[reason]]`` with ``code``, ``words`` and, if not for all, ``kinds``."""

_MOST_BYTES = 2**16
_MOST = 100


class Reason(Record):
    """One reason.

    Parameters
    ----------
    code
        What is filed.
    words
        What the reader sees.
    kinds
        Begin of the kinds of results that it is for, e.g. ``"mri"``; none is all.

    Examples
    --------
    >>> Reason(code="motion", words="Motion", kinds=("mri",)).fits("mri.reconstruction")
    True
    """

    code: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    words: str = Field(min_length=1, max_length=120)
    kinds: tuple[str, ...] = ()

    def fits(self, kind: str) -> bool:
        """Say whether it is for a kind of result."""
        return not self.kinds or kind.partition(".")[0] in self.kinds


_MRI, _WSI, _SIGNAL = ("mri",), ("wsi",), ("timeseries",)

DEFAULT_REASONS: tuple[Reason, ...] = (
    Reason(code="artefact", words="Artefact in the image or recording"),
    Reason(code="noise", words="Too noisy to read"),
    Reason(code="incomplete", words="Part of what is needed is missing"),
    Reason(code="wrong-identity", words="Not the patient or examination that it should be"),
    Reason(code="disagrees", words="What the model says does not fit what the reader sees"),
    Reason(code="trust", words="A trust score is outside its history"),
    Reason(code="motion", words="Motion", kinds=_MRI),
    Reason(code="aliasing", words="Aliasing or wrap-around", kinds=_MRI),
    Reason(code="blurred", words="Detail is lost", kinds=_MRI),
    Reason(code="invented", words="Structure that the samples do not support", kinds=_MRI),
    Reason(code="out-of-focus", words="Out of focus", kinds=_WSI),
    Reason(code="pen-or-fold", words="Pen, fold or air bubble", kinds=_WSI),
    Reason(code="stain", words="Stain is off", kinds=_WSI),
    Reason(code="leads", words="Leads missing or swapped", kinds=_SIGNAL),
    Reason(code="baseline", words="Baseline wanders or drops out", kinds=_SIGNAL),
)
"""What is offered where the site has no list of its own."""


def reason_codes(results: Path, kind: str) -> tuple[Reason, ...]:
    """Return the reasons for a kind of result: those of ``review-reasons.toml``, if it is there.

    Parameters
    ----------
    results
        The results folder.
    kind
        Of the result.

    Raises
    ------
    RefusedInputError
        The file is no such list; the sentence says where.
    """
    path = results / REASONS_FILE
    listed = _read(path) if path.is_file() else DEFAULT_REASONS
    return tuple(reason for reason in listed if reason.fits(kind))


def _read(path: Path) -> tuple[Reason, ...]:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    try:
        found = tomllib.loads(data.decode()).get("reason") if len(data) <= _MOST_BYTES else None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path.name} is no TOML: {error}"
        raise RefusedInputError(msg) from error
    if not isinstance(found, list) or not 0 < len(found) <= _MOST:
        msg = f"{path.name} needs 1 to {_MOST} entries [[reason]] with code and words."
        raise RefusedInputError(msg)
    listed = tuple(_reason(one, number, path.name) for number, one in enumerate(found, start=1))
    codes = [reason.code for reason in listed]
    if len(set(codes)) != len(codes):
        msg = f"{path.name} lists a code twice: {', '.join(sorted(codes))}."
        raise RefusedInputError(msg)
    return listed


def _reason(values: object, number: int, name: str) -> Reason:
    if not isinstance(values, dict):
        msg = f"{name}, reason {number}: got {values!r}; allowed: [[reason]] with code and words."
        raise RefusedInputError(msg)
    text = json.dumps(values, default=str)  # a date of TOML is no JSON, and no reason either
    return read_record(Reason, text, source=f"{name}, reason {number}")

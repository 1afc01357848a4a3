"""Text, numbers, codes and sequence items as DICOM holds them."""

import re
from typing import Any

from medconsist._extras import require

__all__ = ["code", "decimals", "item", "text", "window"]

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def text(value: str, longest: int) -> str:
    r"""Return text without backslashes (they part values) and control characters, cut to a length.

    Lines end with CR LF, as DICOM text does.

    Examples
    --------
    >>> text("a\\b\tc", 4)
    'a/b '
    """
    plain = _CONTROL.sub(" ", value.replace("\\", "/"))
    return plain.replace("\n", "\r\n")[:longest]


def decimals(*values: float) -> list[str]:
    """Return numbers as decimal text of at most 16 characters (DS), as exact as those allow."""
    number = require("pydicom.valuerep", extra="dicom").format_number_as_ds
    return [number(float(value)) for value in values]


def window(centre: float, width: float) -> dict[str, str]:
    """Return a window over any width: the default LINEAR is not defined below 1 (C.11.2.1.2)."""
    shown_centre, shown_width = decimals(centre, width)
    return {
        "WindowCenter": shown_centre,
        "WindowWidth": shown_width,
        "VOILUTFunction": "LINEAR_EXACT",
    }


def item(**attributes: Any) -> Any:  # noqa: ANN401  a class of pydicom
    """Return one item of a sequence."""
    dataset = require("pydicom", extra="dicom").Dataset()
    for word, value in attributes.items():
        setattr(dataset, word, value)
    return dataset


def code(value: str, scheme: str, meaning: str) -> Any:  # noqa: ANN401  a class of pydicom
    """Return a code of a terminology as an item."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)

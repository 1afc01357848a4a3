"""Kinds of results in words of a reader; the code stays in addresses and filters."""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["KIND_WORDS", "kind_words"]

KIND_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "mri.reconstruction": "MR reconstruction",
        "wsi.features": "Slide: features",
        "wsi.prediction": "Slide: prediction",
        "timeseries.prediction": "Signals: prediction",
    }
)
"""Domain and task of a result, and what a list calls it."""


def kind_words(kind: str) -> str:
    """Return a kind in words; one that has none is called by its code.

    Examples
    --------
    >>> kind_words("wsi.prediction"), kind_words("other.task")
    ('Slide: prediction', 'other.task')
    """
    return KIND_WORDS.get(kind, kind)

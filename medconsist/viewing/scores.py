"""Words beside trust scores: what was expected, and of which width they tell."""

from collections.abc import Mapping

from pydantic import JsonValue

from medconsist.results.trust import Score
from medconsist.viewing.numbers import number

__all__ = ["expected_words", "stated_width"]


def expected_words(score: Score) -> str:
    """Return what was expected of the value, or that nothing was."""
    if score.expectation is None:
        return "no expectation"
    return f"expected {number(score.expectation, score.unit)}"


def stated_width(settings: Mapping[str, JsonValue]) -> str:
    """Return the width of the feature that maps and scores are about, empty if there is none.

    Examples
    --------
    >>> stated_width({"fwhm_px": 4.0})
    'Stated width of a feature: 4 pixels at half of its height.'
    """
    width = settings.get("fwhm_px")
    if not isinstance(width, int | float):
        return ""
    return f"Stated width of a feature: {width:g} pixels at half of its height."

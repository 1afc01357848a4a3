"""Words beside trust scores: what each is called, what was expected, of which width they tell."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import JsonValue

from medconsist.results.trust import Score
from medconsist.viewing.numbers import number, plain_name
from medconsist.viewing.panes import IMAGE_TITLES

__all__ = ["NO_EXPECTATION", "expected_words", "score_title", "stated_width"]

NO_EXPECTATION = "no expectation"

_OF_SAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "withheld_error": "Error on withheld samples",
        "withheld_nrmse": "Withheld error as share of the signal",
        "withheld_noise_corrected": "Withheld error beyond the noise",
        "residual": "Residual against expectation",
    }
)
"""Those that stand once for the shown image, and again for coils, bands, draws, other images."""

_TITLES: Mapping[str, str] = MappingProxyType(
    {
        **_OF_SAMPLES,
        "not_determined_share": "Not determined by the data",
        "refutable_contrast": "Smallest refutable contrast",
        "matched_filter_peak": "Strongest residual, matched filter",
        "tissue_area": "Tissue found",
        "pen_share": "Tissue under pen strokes",
        "fold_share": "Tissue in folds",
        "blur_share": "Tissue out of focus",
        "blank_share": "Tissue that is empty",
        "hidden_spread": "Change with half of the tiles hidden",
        "novelty": "Distance to the training tiles",
        "teacher_probability_gap": "Teacher-student gap in probability",
        "teacher_attention_gap": "Teacher-student gap in attention",
        "half_gap": "Difference between halves of the trials",
        "distance_percentile": "Distance to the training trials",
        "unusable": "Unusable leads and stretches",
        "attribution_agreement": "Agreement of attention and leaving out",
        "withheld_leads": "Withheld leads, not told by the others",
        "withheld_lead_worst": "Worst withheld lead",
    }
)
_GROUPS = {"coil": "coil", "band": "k-space band"}


def score_title(name: str) -> str:
    """Return what a score is called on the screen; one that nobody foresaw keeps its own name.

    Examples
    --------
    >>> score_title("half_gap")
    'Difference between halves of the trials'
    >>> score_title("residual_band_3"), score_title("withheld_error_cirim")
    ('Residual against expectation, k-space band 3', 'Error on withheld samples, of CIRIM')
    """
    if name in _TITLES:
        return _TITLES[name]
    for base, title in _OF_SAMPLES.items():
        part = _part(name.removeprefix(f"{base}_")) if name.startswith(f"{base}_") else ""
        if part:
            return f"{title}, {part}"
    return plain_name(name)


def expected_words(score: Score) -> str:
    """Return what was expected of the value, or that nothing was."""
    if score.expectation is None:
        return NO_EXPECTATION
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


def _part(end: str) -> str:
    """Return coil, band, draw or image that the end of a name says; empty for anything else."""
    what, _, at = end.rpartition("_")
    if not at.isdigit():
        return f"of {IMAGE_TITLES[end]}" if end in IMAGE_TITLES else ""
    if what in _GROUPS:
        return f"{_GROUPS[what]} {at}"
    if what in IMAGE_TITLES:
        return f"of {IMAGE_TITLES[what]}, draw {at}"
    return "" if what else f"draw {at}"

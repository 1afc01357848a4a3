"""The model of a result for the screen: weights, card, what it was trained on, and on whom."""

import re
from importlib import resources

from medconsist._ids import is_id
from medconsist.results.schema import ModelRecord, Result
from medconsist.viewing.numbers import model_words

__all__ = ["model_rows"]

_UNKNOWN = "unknown: the result does not say"
_COHORT = re.compile(r"^Model .*, trained on (.+)\.$")
_ROW = re.compile(r"^\| (trained on|validation) \| (.+) \|$", re.MULTILINE)
_SHIPPED = "medconsist.mri"


def model_rows(result: Result) -> tuple[tuple[str, str], ...]:
    """Return what is known of the weights as pairs of name and value; unknown is said.

    The card of weights that ship with this version is quoted, if the sha256 that stands in it is
    that of the result.
    """
    model = result.model
    if model is None:
        return (("Model", model_words(result)),)
    quoted = _shipped_card(model)
    return (
        ("Model", model.name),
        ("sha256 of the weights", model.sha256),
        ("Card", model.card or "no card"),
        ("Label", model.label or "none asked for"),
        ("Trained on", model.trained_on or _UNKNOWN),
        ("Training cohort", quoted.get("trained on") or _cohort(result)),
        *((("Validation", quoted["validation"]),) if "validation" in quoted else ()),
    )


def _cohort(result: Result) -> str:
    found = (_COHORT.match(note) for note in result.notes)
    return next((match[1] for match in found if match), _UNKNOWN)


def _shipped_card(model: ModelRecord) -> dict[str, str]:
    """Return the rows of the card that are shown; none where it is of other weights."""
    name = model.card or ""
    if not is_id(name) or not name.endswith(".md"):  # a result may come from anywhere
        return {}
    page = resources.files(_SHIPPED) / "weights" / name
    if not page.is_file():
        return {}
    text = page.read_text(encoding="utf-8")
    return dict(_ROW.findall(text)) if model.sha256 in text else {}

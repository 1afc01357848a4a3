"""The numbers beside the images, as text: metrics, methods, and where a result comes from."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

from medconsist.results.methods import labelled_method, method_of, settings_of
from medconsist.results.schema import Metric, Result
from medconsist.viewing.kind_words import kind_words
from medconsist.viewing.panes import IMAGE_TITLES, IMAGE_WORDS

__all__ = [
    "ROUNDED",
    "image_label",
    "image_title",
    "key_label",
    "method_words",
    "metric_tables",
    "model_words",
    "number",
    "plain_name",
    "provenance_rows",
    "recording_rows",
    "singular",
]

ROUNDED = (
    "Rounded: measured values to four significant digits, probabilities to three decimals. The "
    "exact ones are in the result."
)
_TRACE_AXES = ("time", "channels")
_ONE_OF_MANY = re.compile(
    r"(?<![\d.,])1 (earlier case|window|trial|recording|patient|case|slide|tile|unit)s\b"
)


def number(value: float, unit: str = "1") -> str:
    """Return four significant digits and the unit; a pure number has none.

    Examples
    --------
    >>> number(0.79034, "sigma^2"), number(12.0, "1")
    ('0.7903 sigma^2', '12')
    """
    return f"{value:.4g}" if unit in ("", "1") else f"{value:.4g} {unit}"


def plain_name(name: str) -> str:
    """Return the name of a number in words.

    Examples
    --------
    >>> plain_name("withheld_error")
    'withheld error'
    """
    return name.replace("_", " ").strip()


def singular(words: str) -> str:
    """Return a sentence in which one of something is no plural, for those that are stored so.

    Examples
    --------
    >>> singular("10 windows of 1 trials in 11 recordings.")
    '10 windows of 1 trial in 11 recordings.'
    """
    return _ONE_OF_MANY.sub(r"1 \1", words)


def metric_tables(
    metrics: Sequence[Metric], *, title: Callable[[str], str] | None = None
) -> dict[str, list[list[str]]]:
    """Return one table for each number: its name and what was counted, to image, value, interval.

    Methods stand below each other under one heading only if they were counted over the same units.

    Parameters
    ----------
    metrics
        Of one result.
    title
        Role to the name of the image; None takes that of the role.
    """
    title = title or _title
    tables: dict[str, list[list[str]]] = {}
    order = list(IMAGE_TITLES)
    for metric in sorted(metrics, key=lambda m: order.index(m.role) if m.role in order else -1):
        image = title(metric.role) if metric.role else "Result"
        row = [image, number(metric.value, metric.unit), _interval(metric)]
        tables.setdefault(_heading(metric), []).append(row)
    return tables


def model_words(result: Result, *, digits: int = 64) -> str:
    """Return the model and so many digits of its sha256, or that there is none."""
    model = result.model
    if model is None and any(_is_from_scratch(settings) for settings in _methods(result)):
        return "no weights: a network that was trained on this scan alone"
    encoder = result.config.get("encoder")
    if model is None and isinstance(encoder, dict):
        return f"{encoder.get('name', 'encoder')}: no weights"
    if model is None:
        return "no model: classical method"
    label = f", {model.label}" if model.label else ""
    sha = model.sha256[:digits] + ("…" if digits < len(model.sha256) else "")
    return f"{model.name} ({model.card or 'no card'}{label}), sha256 {sha}"


def provenance_rows(result: Result) -> list[list[str]]:
    """Return where a result comes from, as pairs of name and value."""
    versions = ", ".join(f"{name} {v}" for name, v in result.environment.versions.items())
    return [
        ["Key", result.key],
        ["sha256 of this result", result.content_sha256],
        *([f"Input: {role}", digest] for role, digest in result.inputs.items()),
        ["Model", model_words(result)],
        ["Configuration", json.dumps(result.config, sort_keys=True, ensure_ascii=False)],
        ["Kind", f"{result.kind}, result version {result.result_version}"],
        ["Seed", "nothing was drawn" if result.seed is None else str(result.seed)],
        ["Device", result.device],
        ["Finished", result.times.finished.isoformat(timespec="seconds")],
        ["Code", result.environment.git_commit or "installed package, no commit"],
        ["Versions", versions],
    ]


def recording_rows(result: Result) -> list[list[str]]:
    """Return the recordings of a result of signals: number, leads, length [s] and unit."""
    return [
        [
            record.role.removeprefix("signal_"),
            record.description or "not said",
            "unknown" if record.place is None else f"{record.shape[0] * record.place.scale[0]:.4g}",
            record.unit or "several or none",
        ]
        for record in result.arrays
        if record.axes == _TRACE_AXES
    ]


def key_label(result: Result, *, current: bool) -> str:
    """Return how one key is named in the list of results of a case."""
    named = method_of(result, "reconstruction") is not None
    words = [
        "current" if current else "older",
        *([result.item] if result.item not in (None, result.case) else []),
        labelled_method(result, "reconstruction") if named else kind_words(result.kind),
        *_second(result),
        result.times.finished.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        result.key[:8],
    ]
    return " · ".join(words)


def method_words(result: Result, role: str) -> str:
    """Return the method of an image and its numbers on one line, or what the image is at all.

    Examples
    --------
    A reconstruction by compressed sensing gives ``Compressed sensing, lambda 0.005``.
    """
    settings = settings_of(result, role)
    name = settings.pop("name", None)
    numbers = [
        f"{plain_name(key)} {value:g}"
        for key, value in settings.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    title = IMAGE_TITLES.get(str(name), str(name)) if name else ""
    words = ", ".join(filter(None, [title if role == "reconstruction" else "", *numbers]))
    return ", ".join(filter(None, [words, image_label(result, role)])) or IMAGE_WORDS.get(role, "")


def image_title(result: Result, role: str) -> str:
    """Return the title of an image; that of the reconstruction says by which method.

    A network that needs a label has it in its title.

    Examples
    --------
    A reconstruction by compressed sensing is called ``Reconstruction: Compressed sensing``.
    """
    name = method_of(result, role)
    title = _title(name or role)
    if role == "reconstruction" and name is not None:
        title = f"{_title(role)}: {title}"
    label = image_label(result, role)
    return f"{title} ({label})" if label else title


def _title(role: str) -> str:
    return IMAGE_TITLES.get(role, role)


def image_label(result: Result, role: str) -> str:
    """Return what must stand wherever an image is named; empty if nothing must."""
    model = result.model
    return model.label if model is not None and model.name == method_of(result, role) else ""


def _second(result: Result) -> list[str]:
    """Return the network that took part and is not shown first."""
    if result.model is None or method_of(result, "reconstruction") == result.model.name:
        return []
    label = f" ({result.model.label})" if result.model.label else ""
    return [f"{result.model.name}{label} second"]


def _methods(result: Result) -> list[dict[str, Any]]:
    return [settings_of(result, record.role) for record in result.arrays]


def _is_from_scratch(settings: dict[str, Any]) -> bool:
    return "zero_shot" in settings and settings.get("weights_sha256") is None


def _interval(metric: Metric) -> str:
    if metric.ci_low is None or metric.ci_high is None:
        return ""
    return f"{metric.ci_low:.4g} to {metric.ci_high:.4g}"


def _heading(metric: Metric) -> str:
    plural = "" if metric.n == 1 or metric.unit_of_analysis.endswith("s") else "s"
    counted = f"{metric.n} {metric.unit_of_analysis}{plural}"
    return " · ".join(filter(None, [plain_name(metric.name), metric.split, counted]))

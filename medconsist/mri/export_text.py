"""What an exported file says of its image in words: how it was made, and what its evidence is."""

import medconsist
from medconsist.results.methods import labelled_method, method_of
from medconsist.results.schema import ArrayRecord, Result
from medconsist.results.store import StoredResult

__all__ = ["attributes_of", "comments_of", "derivation_of", "software_of"]


def derivation_of(stored: StoredResult, record: ArrayRecord) -> str:
    """Return one paragraph: method, weights, acceleration, and the key of the result."""
    result = stored.result
    method = method_of(result, record.role)
    words = ["Reference image, stored beside the k-space"]
    if method is not None:
        words = [f"Image by {labelled_method(result, record.role)} from multi-coil k-space"]
    if method is not None and "sampling_mask" in stored.roles():
        mask = stored.array("sampling_mask")
        words.append(f"acceleration {mask.size / max(int(mask.sum()), 1):.3g}")
    model = result.model
    if model is not None and method == model.name:
        words.append(f"weights sha256 {model.sha256}")
        words += [f"trained on {model.trained_on}"] if model.trained_on else []
    return f"{', '.join(words)}. Result key {result.key}. {software_of(result)}."


def comments_of(
    result: Result, record: ArrayRecord, notes: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the lines below the warning: unit, notes, and every score with its judgement."""
    unit = record.unit or "unknown"
    scores = [
        f"{score.name} {score.value:.4g} {score.unit}"
        + ("" if score.expectation is None else f" (expected {score.expectation:.4g})")
        + f". {score.judgement}"
        for score in result.trust.scores
    ]
    about = ["Trust record, about the image of role 'reconstruction':"] if scores else []
    validity = [result.trust.validity] if scores else []
    return (f"Pixel unit: {unit}.", *notes, *result.notes, *about, *scores, *validity)


def attributes_of(
    stored: StoredResult, record: ArrayRecord, notes: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the meta attributes of an ISMRMRD image."""
    return {
        "SeriesDescription": medconsist.RESEARCH_USE_ONLY,
        "ImageComment": "\n".join(comments_of(stored.result, record, notes)),
        "ImageProcessingHistory": derivation_of(stored, record),
        "DataRole": record.role,
    }


def software_of(result: Result) -> str:
    """Return name and version of the program that made the result."""
    return f"medconsist {result.environment.versions.get('medconsist', 'of unknown version')}"

"""What readers drew, sorted into the groups of a DICOM file: one for each label and author."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medconsist import RESEARCH_USE_ONLY
from medconsist._digests import canonical_json
from medconsist.errors import ConflictError, RefusedInputError
from medconsist.results.schema import Result
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation
from medconsist.viewing.leaving.dicom_words import coded, long_string, person_name
from medconsist.wsi.geojson import regions_of

__all__ = ["Drawn", "Groups", "add_authors", "drawn_words", "ellipse_of", "last_filed"]
__all__ += ["outline_of", "shape_codes", "shapes_by_label", "shown_label"]

Drawn = tuple[Entry, Annotation]
Groups = dict[tuple[str, str], list[Drawn]]
"""Label and author to their shapes, in order of time."""

_CORNERS = 48  # that the MR screen files an ellipse with, see apps/viewer/js/mr_marks.js
_ROUNDED = 0.006  # it rounds them to hundredths of a pixel

_ELSEWHERE = {
    True: "is no shape on a slide; those of slices leave as a segmentation (annotations_seg).",
    False: "is no shape on a slice of a volume. Shapes on a slide leave as GeoJSON "
    "(annotations_geojson).",
}


def shapes_by_label(result: Result, entries: Sequence[Entry], *, on_slide: bool) -> Groups:
    """Return the shapes of a result, without those that were withdrawn.

    Raises
    ------
    RefusedInputError
        There is none, or an entry is something else.
    ConflictError
        One was drawn on another result.
    """
    drawn = [(one, _shape(one, result, on_slide=on_slide)) for one in entries]
    groups: Groups = {}
    for entry, shape in sorted(drawn, key=lambda one: (one[0].created, one[0].id)):
        if shape.geometry is not None:
            groups.setdefault((shape.label, entry.author), []).append((entry, shape))
    if not groups:
        msg = f"nobody has drawn a shape on {result.case}, so there is nothing to export."
        raise RefusedInputError(msg)
    return groups


def last_filed(groups: Groups) -> str:
    """Return when the newest shape was filed."""
    return max(entry.created for drawn in groups.values() for entry, _ in drawn)


def shown_label(label: str) -> str:
    """Return a label, or that there is none.

    Examples
    --------
    >>> shown_label(" ")
    'unlabelled'
    """
    return label.strip() or "unlabelled"


def drawn_words(author: str, drawn: Sequence[Drawn]) -> str:
    """Return who drew the shapes of a group, their entries in the store, and which are ellipses."""
    said = [
        f"{entry.id}{' (ellipse)' if ellipse_of(shape.geometry or {}) else ''}"
        for entry, shape in drawn
    ]
    return f"drawn by {author}; entries {', '.join(said)}"


def ellipse_of(geometry: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """Return least and largest x and y of the ellipse that a polygon was filed for; None for none.

    The MR screen files an ellipse as the polygon of 48 corners on it, evenly from its right end.
    """
    rings = geometry.get("coordinates")
    if geometry.get("type") != "Polygon" or not isinstance(rings, list) or len(rings) != 1:
        return None
    try:
        ring = np.asarray(rings[0], dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if ring.shape != (_CORNERS + 1, 2) or not np.isfinite(ring).all():
        return None
    (left, top), (right, bottom) = ring.min(0).tolist(), ring.max(0).tolist()
    angle = 2 * np.pi * np.arange(_CORNERS + 1) / _CORNERS
    x = (left + right) / 2 + (right - left) / 2 * np.cos(angle)
    y = (top + bottom) / 2 + (bottom - top) / 2 * np.sin(angle)
    is_one = left < right and top < bottom
    is_one = is_one and bool(np.abs(ring - np.stack([x, y], axis=1)).max() <= _ROUNDED)
    return (left, right, top, bottom) if is_one else None


def shape_codes() -> tuple[Any, Any]:
    """Return category and type of every shape: a label is a word of its author, and no code."""
    return coded("marked", "Marked by a reader"), coded("shape")


def add_authors(dataset: Any, groups: Groups) -> None:  # noqa: ANN401  a class of pydicom
    """Set label, description and creator of the content."""
    authors = list(dict.fromkeys(author for _, author in groups))
    dataset.ContentLabel = "SHAPES"
    dataset.ContentDescription = long_string(f"{RESEARCH_USE_ONLY} Drawn by {', '.join(authors)}")
    dataset.ContentCreatorName = person_name(authors[0]) if len(authors) == 1 else ""


def outline_of(drawn: Drawn) -> Any:  # noqa: ANN401  a class of shapely
    """Return a shape as shapely holds it.

    Raises
    ------
    RefusedInputError
        It is no polygon, not closed, or crosses itself.
    """
    entry, shape = drawn
    feature = {"type": "Feature", "geometry": shape.geometry, "properties": {}}
    name = f"annotation {entry.id}"  # what a program once filed is judged like a foreign file
    return regions_of(canonical_json(feature), name=name, origin="slide")[0].geometry


def _shape(entry: Entry, result: Result, *, on_slide: bool) -> Annotation:
    body = entry.body
    if not isinstance(body, Annotation) or (body.plane is None) != on_slide:
        msg = f"entry {entry.id} {_ELSEWHERE[on_slide]}"
        raise RefusedInputError(msg)
    if body.subject.content_sha256 != result.content_sha256:
        msg = (
            f"shape {entry.id} was drawn on the result {body.subject.content_sha256[:12]}, the one "
            f"given is {result.content_sha256[:12]}. Give the shapes of one result."
        )
        raise ConflictError(msg)
    return body

"""What readers drew on a slide as GeoJSON that QuPath loads, and back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from medconsist._digests import canonical_json
from medconsist._extras import require
from medconsist._ids import safe_id
from medconsist.errors import BudgetError, CorruptInputError, RefusedInputError
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation, Subject
from medconsist.viewing.leaving.export import Export
from medconsist.viewing.markup import readable
from medconsist.wsi.geojson import Origin, geojson_bytes, regions_of
from medconsist.wsi.regions import Region
from medconsist.wsi.slide import Bounds

__all__ = ["MAX_FEATURES", "MAX_UPLOAD", "Canvas", "annotations_geojson", "read_annotations"]

MAX_UPLOAD = 1 << 23
"""Bytes of a file that a reader brings."""

MAX_FEATURES = 1_000
"""Shapes of a file that a reader brings: each becomes an entry of the review store."""

_LONGEST_LABEL = 200


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """The slide that shapes lie on.

    Parameters
    ----------
    width, height
        Of level 0, in pixels.
    origin, bounds
        Where the other program begins to count, see `medconsist.wsi.geojson`: QuPath from the
        bounds of a slide that names any.

    Examples
    --------
    >>> Canvas(width=100, height=80).origin
    'slide'
    """

    width: int
    height: int
    origin: Origin = "slide"
    bounds: Bounds | None = None


def annotations_geojson(case: str, entries: Sequence[Entry], *, canvas: Canvas) -> Export:
    """Return the shapes as one FeatureCollection in level-0 pixels, with author and time.

    Author, time and id of the entry are ``metadata`` of each feature, which QuPath shows. What was
    withdrawn is left out.

    Parameters
    ----------
    case
        Of all of them.
    entries
        Annotations as `ReviewStore.entries` gives them.
    canvas
        The slide.

    Raises
    ------
    RefusedInputError
        One is of another case, no annotation, or drawn on a slice of a volume; its outline is no
        polygon or not simple.
    """
    drawn = [one for one in entries if _annotation(one, case).geometry is not None]
    regions = [_region(one, _annotation(one, case)) for one in drawn]
    document = json.loads(geojson_bytes(regions, origin=canvas.origin, bounds=canvas.bounds))
    for entry, feature in zip(drawn, document["features"], strict=True):
        said = {"author": entry.author, "created_utc": entry.created, "entry": entry.id}
        feature["properties"]["metadata"] = said
    return Export(
        name=f"{safe_id(case, what='case id')}-annotations.geojson",
        media_type="application/geo+json",
        what="annotations",
        data=json.dumps(document, allow_nan=False, ensure_ascii=False).encode(),
    )


def read_annotations(
    data: bytes, *, name: str, subject: Subject, canvas: Canvas
) -> list[Annotation]:
    """Return the polygons of a file that a reader brings; all of it is taken, or nothing.

    Class names become labels, a shape without a class gets an empty one; colours, measurements and
    the authors that the file names are not taken over: who files them is their author.

    Parameters
    ----------
    data
        The bytes of the file.
    name
        Of the file, for the sentence.
    subject
        The result on the screen.
    canvas
        The slide.

    Raises
    ------
    BudgetError
        More than `MAX_UPLOAD` bytes or `MAX_FEATURES` shapes.
    CorruptInputError
        It is no GeoJSON, an outline crosses itself or leaves the slide, a coordinate is no number.
    UnsupportedInputError
        It holds points or lines.
    RefusedInputError
        It counts from another origin.
    """
    name = readable(name, limit=80)
    if len(data) > MAX_UPLOAD:
        msg = f"{name} has {len(data)} bytes, at most {MAX_UPLOAD} are read. Export fewer shapes."
        raise BudgetError(msg)
    regions = regions_of(data, name=name, origin=canvas.origin, bounds=canvas.bounds)
    if len(regions) > MAX_FEATURES:
        msg = f"{name} holds {len(regions)} shapes, at most {MAX_FEATURES} are read. Export fewer."
        raise BudgetError(msg)
    return [
        _brought(region, f"{name}, feature {number}", subject, canvas)
        for number, region in enumerate(regions, start=1)
    ]


def _annotation(entry: Entry, case: str) -> Annotation:
    body = entry.body
    if isinstance(body, Annotation) and body.subject.case == case and body.plane is None:
        return body
    msg = f"entry {entry.id} is no shape on a slide of case {case}; those of volumes and other "
    msg += "cases do not go into this file."
    raise RefusedInputError(msg)


def _region(entry: Entry, drawn: Annotation) -> Region:
    properties = {"classification": {"name": drawn.label}} if drawn.label else {}
    feature = {"type": "Feature", "geometry": drawn.geometry, "properties": properties}
    name = f"annotation {entry.id}"  # what a program once filed is judged like a foreign file
    return regions_of(canonical_json(feature), name=name, origin="slide")[0]


def _brought(region: Region, where: str, subject: Subject, canvas: Canvas) -> Annotation:
    shapely = require("shapely", extra="wsi")
    left, top, right, bottom = region.geometry.bounds
    if left < 0 or top < 0 or right > canvas.width or bottom > canvas.height:
        msg = (
            f"{where}: the outline leaves the slide: x {left:g} to {right:g}, y {top:g} to "
            f"{bottom:g}, level 0 has {canvas.width} x {canvas.height} pixels. Was it drawn on "
            "another slide?"
        )
        raise CorruptInputError(msg)
    label = region.name or ""
    if len(label) > _LONGEST_LABEL:
        msg = f"{where}: the class has {len(label)} letters, at most {_LONGEST_LABEL} are kept."
        raise CorruptInputError(msg)
    geometry = shapely.geometry.mapping(region.geometry)
    return Annotation(subject=subject, geometry=geometry, label=label)

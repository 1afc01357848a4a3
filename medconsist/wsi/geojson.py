"""Regions as GeoJSON that QuPath reads and writes; every call names where its pixels begin."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from medconsist import RESEARCH_USE_ONLY
from medconsist._atomic import atomic_write_bytes, storage_errors
from medconsist._extras import require
from medconsist.errors import (
    BudgetError,
    CorruptInputError,
    MissingInputError,
    RefusedInputError,
    UnsupportedInputError,
)
from medconsist.wsi.regions import Geometry, Kind, Region
from medconsist.wsi.slide import Bounds

__all__ = ["MAX_BYTES", "Origin", "geojson_bytes", "read_geojson", "regions_of", "write_geojson"]

Origin = Literal["slide", "bounds"]
"""Where (0, 0) is: at the first pixel of level 0, or at that of `medconsist.wsi.slide.Bounds`."""

MAX_BYTES = 1 << 28  # parsed JSON takes some ten times its size
_OURS = "medconsist"
_UNIT = "level-0 px"
_LARGEST = 1e15  # neither a coordinate nor a measurement is; float64 counts pixels exactly up to it
_KINDS: Mapping[str, Kind] = {kind: kind for kind in get_args(Kind)}


def write_geojson(
    path: Path, regions: Sequence[Region], *, origin: Origin, bounds: Bounds | None = None
) -> None:
    """Write regions as one FeatureCollection, whole or not at all.

    Parameters
    ----------
    path
        Ends in ``.geojson`` for QuPath.
    regions
        In level-0 pixels of the whole slide.
    origin
        ``"slide"`` for programs that show the whole of level 0 (OpenSlide itself, QuPath with
        ``--no-crop``); ``"bounds"`` for those that crop a slide to its bounds, as QuPath does
        where a slide has any (https://github.com/qupath/qupath/issues/820).
    bounds
        Of the slide; needed for ``"bounds"``.

    Raises
    ------
    RefusedInputError
        ``"bounds"`` and the slide names none.
    StorageError
        The disk is full or not writable.

    Examples
    --------
    >>> import tempfile, shapely
    >>> path = Path(tempfile.mkdtemp()) / "regions.geojson"
    >>> write_geojson(path, [Region(geometry=shapely.box(1, 2, 3, 5))], origin="slide")
    >>> read_geojson(path, origin="slide")[0].geometry.bounds
    (1.0, 2.0, 3.0, 5.0)
    """
    atomic_write_bytes(path, geojson_bytes(regions, origin=origin, bounds=bounds))


def geojson_bytes(
    regions: Sequence[Region], *, origin: Origin, bounds: Bounds | None = None
) -> bytes:
    """Return what `write_geojson` writes; coordinates keep every bit."""
    left, top = _shift(origin, bounds)
    document = {
        "type": "FeatureCollection",
        # QuPath reads the features and leaves other members alone.
        _OURS: {"notice": RESEARCH_USE_ONLY, "origin": origin, "unit": _UNIT},
        "features": [_feature(region, -left, -top) for region in regions],
    }
    return json.dumps(document, allow_nan=False, ensure_ascii=False).encode()


def read_geojson(path: Path, *, origin: Origin, bounds: Bounds | None = None) -> list[Region]:
    """Return the regions of a file of QuPath, of `write_geojson` or of another program.

    A FeatureCollection, a list of features or one feature; Polygon and MultiPolygon.

    Parameters
    ----------
    path
        At most `MAX_BYTES`.
    origin
        Where the program that wrote it begins to count, see `write_geojson`.
    bounds
        Of the slide; needed for ``"bounds"``.

    Returns
    -------
    In level-0 pixels of the whole slide. Measurements that are NaN, infinite or null are unknown,
    and left out.

    Raises
    ------
    MissingInputError
        There is no such file.
    BudgetError
        It is too large.
    CorruptInputError
        It is no GeoJSON: not JSON, a ring that is not closed, a coordinate that is no number ...
    UnsupportedInputError
        It holds another geometry, or none.
    RefusedInputError
        It was written by medconsist with another origin.
    """
    return regions_of(_read(path), name=path.name, origin=origin, bounds=bounds)


def regions_of(
    data: bytes, *, name: str, origin: Origin, bounds: Bounds | None = None
) -> list[Region]:
    """Return what `read_geojson` does, of the bytes of a file called ``name``."""
    left, top = _shift(origin, bounds)
    document = _parsed(data, name)
    said = document.get(_OURS) if isinstance(document, dict) else None
    if isinstance(said, dict) and said.get("origin", origin) != origin:
        msg = f"{name} counts from the origin {said['origin']!r}, as it says itself; it was "
        msg += f"read as {origin!r}."
        raise RefusedInputError(msg)
    regions = []
    for number, feature in enumerate(_features(document, name), start=1):
        where = f"{name}, feature {number}"
        regions.append(_region(feature, left, top, where))
    return regions


def _shift(origin: Origin, bounds: Bounds | None) -> tuple[int, int]:
    if origin == "slide":
        return 0, 0
    if bounds is None:
        msg = "this slide names no bounds, so that nothing can count from them; use origin='slide'."
        raise RefusedInputError(msg)
    return bounds.x, bounds.y


def _feature(region: Region, right: int, down: int) -> dict[str, Any]:
    shapely = require("shapely", extra="wsi")
    moved = shapely.transform(region.geometry, lambda xy: xy + np.array([right, down]))
    properties: dict[str, Any] = {"objectType": region.kind}
    if region.name is not None:
        properties["classification"] = {"name": region.name}
        if region.colour is not None:
            properties["classification"]["color"] = list(region.colour)
    elif region.colour is not None:
        properties["color"] = list(region.colour)
    if region.measurements:
        properties["measurements"] = {
            name: float(value) for name, value in region.measurements.items()
        }
    geometry = shapely.geometry.mapping(moved)
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _read(path: Path) -> bytes:
    if not path.is_file():
        msg = f"{path} is no file. Name a GeoJSON file."
        raise MissingInputError(msg)
    with storage_errors(path, doing="read"):
        size = path.stat().st_size
        if size > MAX_BYTES:
            msg = (
                f"{path.name} has {size} bytes, at most {MAX_BYTES} are read. Export fewer objects."
            )
            raise BudgetError(msg)
        return path.read_bytes()


def _parsed(data: bytes, name: str) -> Any:  # noqa: ANN401  any JSON
    try:
        return json.loads(data, parse_constant=str)  # QuPath writes unknown as NaN
    # RecursionError: brackets nested thousands deep; the others are ValueErrors of json and UTF-8.
    except (ValueError, RecursionError) as error:
        msg = f"{name} is no GeoJSON: {error}. Export it again, without compression."
        raise CorruptInputError(msg) from error


def _features(document: object, name: str) -> list[Any]:
    if isinstance(document, dict) and document.get("type") == "Feature":
        return [document]
    found = document.get("features") if isinstance(document, dict) else document
    if not isinstance(found, list):
        msg = f"{name} holds no features; a FeatureCollection, a list of features or one "
        msg += "feature is read."
        raise CorruptInputError(msg)
    return found


def _region(feature: object, left: int, top: int, where: str) -> Region:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        msg = f"{where}: a GeoJSON Feature is needed."
        raise CorruptInputError(msg)
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        msg = f"{where}: properties must be an object, got {type(properties).__name__}."
        raise CorruptInputError(msg)
    name, colour = _class(properties, where)
    geometry = _geometry(feature.get("geometry"), left, top, where)
    try:
        return Region(
            geometry=geometry,
            name=name,
            colour=colour,
            measurements=dict(_measurements(properties.get("measurements"), where)),
            kind=_KINDS.get(str(properties.get("objectType")), "annotation"),
        )
    except RefusedInputError as error:
        msg = f"{where}: {error}"
        raise CorruptInputError(msg) from error


def _geometry(geometry: object, left: int, top: int, where: str) -> Geometry:
    shapely = require("shapely", extra="wsi")
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if not isinstance(geometry, dict) or kind not in ("Polygon", "MultiPolygon"):
        msg = f"{where}: the geometry is {kind or geometry!r}; Polygon and MultiPolygon are read. "
        msg += "Delete the others before exporting."
        raise UnsupportedInputError(msg)
    polygons = [geometry.get("coordinates")] if kind == "Polygon" else geometry.get("coordinates")
    shapes = []
    for polygon in _list(polygons, where):
        rings = [_ring(ring, left, top, where) for ring in _list(polygon, where)]
        shapes.append(shapely.Polygon(rings[0], rings[1:]))
    return shapes[0] if kind == "Polygon" else shapely.MultiPolygon(shapes)


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        msg = f"{where}: coordinates must be lists of rings of points, none of them empty."
        raise CorruptInputError(msg)
    return value


def _ring(ring: object, left: int, top: int, where: str) -> list[tuple[float, float]]:
    points = _list(ring, where)
    pairs = [
        (_number(point[0], where), _number(point[1], where))
        for point in points
        if isinstance(point, list) and len(point) in (2, 3)  # a third number is a height
    ]
    if len(pairs) != len(points):
        msg = f"{where}: every point needs x and y."
        raise CorruptInputError(msg)
    if len(pairs) < 4 or pairs[0] != pairs[-1]:
        msg = f"{where}: a ring of {len(pairs)} points is not closed; it needs four or more, the "
        msg += "last like the first."
        raise CorruptInputError(msg)
    return [(x + left, y + top) for x, y in pairs]


def _number(value: object, where: str) -> float:
    # Compared before it becomes a float: 10**400 is an int of JSON, and no float.
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -_LARGEST <= value <= _LARGEST
    ):
        return float(value)
    msg = f"{where}: {str(value)[:40]!r} is no number that can be meant here."
    raise CorruptInputError(msg)


def _class(
    properties: Mapping[str, Any], where: str
) -> tuple[str | None, tuple[int, int, int] | None]:
    """Return name and colour; a class of several words is joined as QuPath shows it."""
    said = properties.get("classification") or {}
    if not isinstance(said, dict):
        msg = f"{where}: classification must be an object, got {type(said).__name__}."
        raise CorruptInputError(msg)
    name = said.get("name")
    if name is None and isinstance(said.get("names"), list):
        name = ": ".join(str(word) for word in said["names"])
    if not (name is None or isinstance(name, str)):
        msg = f"{where}: the name of the class must be text, got {type(name).__name__}."
        raise CorruptInputError(msg)
    colour = said.get("color", properties.get("color"))
    packed = said.get("colorRGB")
    if colour is None and isinstance(packed, int):  # of older QuPath: 0xAARRGGBB, signed
        colour = [packed >> shift & 255 for shift in (16, 8, 0)]
    return name, _colour(colour, where)


def _colour(colour: object, where: str) -> tuple[int, int, int] | None:
    if colour is None:
        return None
    if isinstance(colour, list) and len(colour) == 3:
        red, green, blue = (_number(part, where) for part in colour)
        if all(part.is_integer() and 0 <= part <= 255 for part in (red, green, blue)):
            return int(red), int(green), int(blue)
    msg = f"{where}: a colour is three whole numbers of 0 to 255, got {str(colour)[:40]}."
    raise CorruptInputError(msg)


def _measurements(said: object, where: str) -> Iterator[tuple[str, float]]:
    """Yield names and numbers, without those that are NaN or null; QuPath once wrote a list."""
    if said is None:
        return
    if isinstance(said, list):
        pairs = [(one.get("name"), one.get("value")) for one in said if isinstance(one, dict)]
    elif isinstance(said, dict):
        pairs = list(said.items())
    else:
        msg = f"{where}: measurements must be an object, got {type(said).__name__}."
        raise CorruptInputError(msg)
    for name, value in pairs:
        if value is None or value in ("NaN", "Infinity", "-Infinity"):
            continue
        yield str(name), _number(value, where)

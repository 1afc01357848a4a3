"""GeoJSON out and in again: every bit of the place kept, every foreign fault named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from medconsist import RESEARCH_USE_ONLY
from medconsist.errors import (
    BudgetError,
    CorruptInputError,
    MedconsistError,
    MissingInputError,
    RefusedInputError,
    UnsupportedInputError,
)
from medconsist.wsi import geojson
from medconsist.wsi.geojson import geojson_bytes, read_geojson, write_geojson
from medconsist.wsi.heatmap import heat_map
from medconsist.wsi.regions import Region, contour_regions, tile_regions
from medconsist.wsi.slide import Bounds
from tests.wsi.test_tile_grid import slide_grid

BOUNDS = Bounds(x=1200, y=340, width=5000, height=4000)
SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]


def feature(**changes: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [SQUARE]}
    return {"type": "Feature", "geometry": geometry, "properties": {}} | changes


def read(document: object, folder: Path, **how: Any) -> list[Region]:
    path = folder / "foreign.geojson"
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_text(text)
    return read_geojson(path, **({"origin": "slide"} | how))


def region(**changes: Any) -> Region:
    ring = shapely.Polygon(
        [(2000.1, 500.7), (3000, 500), (3000, 1500)],
        holes=[[(2700, 800), (2800, 800), (2800, 900)]],
    )
    known: dict[str, Any] = {"geometry": ring, "name": "Tumor", "colour": (200, 0, 7)}
    return Region(**(known | {"measurements": {"attention": 0.1}} | changes))


@pytest.mark.parametrize("origin", ["slide", "bounds"])
def test_everything_comes_back_as_it_was(origin: Any, tmp_path: Path) -> None:
    parts = shapely.MultiPolygon(
        [shapely.box(1300, 400, 1301, 401), shapely.box(1500, 900, 2e3, 1e3)]
    )
    written = [region(), region(geometry=parts, kind="detection", name=None, measurements={})]
    path = tmp_path / "regions.geojson"
    write_geojson(path, written, origin=origin, bounds=BOUNDS)
    for before, after in zip(
        written, read_geojson(path, origin=origin, bounds=BOUNDS), strict=True
    ):
        # Moving by the bounds and back rounds in float64 twice.
        assert shapely.equals_exact(after.geometry, before.geometry, tolerance=1e-9)
        assert after.geometry.geom_type == before.geometry.geom_type
        assert (after.name, after.colour, after.kind) == (before.name, before.colour, before.kind)
        assert after.measurements == before.measurements


@given(
    mpp=st.tuples(st.floats(0.1, 1.0), st.floats(0.1, 1.0)),
    tile_px=st.integers(40, 128),
    overlap_px=st.integers(0, 39),
    bounds=st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)),
    data=st.data(),
)
@settings(deadline=None, max_examples=50)
def test_slide_to_tile_to_heat_map_to_file_to_slide_within_a_millionth_of_a_pixel(
    mpp: tuple[float, float],
    tile_px: int,
    overlap_px: int,
    bounds: tuple[int, int],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    shape = {"tile_px": tile_px, "overlap_px": overlap_px, "edge": "keep", "width": 1500}
    grid = slide_grid(mpp, height=900, origin_x=bounds[0], origin_y=bounds[1], **shape)
    item = data.draw(st.integers(0, len(grid) - 1))
    box = grid.boxes([item])[0]
    shown = heat_map(grid, [item], np.ones(1))
    tiles = tile_regions(grid, [item], np.ones(1), name="p")
    path = tmp_path_factory.mktemp("round") / "p.geojson"
    write_geojson(
        path,
        [*tiles, *contour_regions(shown, name="p", threshold=0.5)],
        origin="bounds",
        bounds=Bounds(*bounds, 1500, 900),
    )
    tile, *contour = read_geojson(path, origin="bounds", bounds=Bounds(*bounds, 1500, 900))
    np.testing.assert_allclose(tile.geometry.bounds, box, rtol=0, atol=1e-6)
    np.testing.assert_allclose(contour[0].geometry.bounds[:2], box[:2], rtol=0, atol=1e-6)
    if not overlap_px:
        np.testing.assert_allclose(contour[0].geometry.bounds, box, rtol=0, atol=1e-6)


def test_file_counted_from_the_bounds_begins_there(tmp_path: Path) -> None:
    corner = Region(geometry=shapely.box(BOUNDS.x, BOUNDS.y, BOUNDS.x + 10, BOUNDS.y + 20))
    document = json.loads(geojson_bytes([corner], origin="bounds", bounds=BOUNDS))
    points = np.asarray(document["features"][0]["geometry"]["coordinates"][0])
    assert points.min(axis=0).tolist() == [0, 0]
    assert points.max(axis=0).tolist() == [10, 20]  # x, y


def test_file_says_notice_origin_and_unit() -> None:
    document = json.loads(geojson_bytes([], origin="slide"))
    assert document["type"] == "FeatureCollection"
    assert document["medconsist"] == {
        "notice": RESEARCH_USE_ONLY,
        "origin": "slide",
        "unit": "level-0 px",
    }


def test_own_file_read_with_another_origin_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    write_geojson(path, [region()], origin="slide")
    with pytest.raises(
        RefusedInputError, match="counts from the origin 'slide', as it says itself"
    ):
        read_geojson(path, origin="bounds", bounds=BOUNDS)


def test_slide_without_bounds_has_nothing_to_count_from(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="names no bounds"):
        write_geojson(tmp_path / "a.geojson", [], origin="bounds")
    assert not list(tmp_path.iterdir())


def test_failed_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    write_geojson(path, [region()], origin="slide")
    before = path.read_bytes()
    with pytest.raises(MedconsistError, match="names no bounds"):
        write_geojson(path, [], origin="bounds")
    assert path.read_bytes() == before


@pytest.mark.parametrize("said", [None, [], {}, 1, "brush"])
def test_an_object_type_that_is_none_of_qupaths_is_an_annotation(
    said: object, tmp_path: Path
) -> None:
    (one,) = read([feature(properties={"objectType": said})], tmp_path)
    assert one.kind == "annotation"


def test_forms_that_qupath_writes_are_read(tmp_path: Path) -> None:
    one = feature(
        id="0d2f",
        properties={
            "objectType": "annotation",
            "classification": {"name": "Tumor", "color": [200, 0, 0]},
            "isLocked": True,
            "measurements": {"Area µm^2": 3.5, "Unknown": None},
        },
    )
    old = feature(
        properties={
            "object_type": "annotation",
            "classification": {"name": "Stroma", "colorRGB": -3670016},
            "measurements": [{"name": "p", "value": 1}],
        }
    )
    names = feature(properties={"classification": {"names": ["Tumor", "Positive"]}})
    for document in (
        [one, old, names],
        {"type": "FeatureCollection", "features": [one, old, names]},
    ):
        first, second, third = read(document, tmp_path)
        assert (first.name, first.colour) == ("Tumor", (200, 0, 0))
        assert first.measurements == {"Area µm^2": 3.5}
        assert (second.name, second.colour) == ("Stroma", (200, 0, 0))
        assert second.measurements == {"p": 1.0}
        assert third.name == "Tumor: Positive"
    assert read(one, tmp_path)[0].geometry.area == 100
    assert read({"type": "FeatureCollection", "features": []}, tmp_path) == []


def test_unknown_measurement_of_qupath_is_left_out(tmp_path: Path) -> None:
    text = json.dumps(feature(properties={"measurements": {"a": 2.0, "b": 0.0}}))
    (found,) = read(text.replace("0.0", "NaN", 1).replace("2.0", "Infinity"), tmp_path)
    assert found.measurements == {}


def test_third_number_of_a_point_is_a_height(tmp_path: Path) -> None:
    high = {"type": "Polygon", "coordinates": [[[*point, 0] for point in SQUARE]]}
    assert read(feature(geometry=high), tmp_path)[0].geometry.area == 100


def polygon(*rings: Any) -> dict[str, Any]:
    return feature(geometry={"type": "Polygon", "coordinates": list(rings)})


FAULTS: dict[str, tuple[Any, type[MedconsistError], str]] = {
    "empty": ("", CorruptInputError, "is no GeoJSON"),
    "cut": (json.dumps(feature())[:-9], CorruptInputError, "is no GeoJSON"),
    "deep": ("[" * 100_000, CorruptInputError, "is no GeoJSON"),
    "long number": ("1" * 5000, CorruptInputError, "is no GeoJSON"),
    "number": (3, CorruptInputError, "holds no features"),
    "features no list": (
        {"type": "FeatureCollection", "features": {}},
        CorruptInputError,
        "holds no",
    ),
    "geometry alone": ([{"type": "Polygon"}], CorruptInputError, "feature 1: a GeoJSON Feature"),
    "second fault": ([feature(), 5], CorruptInputError, "feature 2: a GeoJSON Feature is needed"),
    "properties": (
        feature(properties=[1]),
        CorruptInputError,
        "properties must be an object, got list",
    ),
    "null geometry": (feature(geometry=None), UnsupportedInputError, "the geometry is None"),
    "point": (
        feature(geometry={"type": "Point", "coordinates": [1, 2]}),
        UnsupportedInputError,
        "Point",
    ),
    "collection": (
        feature(geometry={"type": "GeometryCollection", "geometries": []}),
        UnsupportedInputError,
        "the geometry is 'GeometryCollection'",
    ),
    "no rings": (polygon(), CorruptInputError, "none of them empty"),
    "ring no list": (polygon(4), CorruptInputError, "lists of rings"),
    "empty multi": (
        feature(geometry={"type": "MultiPolygon", "coordinates": []}),
        CorruptInputError,
        "none of them empty",
    ),
    "open ring": (polygon(SQUARE[:-1]), CorruptInputError, "a ring of 4 points is not closed"),
    "short ring": (polygon(SQUARE[:2] + SQUARE[:1]), CorruptInputError, "a ring of 3 points"),
    "flat points": (polygon([0, 0, 1, 1]), CorruptInputError, "every point needs x and y"),
    "one number": (polygon([[0], *SQUARE]), CorruptInputError, "every point needs x and y"),
    "text": (polygon([["0", 0], *SQUARE]), CorruptInputError, "'0' is no number"),
    "truth": (polygon([[True, 0], *SQUARE]), CorruptInputError, "'True' is no number"),
    "huge": (polygon([[10**400, 0], *SQUARE]), CorruptInputError, "is no number that can be meant"),
    "nan": (polygon([[float("nan"), 0], *SQUARE]), CorruptInputError, "'NaN' is no number"),
    "infinite": (polygon([[float("inf"), 0], *SQUARE]), CorruptInputError, "'Infinity' is no"),
    "bow tie": (
        polygon([[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]),
        CorruptInputError,
        r"feature 1: the outline crosses or touches itself at \(1, 1\): move a corner",
    ),
    "class": (feature(properties={"classification": "Tumor"}), CorruptInputError, "got str"),
    "class name": (
        feature(properties={"classification": {"name": 3}}),
        CorruptInputError,
        "name of the class must be text",
    ),
    "colour": (
        feature(properties={"classification": {"name": "a", "color": [1, 2]}}),
        CorruptInputError,
        "a colour is three whole numbers",
    ),
    "measurements": (
        feature(properties={"measurements": 3}),
        CorruptInputError,
        "measurements must be",
    ),
    "measurement": (
        feature(properties={"measurements": {"a": "x"}}),
        CorruptInputError,
        "'x' is no number",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_foreign_fault_has_its_sentence(name: str, tmp_path: Path) -> None:
    document, error, sentence = FAULTS[name]
    with pytest.raises(error, match=sentence) as caught:
        read(document, tmp_path)
    assert "foreign.geojson" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    with pytest.raises(CorruptInputError, match="without compression"):
        read_geojson(tmp_path / "a.geojson", origin="slide")


def test_file_that_is_too_large_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geojson, "MAX_BYTES", 100)
    with pytest.raises(BudgetError, match="at most 100 are read"):
        read(feature(), tmp_path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.geojson", tmp_path):
        with pytest.raises(MissingInputError, match="is no file"):
            read_geojson(path, origin="slide")

"""An asymmetric slide through reader, tiles, heat map and GeoJSON: nothing moved or rescaled."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch

from medconsist.tiling.blend import blend
from medconsist.tiling.grid import Grid
from medconsist.wsi.geojson import Origin, read_geojson, write_geojson
from medconsist.wsi.heatmap import heat_map
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.readers.resample import resample
from medconsist.wsi.regions import contour_regions, items_inside, tile_regions
from medconsist.wsi.simulate import SlideConfig, write_asymmetric_slide
from medconsist.wsi.slide import Bounds, Slide
from medconsist.wsi.tile_grid import TileGrid

WIDTH, HEIGHT = 1100, 837
TILE = 32  # at twice the microns of level 0: about the 64 px of a field of the picture
IN_PLACE = 0.99  # correlation; JPEG of quality 95 costs a little
# Between two stored scales the direct engine resamples what the DCT has scaled: a little softer, at
# the same place. A quarter of a tile pixel aside costs .036 and more.
TILES_IN_PLACE = 0.975
DISPLACED = 0.05  # tile px
ELSEWHERE = 0.93
ENGINES = ("openslide", "direct")


@dataclass(frozen=True)
class Case:
    """How a slide is written and tiled."""

    layout: str
    mpp: float | tuple[float, float] = 0.25
    overlap: int = 0
    bounds: Bounds | None = None


CASES = {
    "svs": Case("svs"),
    "tiff": Case("tiff"),
    "svs, microns that are no multiple": Case("svs", 0.2498),
    "tiff, microns that are no multiple": Case("tiff", 0.2417),
    "tiff, x unlike y": Case("tiff", (0.25, 0.2)),
    "tiff, x unlike y, swapped": Case("tiff", (0.21, 0.27)),
    "svs, overlap": Case("svs", overlap=8),
    "tiff, overlap, no multiple": Case("tiff", 0.2498, overlap=8),
    "svs, bounds": Case("svs", bounds=Bounds(97, 61, 900, 701)),
    "tiff, bounds, no multiple": Case("tiff", 0.2417, bounds=Bounds(64, 130, 901, 650)),
    "tiff, bounds, overlap, x unlike y": Case("tiff", (0.25, 0.2), 8, Bounds(97, 61, 900, 701)),
}
ENGINE = pytest.mark.parametrize("engine", ENGINES)
CASE = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
# A rectangle of a level knows neither microns nor grids.
LAYOUT = pytest.mark.parametrize("case", [CASES["svs"], CASES["tiff"]], ids=["svs", "tiff"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asymmetric")


@cache
def written(folder: Path, layout: Any, mpp: Any) -> tuple[Path, np.ndarray]:
    """Write the slide once; return it and its pixels before JPEG."""
    path = folder / f"{layout} {mpp}{'.svs' if layout == 'svs' else '.tiff'}"
    config = SlideConfig(
        width=WIDTH, height=HEIGHT, layout=layout, mpp=mpp, quality=95, subsampling="444"
    )
    return path, write_asymmetric_slide(path, config)


@cache
def opened(folder: Path, case: Case, engine: Any) -> tuple[Slide, TileGrid, np.ndarray]:
    """Open the slide and lay the grid; also return the pixels before JPEG."""
    path, pixels = written(folder, case.layout, case.mpp)
    slide = open_slide(path, engine=engine)
    assert slide.engine == engine
    region = case.bounds or Bounds(0, 0, *slide.facts.size)
    grid = TileGrid(
        width=region.width,
        height=region.height,
        origin_x=region.x,
        origin_y=region.y,
        mpp=slide.facts.mpp(),
        target_mpp=0.5,
        tile_px=TILE,
        overlap_px=case.overlap,
    )
    return slide, grid, pixels


@cache
def read(folder: Path, case: Case, engine: str) -> np.ndarray:
    """Read every tile of the grid."""
    slide, grid, _ = opened(folder, case, engine)
    with slide:
        return slide.tiles(grid, np.arange(len(grid))).all()


def detail(image: np.ndarray) -> np.ndarray:
    """Return what a shift by one pixel changes: blue (fields and letters) less its neighbours."""
    blue = image[..., 2].astype(float)
    around = sum(
        np.roll(blue, (down, right), (0, 1)) for down in (-3, 0, 3) for right in (-3, 0, 3)
    )
    return (blue - around / 9)[3:-3, 3:-3]


def misplacements(image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the 7 flips and turns, and the 8 shifts by one."""
    for transposed in (False, True):
        turned = image.swapaxes(0, 1) if transposed else image
        for flips in ((), (0,), (1,), (0, 1)):
            if transposed or flips:
                yield f"transposed {transposed}, flipped {flips}", np.flip(turned, flips)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down or right:
                yield f"shifted {down} {right}", np.roll(image, (down, right), (0, 1))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    rows, columns = (min(*pair) for pair in zip(a.shape, b.shape, strict=True))
    a, b = a[:rows, :columns].ravel(), b[:rows, :columns].ravel()
    known = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[known], b[known])[0, 1])


def displacement(seen: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return how far a picture lies below and right of another [px], from its gradients."""
    slopes = np.stack([slope.ravel() for slope in np.gradient(truth)], axis=1)
    return -np.linalg.lstsq(slopes, (seen - truth).ravel(), rcond=None)[0]


def assert_in_place(seen: np.ndarray, truth: np.ndarray, *, correlated: float = IN_PLACE) -> None:
    assert seen.shape == truth.shape
    assert correlation(seen, truth) > correlated
    for name, moved in misplacements(seen):
        assert correlation(moved, truth) < ELSEWHERE, name


def assert_not_stretched(
    seen: np.ndarray, truth: np.ndarray, *, correlated: float = IN_PLACE
) -> None:
    """Check every quarter of the picture by itself: a scale that is off moves the last one."""
    rows, columns = seen.shape[0] // 2, seen.shape[1] // 2
    for down in (0, rows):
        for right in (0, columns):
            part = (slice(down, down + rows), slice(right, right + columns))
            assert_in_place(seen[part], truth[part], correlated=correlated)
            assert np.abs(displacement(seen[part], truth[part])).max() < DISPLACED


def tile_means(pixels: np.ndarray, grid: TileGrid) -> np.ndarray:
    """Return the mean blue of the pixels under every tile, borders counted by their share."""
    sums = np.pad(pixels[..., 2].astype(float), ((1, 0), (1, 0))).cumsum(0).cumsum(1)

    def until(y: float, x: float) -> float:
        row, column = int(y), int(x)
        down, right = y - row, x - column
        below, beside = min(row + 1, HEIGHT), min(column + 1, WIDTH)
        upper = (1 - right) * sums[row, column] + right * sums[row, beside]
        return (1 - down) * upper + down * (
            (1 - right) * sums[below, column] + right * sums[below, beside]
        )

    means = [
        (until(y1, x1) - until(y0, x1) - until(y1, x0) + until(y0, x0)) / ((y1 - y0) * (x1 - x0))
        for x0, y0, x1, y1 in grid.boxes(np.arange(len(grid))).tolist()
    ]
    return np.asarray(means)


@ENGINE
@LAYOUT
def test_reader_gives_the_picture_in_place(engine: Any, case: Case, folder: Path) -> None:
    path, pixels = written(folder, case.layout, case.mpp)
    with open_slide(path, engine=engine) as slide:
        seen = slide.read_region(0, 0, 0, WIDTH, HEIGHT)
        part = slide.read_region(0, 333, 222, 100, 50)
    assert_not_stretched(detail(seen), detail(pixels))
    np.testing.assert_array_equal(part, seen[222:272, 333:433])


@ENGINE
@CASE
def test_tiles_side_by_side_are_the_picture_in_place(engine: Any, case: Case, folder: Path) -> None:
    _, grid, pixels = opened(folder, case, engine)
    tiles = read(folder, case, engine)
    rows, columns = grid.shape
    size = ((rows - 1) * grid.step_px + TILE, (columns - 1) * grid.step_px + TILE)
    windows = Grid(size=size, window=(TILE, TILE), step=(grid.step_px,) * 2)
    channels_first = torch.from_numpy(tiles).permute(0, 3, 1, 2)
    seen = blend(channels_first, windows, mode="crop").permute(1, 2, 0).numpy()
    x0, y0 = grid.boxes([0])[0, :2].tolist()
    x1, y1 = grid.boxes([len(grid) - 1])[0, 2:].tolist()
    truth = resample(pixels, (x0, y0, x1, y1), size)
    assert_not_stretched(detail(seen), detail(truth), correlated=TILES_IN_PLACE)


@ENGINE
@CASE
def test_heat_map_lies_on_what_it_was_made_of(engine: Any, case: Case, folder: Path) -> None:
    _, grid, pixels = opened(folder, case, engine)
    items = np.arange(len(grid))
    values = read(folder, case, engine)[..., 2].mean(axis=(1, 2))
    truth = tile_means(pixels, grid)
    # Grey values; tiles with fractions weigh pixels a little beyond their border.
    np.testing.assert_allclose(values, truth, atol=3.0)
    shown = heat_map(grid, items, values)
    expected = heat_map(grid, items, truth)
    if not case.overlap:
        assert_in_place(shown.values.astype(float), truth.reshape(grid.shape))
    boxes = grid.boxes(items)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    seen = shown.sample(middles)
    assert correlation(seen[None], expected.sample(middles)[None]) > IN_PLACE
    for name, wrong in {
        "x and y swapped": middles[:, ::-1],
        "mirrored": boxes[0, :2] + boxes[-1, 2:] - middles,
        "bounds forgotten": middles + boxes[0, :2] + [64, 0],
    }.items():
        assert correlation(shown.sample(wrong)[None], truth[None]) < ELSEWHERE, name


@ENGINE
@CASE
def test_exported_rectangles_lie_on_the_pixels_that_they_tell_of(
    engine: Any, case: Case, folder: Path, tmp_path: Path
) -> None:
    _, grid, pixels = opened(folder, case, engine)
    items = np.arange(len(grid))
    values = read(folder, case, engine)[..., 2].mean(axis=(1, 2))
    path = tmp_path / "tiles.geojson"
    bounds = case.bounds
    origin: Origin = "slide" if bounds is None else "bounds"
    regions = tile_regions(grid, items, values, name="blue")
    contours = contour_regions(heat_map(grid, items, values), name="high", threshold=165.0)
    write_geojson(path, [*regions, *contours], origin=origin, bounds=bounds)
    back = read_geojson(path, origin=origin, bounds=bounds)
    said = np.asarray([one.measurements["blue"] for one in back[: len(items)]])

    def seen(right: int, down: int, *, swapped: bool = False) -> np.ndarray:
        """Return the mean blue of the whole pixels within each rectangle, moved on purpose."""
        means = []
        for one in back[: len(items)]:
            x0, y0, x1, y1 = (round(bound) for bound in one.geometry.bounds)
            if swapped:
                x0, y0, x1, y1 = y0, x0, y1, x1
            part = pixels[max(y0 + down, 0) : y1 + down, max(x0 + right, 0) : x1 + right, 2]
            means.append(part.mean() if part.size else np.nan)
        return np.asarray(means)

    assert correlation(seen(0, 0)[None], said[None]) > IN_PLACE
    for right, down in ((64, 0), (-64, 0), (0, 64), (0, -64)):
        assert correlation(seen(right, down)[None], said[None]) < ELSEWHERE
    assert correlation(seen(0, 0, swapped=True)[None], said[None]) < ELSEWHERE
    inside = items_inside(grid, [one.geometry for one in back[len(items) :]], rule="all")
    if not case.overlap:
        np.testing.assert_array_equal(inside, np.flatnonzero(values >= 165.0))
    assert shapely.union_all([one.geometry for one in contours]).area > 0

"""A slide with one coloured block, and a map whose one bright cell is that block."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from medconsist._digests import sha256_of_path
from medconsist.results.digests import result_key
from medconsist.results.draft import Draft
from medconsist.results.schema import Metric, ModelRecord, Place, ResultFields, Times
from medconsist.results.store import ResultStore, StoredResult
from medconsist.results.trust import TrustRecord
from medconsist.wsi.geojson import write_geojson
from medconsist.wsi.regions import Region
from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.files import write_strips

WIDTH, HEIGHT, MPP = 4100, 3084, 0.5  # no level has a whole ratio to the one above
OFFSET, CELL = (31.0, 17.0), 300.0  # top, left of the map; both of a cell are whole pixels
HOT = (5, 6)  # row, column; left of the middle and below it, so that no mirror hides
ROWS, COLUMNS = 10, 13
BLOCK = (
    OFFSET[1] + HOT[1] * CELL,
    OFFSET[0] + HOT[0] * CELL,
    CELL,
    CELL,
)
"""x, y, width and height of the block [level-0 px]."""

GREEN, BLANK = (0, 150, 0), (240, 236, 240)
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def plant(root: Path, case: str = "planted", *, mpp: float | None = MPP) -> StoredResult:
    """Write the slide and its result, and make it current."""
    slide = root.parent / f"{case}.tiff"
    write_planted_slide(slide, mpp=mpp)
    inputs = {"slide": sha256_of_path(slide)}
    config: dict[str, Any] = {"planted": True}
    fields = ResultFields(
        kind="wsi.prediction",
        patient="p-8",
        item=case,
        inputs=inputs,
        config=config,
        model=ModelRecord(name="planted", sha256="b" * 64, card="card.json"),
        result_version=1,
        seed=0,
        device="cpu",
        times=Times(started=START, finished=START, steps_s={}),
        metrics=(_metric("normal", 0.2), _metric("tumour", 0.8)),
        trust=TrustRecord(scores=(), settings={}),
        notes=(),
    )
    key = result_key(inputs=inputs, config=config, model_sha256="b" * 64, result_version=1)
    store = ResultStore(root, "wsi")
    with store.draft(case, key) as draft:
        _add_arrays(draft, mpp)
        draft.finish(fields)
    store.inputs.add(inputs["slide"], slide)
    store.set_current(case, key)
    return store.read(case)


def write_planted_slide(path: Path, *, mpp: float | None = MPP) -> None:
    """Write a pale slide with a green block at `BLOCK`."""
    picture = np.full((HEIGHT, WIDTH, 3), BLANK, dtype=np.uint8)
    x, y, width, height = map(int, BLOCK)
    picture[y : y + height, x : x + width] = GREEN
    config = SlideConfig(width=WIDTH, height=HEIGHT, mpp=mpp, layout="tiff", quality=95)
    write_strips(path, config, (picture[top : top + 512] for top in range(0, HEIGHT, 512)))


def planted_map() -> np.ndarray:
    """0.9 in the hot cell, 0.1 around it, unknown in the first row."""
    values = np.full((ROWS, COLUMNS), 0.1, dtype=np.float32)
    values[HOT] = 1.0
    values[0] = np.nan
    return values


def _add_arrays(draft: Draft, mpp: float | None) -> None:
    spacing = None if mpp is None else (mpp * 32 / 1000, mpp * 32 / 1000, None)
    small = np.full((HEIGHT // 32, WIDTH // 32, 3), 240, dtype=np.uint8)
    whole = Place(of="slide", unit="level-0 px", offset=(0.0, 0.0), scale=(32.0, 32.0))
    draft.add_array(
        "overview", small, axes=("height", "width", "rgb"), spacing_mm=spacing, place=whole
    )
    facts: dict[str, Any] = {
        "axes": ("height", "width"),
        "place": Place(of="slide", unit="level-0 px", offset=OFFSET, scale=(CELL, CELL)),
    }
    values = planted_map()
    draft.add_array("instance_probability", values, description="planted", **facts)
    tiles = [_tile(0, 1, 0.1), _tile(*HOT, 1.0), _tile(8, 9, 0.2)]
    draft.add_file(
        "regions",
        "regions.geojson",
        lambda path: write_geojson(path, tiles, origin="slide"),
        axes=("regions",),
        shape=(len(tiles),),
        dtype="geojson",
        description="planted",
    )
    draft.add_array("attention", 8 * values, description="planted too", **facts)


def _tile(row: int, column: int, value: float) -> Region:
    x, y = OFFSET[1] + column * CELL, OFFSET[0] + row * CELL
    return Region(
        geometry=shapely.box(x, y, x + CELL, y + CELL),
        name="instance_probability",
        measurements={"instance_probability": value},
        kind="tile",
    )


def _metric(name: str, value: float) -> Metric:
    return Metric(
        name=f"probability of {name}", value=value, unit="1", n=1, unit_of_analysis="case"
    )

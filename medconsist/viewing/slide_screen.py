"""What the slide screen gives its widget: maps with their words, ranked tiles, micrometres."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from medconsist.errors import MedconsistError
from medconsist.results.schema import ArrayRecord, Result
from medconsist.results.store import StoredResult
from medconsist.viewing.markup import readable
from medconsist.viewing.overlay import colour_table
from medconsist.viewing.prediction_words import prediction_words
from medconsist.viewing.slide_maps import SLIDE_MAPS, legend, slide_map

__all__ = [
    "RankedTile",
    "RankedTiles",
    "SlideMpp",
    "colours",
    "model_tag",
    "ranked_tiles",
    "slide_maps_of",
    "slide_mpp",
]

UNIT = "level-0 px"
_MOST_BYTES = 1 << 26  # of the outlines of a result; two thousand tiles have a hundredth of it
_TAG = 12  # hexadecimal digits, as people compare them
_UNLIKE = 0.01  # microns per pixel that differ by less are the same
_RANKED = ("instance_probability", "attention")


@dataclass(frozen=True, kw_only=True)
class SlideMpp:
    """How large the pixels of level 0 are, and what a reader must know about that.

    Parameters
    ----------
    x, y
        [um/px]; None where nobody says.
    doubts
        Short sentences for badges.

    Examples
    --------
    >>> SlideMpp(x=0.5, y=0.5).known
    True
    """

    x: float | None
    y: float | None
    doubts: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether lengths can be given in microns."""
        return self.x is not None and self.y is not None

    def as_json(self) -> list[float] | None:
        """Return x and y, None if unknown."""
        return [self.x, self.y] if self.x is not None and self.y is not None else None


@dataclass(frozen=True, kw_only=True)
class RankedTile:
    """One tile of the highest or lowest.

    Parameters
    ----------
    x, y, width, height
        [level-0 px].
    value
        What it is ranked by.

    Examples
    --------
    >>> RankedTile(x=0.0, y=0.0, width=512.0, height=512.0, value=0.9).value
    0.9
    """

    x: float
    y: float
    width: float
    height: float
    value: float


@dataclass(frozen=True, kw_only=True)
class RankedTiles:
    """The tiles of highest and lowest value.

    Parameters
    ----------
    title
        What they are ranked by, in words.
    top, bottom
        Highest first; lowest first.

    Examples
    --------
    >>> RankedTiles(title="Attention", top=(), bottom=()).title
    'Attention'
    """

    title: str
    top: tuple[RankedTile, ...]
    bottom: tuple[RankedTile, ...]


def slide_mpp(result: Result, info: Mapping[str, Any]) -> SlideMpp:
    """Return the microns per pixel: those that the result was made with, else those of the slide.

    Parameters
    ----------
    result
        Its overview knows the size of its pixels where the job did.
    info
        Of `medconsist.viewing.web.slide_tiles.SlideTiles.info`.
    """
    said = info.get("mpp")
    used = _used_mpp(result)
    found = used or (None if said is None else (float(said[0]), float(said[1])))
    if found is None:
        return SlideMpp(x=None, y=None, doubts=("MPP unknown: no microns, no magnification",))
    doubts = []
    if used is not None and said is not None and _differ(used, (said[0], said[1])):
        doubts.append(f"result made with {used[0]:.4g} um/px, slide says {said[0]:.4g}")
    if _differ((found[0],), (found[1],)):
        doubts.append(f"pixels are not square: {found[0]:.4g} x {found[1]:.4g} um")
    return SlideMpp(x=found[0], y=found[1], doubts=tuple(doubts))


def slide_maps_of(stored: StoredResult) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return each map as JSON takes it, and a sentence for each that cannot be shown.

    A map has ``role title meaning caution low middle high from to is_ratio box rows columns``:
    words for the colour bar, the values of its first and last colour, x, y, width and height in
    level-0 pixels, and the shape of its numbers. The order is that of the choice.
    """
    words = prediction_words(stored.result)
    shown = words.shown if words is not None else ""
    records = {one.role: one for one in stored.result.arrays if _is_map(one)}
    found, problems = [], []
    for role in dict.fromkeys([*(one for one in SLIDE_MAPS if one in records), *records]):
        try:
            found.append(_map(stored, records[role], shown))
        except MedconsistError as error:
            problems.append(f"{role} is not shown, the stored bytes are at fault. {error}")
    return found, tuple(problems)


def ranked_tiles(stored: StoredResult, *, count: int = 8) -> RankedTiles | None:
    """Return the tiles of highest and lowest value, from the outlines that the result holds.

    Among equal ones the earlier tile of the bag comes first, as in `top_tiles`.

    Parameters
    ----------
    stored
        The result.
    count
        Of each.

    Returns
    -------
    None where the result ranks no tiles, or its outlines cannot be read.

    Raises
    ------
    CorruptResultError
        A byte differs from what was stored.
    """
    if "regions" not in stored.roles():
        return None
    path = stored.file("regions")
    if path.stat().st_size > _MOST_BYTES:
        return None
    features = json.loads(path.read_bytes()).get("features", [])
    for name in _RANKED:
        tiles = [one for feature in features if (one := _tile(feature, name)) is not None]
        if tiles:
            words = prediction_words(stored.result)
            title = slide_map(name).titled(words.shown if words is not None else "")
            return RankedTiles(
                title=readable(title),
                top=_first(sorted(tiles, key=lambda one: -one.value), count),
                bottom=_first(sorted(tiles, key=lambda one: one.value), count),
            )
    return None


def model_tag(result: Result) -> str:
    """Return name and first digits of the model, short enough to stand on a picture."""
    model = result.model
    return "no model" if model is None else f"{readable(model.name)} {model.sha256[:_TAG]}"


def colours() -> list[int]:
    """Return red, green and blue of the 256 colours of maps, one after the other."""
    listed: list[int] = colour_table().ravel().tolist()
    return listed


def level_0_box(record: ArrayRecord) -> tuple[float, float, float, float]:
    """Return x, y, width and height of an array that is placed on the slide [level-0 px]."""
    assert record.place is not None  # noqa: S101  asked before
    (top, left), (down, across) = record.place.offset[:2], record.place.scale[:2]
    rows, columns = record.shape[:2]
    return left, top, columns * across, rows * down


def _map(stored: StoredResult, record: ArrayRecord, shown: str) -> dict[str, Any]:
    style, values = slide_map(record.role), stored.array(record.role)
    ends = legend(style, values)
    return {
        "role": record.role,
        "title": readable(style.titled(shown)),
        "meaning": readable(record.description or "no description is stored"),
        "caution": style.caution,
        "low": ends.low,
        "middle": ends.middle,
        "high": ends.high,
        "from": style.low,
        "to": style.top(values),
        "is_ratio": style.is_ratio,
        "box": list(level_0_box(record)),
        "rows": record.shape[0],
        "columns": record.shape[1],
        "known": int(np.isfinite(values).sum()),
    }


def _is_map(record: ArrayRecord) -> bool:
    place = record.place
    return (
        (record.kind, record.dtype, record.axes) == ("zarr", "float32", ("height", "width"))
        and place is not None
        and (place.of, place.unit) == ("slide", UNIT)
        and min(place.scale[:2]) > 0
    )


def _used_mpp(result: Result) -> tuple[float, float] | None:
    for record in result.arrays:
        spacing, place = record.spacing_mm, record.place
        if record.role != "overview" or spacing is None or place is None or place.unit != UNIT:
            continue
        if spacing[0] is not None and spacing[1] is not None:
            return 1000 * spacing[1] / place.scale[1], 1000 * spacing[0] / place.scale[0]
    return None


def _differ(one: Sequence[float], other: Sequence[float]) -> bool:
    return any(abs(a - b) > _UNLIKE * abs(b) for a, b in zip(one, other, strict=True))


def _tile(feature: Mapping[str, Any], name: str) -> RankedTile | None:
    properties = feature.get("properties") or {}
    value = (properties.get("measurements") or {}).get(name)
    if properties.get("objectType") != "tile" or not isinstance(value, int | float):
        return None
    ring = np.asarray(feature["geometry"]["coordinates"][0], dtype=np.float64)
    (left, top), (right, bottom) = ring.min(0).tolist(), ring.max(0).tolist()
    return RankedTile(x=left, y=top, width=right - left, height=bottom - top, value=float(value))


def _first(tiles: Sequence[RankedTile], count: int) -> tuple[RankedTile, ...]:
    return tuple(islice(tiles, count))

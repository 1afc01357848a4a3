"""One stored slide opened for reading: its overview, what is marked on it, its maps and tiles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from medconsist.errors import MedconsistError
from medconsist.results.schema import ArrayRecord, Place, Result
from medconsist.results.store import StoredResult
from medconsist.viewing.slide_maps import SLIDE_MAPS

__all__ = ["REGIONS", "TILES", "Region", "SlideReading", "marked", "open_slide_reading"]

PICTURE_AXES = ("height", "width", "rgb")
REGION_AXES = ("height", "width")
TILE_AXES = ("tiles", "height", "width", "rgb")
OVERVIEW = "overview"
BLANK = 255  # white, as a slide is where nothing lies
INK_SHARE = 0.4  # of the colour within a region; its outline is drawn in full


@dataclass(frozen=True)
class Region:
    """How one kind of region is drawn.

    Parameters
    ----------
    title
        In words.
    colour
        RGB; distinguishable for every colour vision together with the legend.

    Examples
    --------
    >>> Region("Tissue", (0, 114, 178)).title
    'Tissue'
    """

    title: str
    colour: tuple[int, int, int]


# Okabe and Ito's colours, which stay apart for every colour vision.
REGIONS: Mapping[str, Region] = MappingProxyType(
    {
        "tissue": Region("Tissue", (0, 158, 115)),
        "pen": Region("Pen", (230, 159, 0)),
        "fold": Region("Fold", (213, 94, 0)),
        "blur": Region("Out of focus", (86, 180, 233)),
    }
)
"""Role of a region and how it is drawn, in the order of the legend."""

TILES: Mapping[str, str] = MappingProxyType(
    {"top_tiles": "Highest tiles", "bottom_tiles": "Lowest tiles"}
)
"""Role of tiles that are shown one by one, and their title."""


_Kind = Literal["region", "picture", "grid", "tiles"]
_EXPECTED = {OVERVIEW, *REGIONS, *TILES, *SLIDE_MAPS}


@dataclass(frozen=True, eq=False)
class SlideReading:
    """All that the page draws of one slide.

    Parameters
    ----------
    result
        The verified ``result.json``.
    record
        Of the overview; None if there is none.
    overview
        uint8 ``height width 3``; None if it cannot be shown.
    regions
        Role to mask on the grid of the overview.
    maps
        Role to picture on the grid of the overview, white where the slide was not looked at.
    grids
        Role to numbers on the grid of the overview, NaN where nothing is known; the order is that
        of the choice.
    tiles
        Role to the pictures of single tiles, at their own resolution.
    problems
        One sentence for each array that is not shown.

    Examples
    --------
    >>> SlideReading.__dataclass_params__.frozen
    True
    """

    result: Result
    record: ArrayRecord | None
    overview: UInt8[np.ndarray, "height width 3"] | None
    regions: Mapping[str, Bool[np.ndarray, "height width"]]
    maps: Mapping[str, UInt8[np.ndarray, "height width 3"]]
    grids: Mapping[str, Float32[np.ndarray, "height width"]]
    tiles: Mapping[str, UInt8[np.ndarray, "tiles tile_height tile_width 3"]]
    problems: tuple[str, ...]

    @property
    def pixel_mm(self) -> tuple[float, float] | None:
        """Height and width of a pixel of the overview [mm], None if unknown."""
        spacing = None if self.record is None else self.record.spacing_mm
        if spacing is None or spacing[0] is None or spacing[1] is None:
            return None
        return spacing[0], spacing[1]


def open_slide_reading(stored: StoredResult) -> SlideReading:
    """Return the pictures of a slide, verified; a broken one is left out with a sentence."""
    problems: list[str] = []
    records = {record.role: record for record in stored.result.arrays if record.kind == "zarr"}
    kinds = {role: kind for role, record in records.items() if (kind := _kind(record)) is not None}
    problems += [
        f"{role} is not drawn: {record.dtype} {' '.join(record.axes)} is no picture."
        for role, record in records.items()
        if role not in kinds and (role in _EXPECTED or record.axes == PICTURE_AXES)
    ]
    read = {role: array for role in kinds if (array := _read(stored, role, problems)) is not None}
    tiles = {role: read[role] for role in TILES if role in read and kinds[role] == "tiles"}
    overview, record = read.pop(OVERVIEW, None), records.get(OVERVIEW)
    if overview is None or record is None:
        return SlideReading(stored.result, record, None, {}, {}, {}, tiles, tuple(problems))
    placed: dict[_Kind, dict[str, np.ndarray]] = {"region": {}, "picture": {}, "grid": {}}
    for role, array in read.items():
        kind = kinds[role]
        if kind == "tiles":
            continue
        if not _comparable(records[role], record):
            problems.append(f"{role} is not drawn: where it lies on the overview is unknown.")
            continue
        own, other = records[role].place, record.place
        placed[kind][role] = _on_grid(array, own, other, overview.shape[:2])
    return SlideReading(
        stored.result,
        record,
        overview,
        _ordered(placed["region"], REGIONS),
        placed["picture"],
        _ordered(placed["grid"], SLIDE_MAPS),
        tiles,
        tuple(problems),
    )


def marked(
    overview: UInt8[np.ndarray, "height width 3"],
    regions: Mapping[str, Bool[np.ndarray, "height width"]],
) -> UInt8[np.ndarray, "height width 3"]:
    """Return the overview with each region tinted and its outline drawn, in the order given."""
    picture = overview.astype(np.float32)
    for role, mask in regions.items():
        colour = np.asarray(REGIONS[role].colour, dtype=np.float32)
        inside = 0.0 if role == "tissue" else INK_SHARE  # what was used stays as it was stained
        share = np.where(_outline(mask), 1.0, inside * mask)[..., None]
        picture = ((1 - share) * picture + share * colour).astype(np.float32)
    return np.floor(picture + 0.5).astype(np.uint8)


def _kind(record: ArrayRecord) -> _Kind | None:
    """Return how an array is drawn; None if it is nothing to look at."""
    said = record.dtype, record.axes
    if record.role in REGIONS:
        return "region" if said == ("bool", REGION_AXES) else None
    if record.role == OVERVIEW:
        return "picture" if said == ("uint8", PICTURE_AXES) else None
    if record.role in TILES:
        return "tiles" if said == ("uint8", TILE_AXES) else None
    if said == ("float32", REGION_AXES):
        return "grid"
    return "picture" if said == ("uint8", PICTURE_AXES) else None


def _ordered(found: Mapping[str, np.ndarray], known: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the known ones in their order, then the others."""
    return {role: found[role] for role in dict.fromkeys([*known, *found]) if role in found}


def _read(stored: StoredResult, role: str, problems: list[str]) -> np.ndarray | None:
    try:
        array = stored.array(role)
    except MedconsistError as error:
        problems.append(f"{role} is not shown, the stored bytes are at fault. {error}")
        return None
    array.flags.writeable = False
    return array


def _comparable(one: ArrayRecord, other: ArrayRecord) -> bool:
    """Say whether two arrays lie on the same thing; without places, whether they are one grid."""
    if one.place is None or other.place is None:
        return one.shape[:2] == other.shape[:2]
    return (one.place.of, one.place.unit) == (other.place.of, other.place.unit)


def _on_grid(
    array: np.ndarray, own: Place | None, other: Place | None, shape: tuple[int, int]
) -> np.ndarray:
    """Return the array on another grid of the same slide by nearest neighbour, blank outside."""
    if own is None or other is None or (own == other and array.shape[:2] == shape):
        return array
    taken, inside = [], []
    for axis, length in enumerate(shape):
        place = other.offset[axis] + other.scale[axis] * (np.arange(length) + 0.5)
        index = np.floor((place - own.offset[axis]) / own.scale[axis]).astype(np.int64)
        inside.append((index >= 0) & (index < array.shape[axis]))
        taken.append(np.clip(index, 0, array.shape[axis] - 1))
    placed = array[np.ix_(*taken)]
    placed[~(inside[0][:, None] & inside[1][None, :])] = _blank(placed)
    return placed


def _blank(array: np.ndarray) -> float | int:
    """Return what stands where nothing lies: no region, white, or no number."""
    if array.dtype == np.bool_:
        return False
    return BLANK if array.dtype == np.uint8 else np.nan


def _outline(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    inner = np.pad(mask, 1, constant_values=False)
    whole = inner[1:-1, 1:-1].copy()
    for rows, columns in ((0, 1), (2, 1), (1, 0), (1, 2)):
        whole &= inner[rows : rows + mask.shape[0], columns : columns + mask.shape[1]]
    return mask & ~whole

"""The picture of a slide: its overview with what readers marked, and a bar where mpp is known."""

from medconsist.errors import RefusedInputError
from medconsist.results.schema import ArrayRecord
from medconsist.results.store import StoredResult
from medconsist.viewing.leaving.drawing import Pixels, circled, fitted, outlined, ruled
from medconsist.viewing.leaving.plate_scene import Filed, Scene
from medconsist.viewing.orientation import ruler_mm
from medconsist.viewing.slide_reading import OVERVIEW, open_slide_reading
from medconsist.viewing.slide_screen import UNIT, level_0_box

__all__ = ["slide_scene"]

_BOX = (800, 1000)
_UNPLACED = "Outlines and places of comments are not drawn: where the overview lies is unknown."
_NO_MPP = "Microns per pixel unknown: no scale bar."
_MICRONS = 1000


def slide_scene(stored: StoredResult, filed: Filed) -> Scene:
    """Return the overview as it was scanned, with the outlines and pins of readers on it.

    Raises
    ------
    RefusedInputError
        There is no overview, or it cannot be drawn.
    """
    reading = open_slide_reading(stored)
    if reading.overview is None or reading.record is None:
        msg = "this result holds no overview of the slide that could be drawn."
        raise RefusedInputError(msg)
    size = reading.pixel_mm
    aspect = 1.0 if size is None else size[0] / size[1]
    picture = fitted(reading.overview, box=_BOX, pixel_aspect=aspect)
    words: tuple[str, ...] = (_UNPLACED,)
    if _is_placed(reading.record):
        picture, words = _marked(picture, reading.record, filed)
    if size is None:
        return Scene(pixels=picture, roles=OVERVIEW, words=(_NO_MPP, *words))
    extent = reading.overview.shape[1] * size[1]
    length = ruler_mm(extent)
    said = f"{length:g} mm" if length >= 1 else f"{_MICRONS * length:g} µm"
    ruler = ruled(picture, length / extent * picture.shape[1], said)
    return Scene(pixels=ruler, roles=OVERVIEW, words=(f"White bar: {said}.", *words))


def _is_placed(record: ArrayRecord) -> bool:
    place = record.place
    return place is not None and (place.of, place.unit) == ("slide", UNIT)


def _marked(picture: Pixels, record: ArrayRecord, filed: Filed) -> tuple[Pixels, tuple[str, ...]]:
    left, top, width, height = level_0_box(record)
    down, across = picture.shape[0] / height, picture.shape[1] / width
    rings, pins = filed.outlines(None), filed.pins("slide")
    lines = [[((x - left) * across, (y - top) * down) for x, y in ring] for ring in rings]
    places = [((pin.at[0] - left) * across, (pin.at[1] - top) * down) for pin in pins]
    return circled(outlined(picture, lines), places), filed.marks(rings, places)

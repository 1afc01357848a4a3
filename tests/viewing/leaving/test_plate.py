"""The picture of a signed result: every pixel where it is stored, or why there is none."""

import io
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pypdf import PdfReader

from medconsist.errors import RefusedInputError
from medconsist.results.store import ResultStore, StoredResult
from medconsist.review.entries import Entry
from medconsist.review.records import Pin
from medconsist.viewing.leaving.drawing import banded, fitted
from medconsist.viewing.leaving.page_pixels import page_pixels
from medconsist.viewing.leaving.paper import Picture
from medconsist.viewing.leaving.plate import plate_of, with_plate
from medconsist.viewing.leaving.plate_scene import Filed
from medconsist.viewing.leaving.report import Review, review_pdf
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.reading import open_reading
from medconsist.viewing.sealing import SEALED_WORDS, sealed
from medconsist.viewing.traces import document, line
from medconsist.viewing.windowing import to_uint8
from tests.mri.posed import SPACING, oblique
from tests.mri.stored_result import store_result
from tests.viewing.leaving.filed import LINK, comment, entry, shape, signed, subject_of
from tests.viewing.planted import plant
from tests.viewing.signal_results import write_signals
from tests.viewing.slides import damage

BLUE, YELLOW = (86, 180, 233), (240, 228, 66)
RING = [[3.0, 2.0], [9.0, 2.0], [9.0, 12.0], [3.0, 12.0], [3.0, 2.0]]


def mri(root: Path, *, known: bool = True) -> StoredResult:
    """A volume of 3 slices of 20 x 28 pixels, its zero-filled image twice as bright."""
    affine = oblique() if known else None
    store_result(root, affine=affine, spacing=SPACING if known else None)
    return ResultStore(root, "mri").read("head")


def pinned(stored: StoredResult, *at: float, name: str = "c1", when: str = "30") -> Entry:
    space = {3: "voxel", 2: "slide"}[len(at)]
    pin = Pin.model_validate({"space": space, "at": at})
    body = comment(subject_of(stored.result), "seen", pin=pin)
    return entry(body, name, created=f"2026-01-31T09:{when}:00.000000Z")


def drawn(stored: StoredResult, *comments: Entry, shapes: tuple[Entry, ...] = ()) -> Picture:
    return plate_of(stored, Filed(comments=comments, shapes=shapes))


def review_of(stored: StoredResult, **changes: Any) -> Review:
    thread = [entry(signed(subject_of(stored.result)), "v1")]
    fields: dict[str, Any] = {"thread": thread, "entry": "v1", "links": {"v1": LINK}}
    return Review(**({"result": stored.result} | fields | changes))


def found_at(pixels: np.ndarray, part: np.ndarray) -> tuple[int, int]:
    """Return row and column of the one place where a part stands in a picture."""
    height, width = part.shape[:2]
    corners = np.argwhere((pixels[: 1 - height or None, : 1 - width or None] == part[0, 0]).all(-1))
    places = [
        (int(row), int(column))
        for row, column in corners
        if np.array_equal(pixels[row : row + height, column : column + width], part)
    ]
    assert len(places) == 1, places
    return places[0]


def colour_at(pixels: np.ndarray, colour: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
    return np.nonzero((pixels == colour).all(-1))


def panes_of(stored: StoredResult, index: int) -> list[np.ndarray]:
    """Return the reconstruction and the zero-filled image as they must be drawn, to the pixel."""
    reading = open_reading(stored)
    window = reading.presets["Auto"].window(reading.white)
    drawn = []
    for role in ("reconstruction", "zerofilled"):
        pane = reading.images[role]
        assert pane.values is not None
        grey = to_uint8(pane.values[index], window)
        drawn.append(fitted(grey, box=(560, 560), pixel_aspect=pane.pixel_aspect or 1.0))
    return drawn


def test_the_slice_of_the_first_comment_is_drawn_beside_the_zero_filled_one(tmp_path: Path) -> None:
    stored = mri(tmp_path, known=False)
    early, late = (2.0, 100.0, 100.0), (0.0, 4.0, 4.0)  # a place beside the image marks nothing
    picture = drawn(stored, pinned(stored, *late, name="c2", when="31"), pinned(stored, *early))
    first, other = panes_of(stored, 2)
    assert not np.array_equal(first, other)  # in one window the brighter one is brighter
    left, right = found_at(picture.pixels, first), found_at(picture.pixels, other)
    assert left[0] == right[0]
    assert left[1] < right[1]
    assert "Slice 3 of 3, that of the first comment" in picture.caption
    assert "reconstruction beside zerofilled" in picture.caption
    assert stored.result.content_sha256[:12] in picture.caption
    assert "Window Auto: level 50 %, width 100 %" in picture.caption


def test_without_a_place_the_middle_slice_is_drawn(tmp_path: Path) -> None:
    stored = mri(tmp_path)
    picture = drawn(stored, entry(comment(subject_of(stored.result), "all of it"), "c1"))
    for pane in panes_of(stored, 1):
        found_at(picture.pixels, pane)
    assert "Slice 2 of 3, the middle one." in picture.caption


def test_a_pixel_is_as_wide_and_as_tall_as_its_voxel(tmp_path: Path) -> None:
    first, _ = panes_of(mri(tmp_path), 1)
    height, width = first.shape[:2]
    assert height / width == pytest.approx(20 * SPACING[1] / (28 * SPACING[2]), rel=0.01)


def test_letters_stand_beside_a_known_orientation_and_words_above_an_unknown_one(
    tmp_path: Path,
) -> None:
    known, unknown = mri(tmp_path / "a"), mri(tmp_path / "b", known=False)
    seen = []
    for stored in (known, unknown):
        picture = drawn(stored)
        row, column = found_at(picture.pixels, panes_of(stored, 1)[0])
        height, width = panes_of(stored, 1)[0].shape[:2]
        sides = (
            picture.pixels[row : row + height, :column],
            picture.pixels[row : row + height, column + width : column + width + 6],
            picture.pixels[row + height : row + height + 11, column : column + width],
            picture.pixels[row - 18 : row, column : column + width],
        )
        seen.append([bool(side.any()) for side in sides])
    assert seen[0] == [True, False, True, True]  # letters begin behind a margin
    assert seen[1] == [False, False, False, True]
    assert "the letters name the sides" in drawn(known).caption
    assert "Orientation unknown, voxel size unknown; drawn as stored." in drawn(unknown).caption


def test_marks_lie_on_the_first_image_where_they_were_made(tmp_path: Path) -> None:
    stored = mri(tmp_path, known=False)
    first, other = panes_of(stored, 1)
    row, column = found_at(drawn(stored).pixels, first)
    subject = subject_of(stored.result)
    shapes = (
        entry(shape(subject, RING, plane=1), "a1"),
        entry(shape(subject, [[0, 0], [20, 0], [20, 18], [0, 0]], plane=0), "a2"),
    )
    picture = drawn(stored, pinned(stored, 1.0, 15.0, 20.0), shapes=shapes)
    side = first.shape[0] / 20
    rows, columns = colour_at(picture.pixels, BLUE)
    assert (rows.min(), rows.max()) == pytest.approx((row + 2.5 * side, row + 12.5 * side), abs=2)
    expected = (column + 3.5 * side, column + 9.5 * side)
    assert (columns.min(), columns.max()) == pytest.approx(expected, abs=2)
    rows, columns = colour_at(picture.pixels, YELLOW)
    assert (rows.mean(), columns.mean()) == pytest.approx(
        (row + 15.5 * side, column + 20.5 * side), abs=1
    )
    found_at(picture.pixels, other)
    assert "Blue lines: outlines of readers. Yellow circles" in picture.caption


def test_a_large_volume_makes_a_small_picture(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    store_result(tmp_path, picture=torch.rand(1, 900, 1300, generator=generator))
    reading = open_reading(ResultStore(tmp_path, "mri").read("head"))
    pane = reading.images["zerofilled"].values
    assert pane is not None
    grey = to_uint8(pane[0], reading.presets["Auto"].window(reading.white))
    assert fitted(grey, box=(560, 560)).shape == (388, 560, 3)
    assert fitted(grey, box=(560, 560)).mean() == pytest.approx(grey.mean(), abs=0.5)


def test_outlines_and_pins_lie_on_the_overview_where_they_lie_on_the_slide(tmp_path: Path) -> None:
    stored = plant(tmp_path / "results")
    subject = subject_of(stored.result).model_copy(update={"item": "planted"})
    square = [[640.0, 320.0], [1600.0, 320.0], [1600.0, 960.0], [640.0, 960.0], [640.0, 320.0]]
    picture = drawn(
        stored,
        pinned(stored, 3200.0, 1600.0),
        shapes=(entry(shape(subject, square), "a1"),),
    )
    scale = 1000 // 128 / 32  # 128 columns of 32 px, drawn a whole number of times
    rows, columns = colour_at(picture.pixels, BLUE)
    assert (rows.min(), rows.max()) == pytest.approx((320 * scale, 960 * scale), abs=2)
    assert (columns.min(), columns.max()) == pytest.approx((640 * scale, 1600 * scale), abs=2)
    rows, columns = colour_at(picture.pixels, YELLOW)
    assert (rows.mean(), columns.mean()) == pytest.approx((1600 * scale, 3200 * scale), abs=1)
    assert "White bar: 500 µm." in picture.caption
    line_of_bar = picture.pixels[96 * 7 + 15, 6:]  # behind a margin
    assert int(np.all(line_of_bar == 255, axis=-1).argmin()) == pytest.approx(
        500 / 0.5 * scale, abs=1
    )


def test_a_slide_of_unknown_microns_has_no_bar(tmp_path: Path) -> None:
    picture = drawn(plant(tmp_path / "results", mpp=None))
    assert "Microns per pixel unknown: no scale bar." in picture.caption
    assert "White bar" not in picture.caption


def test_a_millivolt_is_ten_millimetres_of_the_page(tmp_path: Path) -> None:
    picture = drawn(write_signals(tmp_path))
    a_mm = sqrt(900_000 / (297 * 210))
    middle, left = 50 * a_mm, 40 * a_mm  # of lead I, whose first pulse of 0.2 s begins at 0.5 s
    part = picture.pixels[
        int(middle - 14 * a_mm) : int(middle + 8 * a_mm), int(left) : int(left + 10 * a_mm)
    ]
    dark: np.ndarray = np.all(part < 90, axis=-1)  # neither paper nor grid
    rows, _ = np.nonzero(dark)
    assert np.ptp(rows) / a_mm == pytest.approx(10, abs=0.4)
    above = np.flatnonzero(dark[int(rows.min()) : int(rows.min()) + 3].any(axis=0))
    assert np.ptp(above) / a_mm == pytest.approx(0.2 * 25, abs=0.5)
    assert above.min() / a_mm == pytest.approx(30 + 0.5 * 25 - 40, abs=0.5)
    assert "First page of recording 1 of 1" in picture.caption


def test_a_recording_without_a_voltage_unit_says_so(tmp_path: Path) -> None:
    assert "No voltage scale" in drawn(write_signals(tmp_path, unit=None)).caption


def test_other_channels_are_drawn_as_a_page_of_eeg(tmp_path: Path) -> None:
    names = tuple(f"ch {number}" for number in range(3))
    waves = np.sin(np.arange(6000) / 50)[:, None] * np.array([1.0, 2.0, 4.0])
    stored = write_signals(tmp_path, signals=[waves.astype(np.float32)], leads=names)
    picture = drawn(stored)
    dark = (picture.pixels < 90).all(-1)
    assert dark.sum() > 3000
    many = tuple(f"ch {number}" for number in range(65))
    wide = np.zeros((6000, 65), np.float32)
    other = write_signals(tmp_path / "many", signals=[wide], leads=many)
    with pytest.raises(RefusedInputError, match="65 channels have no room"):
        drawn(other)


def test_a_page_is_drawn_to_the_tenth_of_a_millimetre_and_nothing_unknown_on_it() -> None:
    path = line("M10,20h30v10M5,5L5,5", kind="x", colour="#111", width=0.5)
    page = document([path], width_mm=100, height_mm=50, name="x", facts={})
    pixels = page_pixels(page, most=500_000)
    assert pixels.shape == (500, 1000, 3)
    rows, columns = np.nonzero((pixels < 100).all(-1))
    beside = rows > 100
    assert (rows[beside].min(), rows[beside].max()) == pytest.approx((198, 301), abs=2)
    assert (columns[beside].min(), columns[beside].max()) == pytest.approx((99, 402), abs=2)
    for wrong in ('<circle r="1"/>', '<path d="M1,1C2,2" stroke="#111"/>'):
        page = document([wrong], width_mm=100, height_mm=50, name="x", facts={})
        with pytest.raises(RefusedInputError, match=r"a page holds|a path of a page holds"):
            page_pixels(page)


@pytest.mark.parametrize("make", [mri, lambda root: plant(root / "results"), write_signals])
def test_the_report_holds_the_picture_the_same_bytes_each_time(make: Any, tmp_path: Path) -> None:
    first = make(tmp_path)
    again = ResultStore(first.folder.root, first.result.study).read(first.result.case)
    reports = [review_pdf(with_plate(review_of(one), one)).data for one in (first, again)]
    assert reports[0] == reports[1]
    pages = PdfReader(io.BytesIO(reports[0])).pages
    (image,) = [one.image for page in pages for one in page.images]
    assert image is not None
    picture, sha = drawn(first), first.result.content_sha256[:12]
    assert np.array_equal(np.asarray(image), picture.pixels)
    assert picture.pixels.shape[0] * picture.pixels.shape[1] <= 1_200_000
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    assert f"Drawn by the program from the stored result sha256 {sha}" in text


def test_the_notice_is_burned_in(tmp_path: Path) -> None:
    picture = drawn(mri(tmp_path))
    words = banded(np.zeros((0, 420, 3), np.uint8), [NOTICE])
    first = words[6:24, 6:300]  # of the band
    assert first.max() == 255
    rows = range(len(picture.pixels) - len(first) + 1)
    drawn_at = [row for row in rows if np.array_equal(picture.pixels[row:][:18, 6:300], first)]
    assert len(drawn_at) == 1


def test_the_longest_id_is_burned_in_whole() -> None:
    empty = np.zeros((0, 420, 3), np.uint8)
    band = banded(empty, [f"case {'W' * 128}"])
    assert not band[:, -6:].any()  # no letter runs over the margin
    assert len(band) > len(banded(empty, ["case W"]))


def text_of(review: Review) -> str:
    """Return the words of a report that has no picture."""
    pages = PdfReader(io.BytesIO(review_pdf(review).data)).pages
    assert not any(page.images for page in pages)
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def test_a_sealed_result_has_no_picture_and_the_report_says_why(tmp_path: Path) -> None:
    closed = sealed(mri(tmp_path))
    review = with_plate(review_of(closed), closed)
    assert review.pictures == ()
    assert f"Picture None: {SEALED_WORDS}" in text_of(review)


def test_a_result_that_was_changed_has_no_picture_and_the_report_says_why(tmp_path: Path) -> None:
    stored = mri(tmp_path)
    damage(tmp_path, stored, "not_determined")  # a map, which is not even drawn
    review = with_plate(review_of(stored), stored)
    text = text_of(review)
    assert "Picture None: the stored result is not as it was written: its sha256" in text
    assert str(tmp_path) not in text


def test_what_holds_no_image_and_other_kinds_have_no_picture(tmp_path: Path) -> None:
    other = mri(tmp_path)
    kinds = {"genome.variants": "results of the kind genome", "wsi.x": "no overview"}
    kinds |= {"timeseries.x": "no recording that could be drawn"}
    for kind, words in kinds.items():
        changed = replace(other, result=other.result.model_copy(update={"kind": kind}))
        assert words in with_plate(review_of(changed), changed).no_picture


@pytest.mark.parametrize("lines", [0, 5, 15, 25, 35])
def test_the_title_stands_on_the_page_of_the_picture(lines: int, tmp_path: Path) -> None:
    stored = write_signals(tmp_path)
    talk = [entry(comment(subject_of(stored.result), "word\n" * lines + "end"), "c1")]
    pages = PdfReader(
        io.BytesIO(review_pdf(with_plate(review_of(stored, comments=talk), stored)).data)
    ).pages
    (page,) = [one for one in pages if one.images]
    words = page.extract_text()
    assert words.index("Picture") < words.index("Drawn by the program")

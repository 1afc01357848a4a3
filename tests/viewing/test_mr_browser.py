"""The MR screen in a real Chromium: sides, places, windows and numbers as they are stored."""

import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from medconsist.results.store import ResultStore
from medconsist.viewing.compare import DIFFERENCE_SHARE
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.overlay import colour_table
from medconsist.viewing.reading import Reading, open_reading
from medconsist.viewing.vendor import missing_vendor, vendor_folder
from medconsist.viewing.web.settings import ViewerSettings
from tests.viewing.conftest import phantom
from tests.viewing.mr_views import (
    CORONAL,
    HEIGHT,
    KNOWN,
    MIDDLE,
    SCREEN,
    SPOT,
    STEPS,
    WAIT_MS,
    WIDTH,
    bright,
    centre_of,
    coloured,
    drag,
    expected_place,
    open_screen,
    pixels,
    set_state,
    settle,
    show_spot_alone,
    state,
    tile,
    view,
)
from tests.viewing.served import Watched, served

pytestmark = pytest.mark.browser

WriteResult = Any
SMALL = np.float32(1e-7)


def spotted() -> np.ndarray:
    """The letter F, and a spot that is brighter than all else."""
    volume = phantom()
    volume[SPOT] = 3.0
    return volume


@pytest.fixture(scope="module")
def root(write_result: WriteResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := missing_vendor(vendor_folder()):
        pytest.skip(missing)
    folder: Path = tmp_path_factory.mktemp("mr") / "results"
    images = {"reference": spotted(), "zerofilled": phantom()}
    write_result(folder, "known", array=KNOWN, images=images)
    # As small as images of k-space are in volts, which NiiVue would draw black.
    small = {"reference": spotted(), "zerofilled": phantom(), "reconstruction": phantom()}
    write_result(folder, "unknown", images={role: SMALL * one for role, one in small.items()})
    return folder


@pytest.fixture(scope="module")
def address(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with served(ViewerSettings(results=root), log) as address:
        yield address


@pytest.fixture(scope="module")
def opened(browser: Browser, address: str) -> Iterator[Watched]:
    """The screen of the known case, opened once."""
    watched = open_screen(browser, f"{address}/?case=known")
    yield watched
    watched.page.close()


@pytest.fixture
def screen(opened: Watched) -> Watched:
    """The same, as it was when it was opened."""
    told = {"at": [1, 24, 20], "three": False, "zoom": 1, "pan": [0, 0, 0], "mode": "side"}
    told |= {"tool": "cross", "crosshair": False, "opacity": 0.6, "region": None}
    told |= {"measured": None}
    set_state(opened.page, **told)
    opened.page.locator(".mr").evaluate(
        "root => root.screen.setWindow({...root.screen.data.presets.Auto, invert: false})"
    )
    settle(opened.page)
    opened.page.locator(".mr").focus()
    return opened


def reading(root: Path, case: str = "known") -> Reading:
    return open_reading(ResultStore(root, "brain").read(case))


def test_the_screen_asks_nobody_else_and_has_no_error(
    screen: Watched, address: str, tmp_path: Path
) -> None:
    screen.page.screenshot(path=tmp_path / "mr.png", full_page=True)
    own = (address, address.replace("http", "ws"), "data:", f"blob:{address}")
    assert [url for url in screen.requests if not url.startswith(own)] == []
    assert screen.errors == []
    expect(screen.page.locator(".mr").get_by_text(NOTICE)).to_be_visible()


def test_every_pane_says_whose_image_it_is(screen: Watched) -> None:
    panes = screen.page.locator("figure.pane")
    titles = [
        "Zero-filled",
        "Reconstruction: Compressed sensing",
        "Reference",
        "Absolute difference",
    ]
    assert panes.locator("figcaption b").all_inner_texts() == titles
    assert panes.locator(".who").all_inner_texts() == ["p-7 › known"] * 4


def test_a_letter_stands_at_each_edge_of_the_stored_plane(screen: Watched) -> None:
    edges = view(screen.page, "reference").locator(".edge")
    found = {
        str(one.get_attribute("data-edge")): (one.inner_text(), one.bounding_box())
        for one in edges.all()
    }
    assert {edge: letter for edge, (letter, _) in found.items()} == {
        "left": "R",
        "right": "L",
        "top": "S",
        "bottom": "I",
    }
    boxes = {edge: box for edge, (_, box) in found.items() if box is not None}
    assert boxes["left"]["x"] < boxes["top"]["x"] < boxes["right"]["x"]
    assert boxes["top"]["y"] < boxes["left"]["y"] < boxes["bottom"]["y"]


def test_the_marker_lies_on_the_side_that_the_source_says(screen: Watched) -> None:
    show_spot_alone(screen.page)
    drawn = centre_of(bright(pixels(screen.page, "reference")))
    box = tile(screen.page, "reference", "coronal")
    assert np.abs(drawn - expected_place(box, "coronal", MIDDLE)).max() < 2
    # The marker lies to the patient's right and above the middle, and is drawn left and above.
    assert np.array(CORONAL)[0, :3] @ (22.5 - 19.5, 0, 0) > 0
    assert drawn[0] < box[2] / 2
    assert drawn[1] < box[3] / 2


@pytest.mark.parametrize("plane", list(SCREEN))
def test_three_planes_agree_with_the_source(screen: Watched, plane: str) -> None:
    set_state(screen.page, three=True, at=[1, 32, 22])
    show_spot_alone(screen.page)
    left, top, width, height = tile(screen.page, "reference", plane)
    inside = bright(pixels(screen.page, "reference"))
    rows, columns = np.indices(inside.shape)
    mine = (columns >= left) & (columns < left + width) & (rows >= top) & (rows < top + height)
    drawn = centre_of(inside & mine)
    expected = expected_place((left, top, width, height), plane, MIDDLE)
    assert np.abs(drawn - expected).max() < 2
    letters = view(screen.page, "reference").locator(f".edge[data-plane={plane}]")
    by_edge = {str(e.get_attribute("data-edge")): e.inner_text() for e in letters.all()}
    right, up = (np.array(one) for one in SCREEN[plane])
    directions = {"right": right, "top": up, "left": -right, "bottom": -up}
    assert by_edge == {edge: letter_of(direction) for edge, direction in directions.items()}


def letter_of(direction: np.ndarray) -> str:
    """The letter of a patient direction: right, anterior, superior."""
    axis = int(np.abs(direction).argmax())
    return ("RL", "AP", "SI")[axis][0 if direction[axis] > 0 else 1]


@pytest.mark.parametrize("zoom", [1.0, 2.0, 3.7])
def test_a_map_and_the_image_below_coincide_at_every_zoom(screen: Watched, zoom: float) -> None:
    # The crosshair, about which it zooms, lies beside the feature, so that the feature moves.
    set_state(screen.page, at=[1, 34, 24], opacity=1)
    screen.page.locator(".mr").evaluate("(root, by) => root.screen.zoom(by)", zoom)
    show_spot_alone(screen.page)
    image = centre_of(bright(pixels(screen.page, "reference")))
    map_ = centre_of(coloured(pixels(screen.page, "reconstruction")))
    assert np.abs(image - map_).max() < 2
    box = tile(screen.page, "reference", "coronal")
    still, moved = (expected_place(box, "coronal", at) for at in ((1.0, 34.0, 24.0), MIDDLE))
    assert np.abs(image - (still + zoom * (moved - still))).max() < 2


def test_the_window_is_that_of_the_page_and_the_same_in_every_pane(
    screen: Watched, root: Path
) -> None:
    shown = reading(root)
    volume = shown.images["zerofilled"].values
    assert volume is not None
    stem = volume[1, 15, 12]
    at = expected_place(tile(screen.page, "zerofilled", "coronal"), "coronal", (1.0, 15.0, 12.0))
    for level, width in ((50.0, 100.0), (30.0, 90.0)):
        fill = screen.page.get_by_label("Level [%]"), screen.page.get_by_label("Width [%]")
        for field, value in zip(fill, (level, width), strict=True):
            field.fill(str(value))
            field.press("Enter")
        settle(screen.page)
        low, high = (level - width / 2) / 100 * shown.white, (level + width / 2) / 100 * shown.white
        expected = 255 * np.clip((stem - low) / (high - low), 0, 1)
        for role in ("zerofilled", "reference"):
            column, row = (int(one) for one in at)
            grey = pixels(screen.page, role)[row, column]
            # NiiVue's table has 256 entries
            assert np.abs(grey - expected).max() <= 2, role


def test_the_right_button_changes_all_windows(screen: Watched) -> None:
    box = view(screen.page, "zerofilled").bounding_box()
    assert box is not None
    before = pixels(screen.page, "reference")
    mouse = screen.page.mouse
    mouse.move(box["x"] + 100, box["y"] + 100)
    mouse.down(button="right")
    mouse.move(box["x"] + 60, box["y"] + 60, steps=3)
    mouse.up(button="right")
    settle(screen.page)
    now = state(screen.page)
    auto = screen.page.locator(".mr").evaluate("root => root.screen.data.presets.Auto")
    assert now["width"] < auto["width"]
    assert now["level"] > auto["level"]
    assert np.abs(pixels(screen.page, "reference") - before).max() > 5


def check_place(page: Page, what: str, at: tuple[int, int, int]) -> None:
    """Compare where the readout says it is: counted from 1, and in mm from the source's matrix."""
    slice_, row, column = at
    said, mm = page.locator(".readout .place").inner_text().split(" · ", 1)
    assert said == f"{what}: column {column + 1}, row {row + 1}, slice {slice_ + 1}"
    found = re.fullmatch(r"([RL]) (\S+) · ([AP]) (\S+) · ([SI]) (\S+) mm", mm)
    assert found is not None, mm
    signs = [1 if letter in "RAS" else -1 for letter in found.groups()[::2]]
    places = np.array(CORONAL)[:3] @ (column, row, slice_, 1)
    # one decimal is shown
    assert np.abs(signs * np.array(found.groups()[1::2], dtype=float) - places).max() < 0.0501


def values_read(page: Page) -> dict[str, str]:
    """Role to what the readout says of it, without its title."""
    spans = page.locator(".readout [data-role]")
    said = spans.evaluate_all("all => all.map((one) => [one.dataset.role, one.lastChild.data])")
    return {role: words.strip() for role, words in said}


def agrees(shown: str, stored: float) -> bool:
    """Whether the stored value, rounded to the digits that are shown, is what is shown."""
    last = Decimal(1).scaleb(int(Decimal(shown).as_tuple().exponent))
    return Decimal(shown) == Decimal(float(stored)).quantize(last)


def check_readout(page: Page, shown: Reading, at: tuple[int, int, int]) -> None:
    """Compare the readout with the stored arrays at a voxel, to the last digit that is shown."""
    check_place(page, "Pointer", at)
    said, stored = values_read(page), {}
    for role in ("reconstruction", "reference"):
        values = shown.images[role].values
        assert values is not None
        stored[role] = float(values[at])
        number, _, percent = re.split(r" (?=a\.u\., )|, ", said[role])
        assert agrees(number, stored[role]), role
        # of values to 3 three decimals are left, or two
        assert len(number.partition(".")[2]) in (2, 3)
        assert agrees(percent.removesuffix(" % of white"), 100 * stored[role] / shown.white)
    number = said["difference"].split()[0]
    assert agrees(number, abs(stored["reconstruction"] - stored["reference"]))
    map_ = shown.maps["not_determined"].values
    assert map_ is not None
    number, unit = said["not_determined"].split(" ", 1)
    assert unit == "unit of the image"
    assert agrees(number, map_[at])


def point(page: Page, role: str, place: np.ndarray) -> None:
    view(page, role).scroll_into_view_if_needed()
    box = view(page, role).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + place[0], box["y"] + place[1])
    settle(page)


VOXELS = [(1, 32, 22), (1, 10, 12), (1, 21, 20), (1, 40, 30)]


def test_the_readout_says_what_is_stored_below_the_pointer_without_a_message(
    screen: Watched, root: Path
) -> None:
    page, asked, shown = screen.page, len(screen.requests), reading(root)
    page.locator(".mr").evaluate(
        "root => { root.sent = 0; const { screen } = root, { send } = screen; root.told = send;"
        " screen.send = (...all) => { root.sent += 1; send(...all); }; }"
    )
    box = tile(page, "reference", "coronal")
    for at in VOXELS:
        point(page, "reference", expected_place(box, "coronal", at))
        check_readout(page, shown, at)
    point(page, "difference", expected_place(box, "coronal", VOXELS[0]))
    check_readout(page, shown, VOXELS[0])
    point(page, "zerofilled", expected_place(box, "coronal", VOXELS[1]))
    values = shown.images["zerofilled"].values
    assert values is not None
    assert agrees(values_read(page)["zerofilled"].split()[0], float(values[VOXELS[1]]))
    page.mouse.move(2, 2)
    settle(page)
    check_place(page, "Crosshair", (1, 24, 20))
    assert page.locator(".mr").evaluate("root => root.sent") == 0
    assert len(screen.requests) == asked
    page.locator(".mr").evaluate("root => { root.screen.send = root.told; }")


def test_the_readout_follows_zoom_and_pan(screen: Watched, root: Path) -> None:
    page, shown, zoom = screen.page, reading(root), 2.5
    page.locator(".mr").evaluate("(root, by) => root.screen.zoom(by)", zoom)
    settle(page)
    view(page, "reference").scroll_into_view_if_needed()
    page.keyboard.down("Shift")
    drag(page, "reference", np.array([100.0, 100.0]), np.array([117.0, 89.0]))
    page.keyboard.up("Shift")
    box = tile(page, "reference", "coronal")
    still = expected_place(box, "coronal", (1.0, 24.0, 20.0))
    for at in ((1, 24, 20), (1, 21, 17), (1, 29, 23)):
        moved = still + zoom * (expected_place(box, "coronal", at) - still) + (17, -11)
        point(page, "reference", moved)
        check_readout(page, shown, at)


def test_the_readout_works_in_three_planes_and_says_when_there_is_no_image(
    screen: Watched, root: Path
) -> None:
    page, shown = screen.page, reading(root)
    set_state(page, three=True, at=[1, 32, 22])
    for plane, at in (("axial", (2, 32, 10)), ("coronal", (1, 10, 12)), ("sagittal", (0, 21, 22))):
        box = tile(page, "reference", plane)
        point(page, "reference", expected_place(box, plane, at))
        check_readout(page, shown, at)
    set_state(page, three=False)
    point(page, "reference", np.array([3.0, 3.0]))
    expect(page.locator(".readout .place")).to_have_text("Pointer: outside of the image.")
    assert values_read(page) == {}


def test_the_readout_keeps_the_sign_and_the_unit_of_a_map(screen: Watched) -> None:
    page = screen.page
    page.get_by_label("Evidence map").select_option("matched_filter")
    settle(page)
    box = tile(page, "reference", "coronal")
    point(page, "reference", expected_place(box, "coronal", MIDDLE))
    number, unit = values_read(page)["matched_filter"].split(" ", 1)
    assert agrees(number, -5.0)
    assert unit == page.locator(".maps .ends").inner_text().split("\n")[1].partition(",")[0]
    page.get_by_label("Evidence map").select_option("not_determined")
    settle(page)


@pytest.mark.parametrize("name", ["Level [%]", "Width [%]"])
def test_an_emptied_field_goes_back_to_its_last_number(screen: Watched, name: str) -> None:
    page = screen.page
    field, before = page.get_by_label(name, exact=True), state(page)
    field.fill("33.5")
    field.press("Enter")
    field.fill("")
    field.press("Tab")
    expect(field).to_have_value("33.5")
    now = state(page)
    changed = {"level" if name.startswith("Level") else "width"}
    assert {key for key in ("level", "width") if now[key] != before[key]} == changed
    assert now[changed.pop()] == 33.5
    expect(page.get_by_label("Window preset")).to_have_value("")
    page.get_by_label("Window preset").select_option("Auto")
    assert state(page)["level"] == before["level"]
    assert state(page)["width"] == before["width"]


def test_a_ticket_that_ran_out_while_reading_is_renewed_by_the_next_step(screen: Watched) -> None:
    page, root = screen.page, screen.page.locator(".mr")
    root.evaluate("root => { root.screen.data.ticket = 'old'; root.screen.heardAt = Date.now(); }")
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(1500)
    assert root.evaluate("root => root.screen.data.ticket") == "old"  # heard of a moment ago
    root.evaluate("root => { root.screen.heardAt = Date.now() - 10 * 60 * 1000; }")
    page.keyboard.press("ArrowUp")
    for _ in range(WAIT_MS // 100):
        ticket = root.evaluate("root => root.screen.data.ticket")
        if ticket != "old":
            break
        page.wait_for_timeout(100)
    api = root.evaluate("root => root.screen.data.api")
    url = f"{page.url.split('/?')[0]}{api}/volume/reference.nii"
    assert page.request.get(f"{url}?t=old").status == 403
    assert page.request.get(f"{url}?t={ticket}").status == 200
    assert root.evaluate("root => Date.now() - root.screen.heardAt") < WAIT_MS
    assert state(page)["at"][0] == 1  # the rerun of the page moved nothing
    page.wait_for_timeout(1000)
    assert root.evaluate("root => root.screen.data.ticket") == ticket  # asked for once


def test_captions_have_one_height_and_controls_three_rows_on_a_small_screen(
    screen: Watched, tmp_path: Path
) -> None:
    page = screen.page
    page.set_viewport_size({"width": 1280, "height": 800})
    page.wait_for_timeout(500)
    settle(page)
    page.screenshot(path=tmp_path / "small.png")
    heights = page.locator("figcaption").evaluate_all("all => all.map((one) => one.offsetHeight)")
    assert len(set(heights)) == 1
    boxes = [one.bounding_box() for one in page.locator(".controls > :not(p)").all()]
    middles = [one["y"] + one["height"] / 2 for one in boxes if one is not None]
    assert 1 + (np.diff(middles) > 8).sum() <= 3  # rows
    page.set_viewport_size({"width": 1500, "height": 1000})
    page.wait_for_timeout(500)
    settle(page)


def test_panes_are_chosen_by_keys_alone(screen: Watched) -> None:
    page = screen.page
    summary = page.locator(".folded summary")
    assert summary.inner_text() == "Panes: 3 of 3"
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("checkbox", name="Zero-filled")).to_be_focused()
    page.keyboard.press("Space")
    settle(page)
    assert page.locator("figure.pane[data-role=zerofilled]").count() == 0
    assert summary.inner_text() == "Panes: 2 of 3"
    page.keyboard.press("Space")
    settle(page)
    page.locator("figure.pane[data-role=zerofilled] .problem").wait_for(state="hidden")
    page.keyboard.press("Escape")
    expect(page.get_by_role("checkbox", name="Zero-filled")).to_be_hidden()
    expect(summary).to_be_focused()


def test_slices_are_reached_by_keys_and_wheel_without_a_rerun(screen: Watched) -> None:
    page = screen.page
    asked = len(screen.requests)
    for key, expected in (
        ("ArrowDown", 2),
        ("ArrowDown", 2),
        ("Home", 0),
        ("PageDown", 2),
        ("ArrowUp", 1),
        ("End", 2),
        ("PageUp", 0),
    ):
        page.keyboard.press(key)
        settle(page)
        assert state(page)["at"][0] == expected, key
    view(page, "reference").hover()
    page.mouse.wheel(0, 120)
    page.wait_for_timeout(50)
    settle(page)
    assert state(page)["at"][0] == 1
    assert page.locator(".controls output").inner_text() == "2 of 3"
    assert len(screen.requests) == asked


def test_a_click_moves_the_crosshair_of_all_panes(screen: Watched) -> None:
    page, at = screen.page, (1.0, 33.0, 22.0)
    place = expected_place(tile(page, "zerofilled", "coronal"), "coronal", at)
    box = view(page, "zerofilled").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + place[0], box["y"] + place[1])
    set_state(page, crosshair=True, opacity=0)
    assert state(page)["at"] == list(at)
    for role in ("zerofilled", "reconstruction", "reference"):
        lines = coloured(pixels(page, role))
        column = int(np.argmax(lines.sum(axis=0)))
        row = int(np.argmax(lines.sum(axis=1)))
        assert np.abs(np.array([column, row]) + 0.5 - place).max() < 2, role


def test_the_worst_slice_is_reached_by_a_key(screen: Watched) -> None:
    page = screen.page
    page.keyboard.press("Home")
    page.keyboard.press("w")
    settle(page)
    assert state(page)["at"][0] == 1  # the spot of the reference is missing there
    expect(page.get_by_text("Worst: slice 2")).to_be_visible()


def test_the_numbers_of_a_region_are_those_of_the_stored_values(
    screen: Watched, root: Path
) -> None:
    page = screen.page
    page.get_by_label("Tool").select_option("rectangle")
    box = tile(page, "zerofilled", "coronal")
    first, last = (
        expected_place(box, "coronal", at) for at in ((1.0, 9.5, 11.5), (1.0, 24.5, 20.5))
    )
    drag(page, "zerofilled", first, last)
    rows = page.locator("table.region tbody tr")
    rows.first.wait_for(timeout=WAIT_MS)
    region = state(page)["region"]
    shown = reading(root)
    for role in ("zerofilled", "reconstruction", "reference"):
        values = shown.images[role].values
        assert values is not None
        inside = values[1, round(region["top"] + 0.5) : round(region["bottom"] + 0.5)]
        inside = inside[:, round(region["left"] + 0.5) : round(region["right"] + 0.5)]
        cells = page.locator(f"table.region tr[data-role={role}] td").all_inner_texts()
        # four digits are shown
        assert float(cells[0]) == pytest.approx(inside.mean(), rel=1e-3)
        assert float(cells[1]) == pytest.approx(inside.std(ddof=1), rel=1e-3)
        assert cells[4] == str(inside.size)
        assert cells[5] == "a.u."


def test_a_distance_is_counted_in_millimetres(screen: Watched) -> None:
    page = screen.page
    page.get_by_label("Tool").select_option("distance")
    box = tile(page, "reference", "coronal")
    ends = (1.0, 10.0, 10.0), (1.0, 34.0, 30.0)
    drag(page, "reference", *(expected_place(box, "coronal", at) for at in ends))
    expected = np.hypot(24 * STEPS[1], 20 * STEPS[0])
    found = float(page.locator(".mr").get_attribute("data-distance") or "nan")
    # the pointer moves by whole pixels of the screen, some 0.3 mm each
    assert found == pytest.approx(expected, abs=0.6)
    expect(page.locator(".mr .status")).to_have_text(f"Distance: {found:.1f} mm")


def test_the_difference_has_a_fixed_scale_that_no_window_changes(
    screen: Watched, root: Path
) -> None:
    shown = reading(root)
    legend = screen.page.locator("figure[data-role=difference] .ends").inner_text()
    high = DIFFERENCE_SHARE * shown.white
    assert f"{high:.4g}" in legend
    assert f"fixed, {DIFFERENCE_SHARE:.0%}".replace("%", " %") in legend
    pair = [shown.images[role].values for role in ("reconstruction", "reference")]
    assert pair[0] is not None
    assert pair[1] is not None
    true = abs(pair[0][1, 15, 12] - pair[1][1, 15, 12])
    expected = colour_table("cividis")[round(255 * min(true / high, 1))]
    at = expected_place(tile(screen.page, "difference", "coronal"), "coronal", (1.0, 15.0, 12.0))
    before = pixels(screen.page, "difference")
    # steps of NiiVue's table of colours
    assert np.abs(before[int(at[1]), int(at[0])] - expected).max() <= 6
    show_spot_alone(screen.page)
    assert np.abs(pixels(screen.page, "difference") - before).max() <= 1


def test_opacity_and_threshold_change_the_map_without_a_rerun(screen: Watched) -> None:
    page, asked = screen.page, len(screen.requests)
    covered = pixels(page, "reconstruction")
    assert coloured(covered).any()
    for name, value in (("Opacity", "0"), ("Opacity", "1"), ("Show from", "1")):
        page.get_by_label(name, exact=True).fill(value)
        settle(page)
        shown = coloured(pixels(page, "reconstruction")).any()
        assert shown == ((name, value) == ("Opacity", "1"))
    page.get_by_label("Show from", exact=True).fill("0.1")
    settle(page)
    assert len(screen.requests) == asked
    expect(page.locator(".maps .ends")).to_contain_text("unit of the image, shown from")


def test_swipe_and_flicker_show_the_compared_image_in_its_place_and_say_so(
    screen: Watched,
) -> None:
    page = screen.page
    set_state(page, opacity=0)
    show_spot_alone(page)  # which is in the reference and not in the reconstruction
    page.locator(".mr").focus()
    place = centre_of(bright(pixels(page, "reference")))
    said = view(page, "reconstruction").locator(".said")

    def is_shown() -> bool:
        found = bright(pixels(page, "reconstruction"))
        return bool(found.any()) and bool(np.abs(centre_of(found) - place).max() < 2)

    assert not is_shown()
    page.keyboard.down("f")
    settle(page)
    expect(said).to_have_text("now: Reference")
    assert is_shown()
    page.keyboard.up("f")
    settle(page)
    assert not is_shown()
    page.keyboard.press("s")
    for divider, expected in ((0.3, True), (0.8, False)):
        set_state(page, divider=divider)
        assert is_shown() == expected
    expect(said).to_have_text("Reconstruction: Compressed sensing | Reference")
    page.keyboard.press("s")
    settle(page)
    expect(said).to_have_text("")


def test_the_mask_is_that_of_the_result(screen: Watched, root: Path) -> None:
    mask = screen.page.locator("img.mask")
    answer = screen.page.request.get(str(mask.evaluate("image => image.src")))
    drawn = np.asarray(Image.open(io.BytesIO(answer.body())))
    stored = reading(root).mask
    assert stored is not None
    assert ((drawn == 255) == stored[0]).all()


def test_the_keys_are_listed(screen: Watched) -> None:
    screen.page.keyboard.press("?")
    expect(screen.page.get_by_role("dialog", name="Keys")).to_contain_text("worst slice")
    screen.page.keyboard.press("Escape")
    expect(screen.page.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_a_comment_is_pinned_filed_drawn_and_gone_to(screen: Watched) -> None:
    page, at = screen.page, (2.0, 17.0, 9.0)
    set_state(page, at=[2, 17, 9])
    page.locator(".mr").focus()
    page.keyboard.press("c")
    expect(page.get_by_text("New comment at slice")).to_be_visible(timeout=WAIT_MS)
    assert state(page)["at"] == [2, 17, 9]  # the rerun of the page changed nothing here
    page.get_by_label("New comment").fill("A faint edge.")
    page.get_by_label("New comment").blur()
    page.get_by_role("button", name="File comment").click()
    expect(page.locator(".mc-note")).to_contain_text("A faint edge.", timeout=WAIT_MS)
    page.wait_for_timeout(300)
    settle(page)
    assert [mark["at"] for mark in state(page)["marks"]] == [list(at)]
    x, y = expected_place(tile(page, "zerofilled", "coronal"), "coronal", at)
    shown = pixels(page, "zerofilled")
    mark = coloured(shown)
    assert abs(np.nonzero(mark[:, int(x) - 1 : int(x) + 2].any(axis=1))[0].max() - y) < 2
    assert mark[int(y) - 10, int(x) - 2 : int(x) + 2].all()  # it widens upwards
    set_state(page, at=[0, 1, 1])
    assert not coloured(pixels(page, "zerofilled")).any()  # it is on another slice
    page.get_by_role("button", name="Go there").click()
    page.locator(".mr[data-slice='2']").wait_for(timeout=WAIT_MS)
    assert state(page)["at"] == [2, 17, 9]
    assert screen.errors == []


def test_a_region_is_handed_over_as_a_shape(screen: Watched) -> None:
    page = screen.page
    region = {"plane": 1, "shape": "rectangle", "top": 9, "bottom": 20, "left": 4, "right": 12}
    set_state(page, region=region)
    page.locator(".mr").focus()
    page.keyboard.press("a")
    expect(page.get_by_text("A shape was drawn and is not filed yet.")).to_be_visible(
        timeout=WAIT_MS
    )
    page.get_by_role("button", name="File shape").click()
    expect(page.get_by_text("Polygon on slice 2")).to_be_visible(timeout=WAIT_MS)
    page.wait_for_timeout(300)
    settle(page)
    (shape,) = (mark for mark in state(page)["marks"] if mark["kind"] == "shape")
    corners = [[4, 9], [12, 9], [12, 20], [4, 20], [4, 9]]
    assert (shape["plane"], shape["geometry"]["coordinates"]) == (1, [corners])
    assert screen.errors == []


def test_a_link_opens_its_slice_and_a_letter_in_a_field_is_no_key_of_the_page(
    browser: Browser, address: str
) -> None:
    watched = open_screen(browser, f"{address}/?study=brain&case=known&slice=3")
    page, root = watched.page, watched.page.locator(".mr")
    assert root.get_attribute("data-slice") == "2"
    for field in ("Level [%]", "Evidence map"):
        page.get_by_label(field, exact=True).focus()
        page.keyboard.press("n")
    page.wait_for_timeout(500)
    assert "case=known" in page.url
    root.focus()
    page.keyboard.press("n")  # not in a field it opens the next case
    page.wait_for_url("**case=unknown**", timeout=WAIT_MS)
    assert watched.errors == []
    page.close()


def test_a_key_that_is_held_is_let_go_where_the_focus_goes(screen: Watched) -> None:
    screen.page.keyboard.down("o")
    assert state(screen.page)["opacity"] == 0
    screen.page.locator(".mr").evaluate("root => root.blur()")
    assert state(screen.page)["opacity"] == 0.6
    screen.page.keyboard.up("o")


def test_an_unknown_orientation_has_no_letter_a_banner_and_no_distance(
    browser: Browser, address: str
) -> None:
    watched = open_screen(browser, f"{address}/?case=unknown")
    page = watched.page
    expect(page.locator(".banner.doubt")).to_contain_text("Orientation unknown")
    assert page.locator(".edge").count() == 0
    assert set(page.locator(".pane .badge").all_inner_texts()) == {"orientation unknown"}
    set_state(page, three=True, crosshair=False, at=[1, 32, 22])
    assert page.locator(".edge").count() == 0
    assert "axial" not in page.locator(".grid").inner_text()
    set_state(page, three=False)
    show_spot_alone(page)
    left, top, width, height = tile(page, "reference", "axial")
    scale = min(width / WIDTH, height / HEIGHT)
    drawn = centre_of(bright(pixels(page, "reference")))
    expected = (left + width / 2 + (22.5 - 19.5) * scale, top + height / 2 + (32.5 - 23.5) * scale)
    assert np.abs(drawn - expected).max() < 2  # as stored: column to the right, row downwards
    point(page, "reference", np.array(expected))
    assert "position in mm unknown" in page.locator(".readout .place").inner_text()
    number, _, rest = values_read(page)["reference"].partition(" ")
    assert agrees(number, float(SMALL * np.float32(3.0)))
    assert rest.startswith("(unit unknown), ")
    page.get_by_label("Tool").select_option("distance")
    drag(page, "reference", np.array([50.0, 50.0]), np.array([90.0, 120.0]))
    expect(page.locator(".mr .status")).to_contain_text("voxel size unknown: not measured")
    assert watched.errors == []
    count_with_a_ticket_that_has_run_out(page)
    page.close()


def count_with_a_ticket_that_has_run_out(page: Page) -> None:
    """The page hands out another one by itself, and the numbers come."""
    page.locator(".mr").evaluate("root => { root.screen.data.ticket = 'old'; }")
    page.get_by_label("Tool").select_option("ellipse")
    drag(page, "reference", np.array([150.0, 120.0]), np.array([220.0, 200.0]))
    page.locator("table.region tbody tr").first.wait_for(timeout=WAIT_MS)
    assert "not counted" not in page.locator("table.region").inner_text()


def test_without_webgl2_still_pictures_are_drawn_and_it_is_said(
    browser: Browser, address: str
) -> None:
    without = """const asked = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
      return kind === "webgl2" ? null : asked.call(this, kind, ...more); };"""
    watched = open_screen(browser, f"{address}/?case=known", without)
    page = watched.page
    expect(page.get_by_text("this browser has no WebGL2")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_alt_text("Reference, slice 2", exact=True)).to_be_visible(timeout=WAIT_MS)
    assert watched.errors == []
    page.close()


def test_a_sealed_case_shows_the_original_alone(
    browser: Browser, root: Path, tmp_path: Path
) -> None:
    settings = ViewerSettings(results=root, impressions="first", database=str(tmp_path / "r.db"))
    with served(settings, tmp_path / "log.txt") as address:
        watched = open_screen(browser, f"{address}/?case=known")
        page = watched.page
        assert page.locator("figcaption b").all_inner_texts() == ["Zero-filled"]
        assert page.get_by_label("Evidence map").count() == 0
        data = page.locator(".mr").evaluate("root => JSON.stringify(root.screen.data)")
        told = json.loads(data)
        assert (told["maps"], told["slices"], told["residual"]) == ([], [], [])
        assert "reconstruction" not in data
        refused = page.request.get(
            f"{address}{told['api']}/volume/reconstruction.nii?t={told['ticket']}"
        )
        assert refused.status == 403
        assert watched.errors == []
        page.close()

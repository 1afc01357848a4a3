"""The slide screen in a real Chromium: what is drawn lies where it belongs, and keys do as said."""

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from playwright.sync_api import Browser, Locator, expect
from streamlit.proto.BackMsg_pb2 import BackMsg

from medconsist.results.store import ResultStore
from medconsist.review.access import Person
from medconsist.review.database import Database, sqlite_url
from medconsist.review.entries import Entry
from medconsist.review.records import Annotation
from medconsist.review.store import ReviewStore
from medconsist.viewing.bench.bare import DRAWN, STARTED
from medconsist.viewing.slide_maps import SLIDE_MAPS
from medconsist.viewing.vendor import missing_vendor, vendor_folder
from medconsist.viewing.web.server import local_person
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.what_if import WATERMARK
from medconsist.wsi.settings import Embedding
from medconsist.wsi.task import SlideJob, embed_slide
from tests.viewing.asked_again import predict_trained
from tests.viewing.planted import BLOCK, CELL, GREEN, MPP, plant
from tests.viewing.served import Watched, at_rest, served
from tests.wsi.small_slide import QuarterMeans

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        missing_vendor(vendor_folder()) is not None, reason=str(missing_vendor(vendor_folder()))
    ),
]

MARKS = """() => performance.getEntriesByType("mark").map((one) => one.name)
    .filter((name) => name.startsWith("medconsist"))"""
WAIT_MS = 60_000  # a cold start on shared cores
NEAR_PX = 2.0  # what the viewer promises for overlays
YELLOW = (253, 231, 37)  # the last colour of viridis
PINK, OWN = (255, 110, 199), (255, 209, 102)  # the place that was gone to; an own outline
POWERS = {"2": 5, "3": 10, "4": 20}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("slides") / "results"
    plant(folder)
    plant(folder, "unknown", mpp=None)
    predict_trained(folder, "asked")
    return folder


@pytest.fixture(scope="module")
def address(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with served(ViewerSettings(results=root), log) as address:
        yield address


class Screen(Watched):
    """The slide screen of one case."""

    def __init__(self, browser: Browser, address: str, case: str, shots: Path) -> None:
        super().__init__(browser.new_page(viewport={"width": 1500, "height": 1050}))
        self.address, self.shots = address, shots
        self.sent = 0
        self.page.on("websocket", lambda channel: channel.on("framesent", self._count))
        self.page.goto(f"{address}/?study=wsi&case={case}")
        self.wait()

    def _count(self, frame: object) -> None:
        """Count a message that was sent, but for those by which the page looks who is idle."""
        assert isinstance(frame, bytes)
        self.sent += not BackMsg.FromString(frame).rerun_script.is_auto_rerun

    def wait(self) -> None:
        self.page.locator(".ms[data-ready=yes]").wait_for(timeout=WAIT_MS)
        self.settle()

    @property
    def root(self) -> Locator:
        return self.page.locator(".ms")

    @property
    def zoom(self) -> float:
        return float(self.root.get_attribute("data-zoom") or "nan")

    def part(self, name: str) -> Locator:
        return self.root.locator(f'[data-part="{name}"]')

    def press(self, *keys: str) -> None:
        self.root.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def picture(self) -> np.ndarray:
        """Return what is on the screen, without the navigator, which shows the slide too."""
        self.page.locator(".ms-stage").scroll_into_view_if_needed()
        shot = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")).copy()
        box = self.page.locator(".navigator").bounding_box()
        assert box is not None
        left, top = int(box["x"]) - 2, int(box["y"]) - 2
        shot[top : top + int(box["height"]) + 4, left : left + int(box["width"]) + 4] = 0
        stage = self.page.locator(".ms-stage").bounding_box()
        assert stage is not None
        inside = np.zeros(shot.shape[:2], dtype=bool)
        x, y = int(stage["x"]), int(stage["y"])
        assert min(x, y) >= 0, "the stage is scrolled out of the window"
        inside[y : y + int(stage["height"]), x : x + int(stage["width"])] = True
        return np.where(inside[..., None], shot, 0)

    def settle(self) -> np.ndarray:
        """Return the picture when nothing moves any more."""
        last = self.picture()
        end = time.monotonic() + WAIT_MS / 1000
        while time.monotonic() < end:
            self.page.wait_for_timeout(400)
            now = self.picture()
            if (now == last).all():
                return now
            last = now
        return pytest.fail("the screen does not come to rest")

    def keep(self, name: str) -> None:
        """Keep a screenshot for who wants to look."""
        self.page.screenshot(path=self.shots / f"{name}.png")

    def assert_quiet(self) -> None:
        own = (self.address, self.address.replace("http", "ws"), "data:", f"blob:{self.address}")
        assert [url for url in self.requests if not url.startswith(own)] == []
        assert self.errors == []


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_MS / 1000
    while not holds():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shots")


@pytest.fixture
def screen(browser: Browser, address: str, shots: Path) -> Iterator[Screen]:
    screen = Screen(browser, address, "planted", shots)
    yield screen
    screen.assert_quiet()
    screen.page.close()


def green(picture: np.ndarray) -> np.ndarray:
    """Return where the block is: an edge that was averaged counts from the half on."""
    red, middle, blue = np.moveaxis(picture.astype(int), -1, 0)
    return middle - np.maximum(red, blue) > GREEN[1] / 2


def like(picture: np.ndarray, colour: tuple[int, int, int], within: int = 30) -> np.ndarray:
    """Return where a colour is that the widget draws itself."""
    return np.asarray((np.abs(picture.astype(int) - colour) <= within).all(-1))


def spot(near: np.ndarray) -> np.ndarray:
    """Return left, top, right and bottom [screen px]."""
    assert near.sum() > 20, "nothing of this colour is on the screen"
    # rows and columns with a good part of it: a letter of the same colour moves no edge
    counts = (near.sum(0), near.sum(1))
    columns, rows = (np.flatnonzero(one > 0.3 * one.max()) for one in counts)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def centroid(near: np.ndarray) -> np.ndarray:
    """Return the mean x and y [screen px]."""
    assert near.sum() > 20, "nothing of this colour is on the screen"
    middle: np.ndarray = np.argwhere(near).mean(0)[::-1] + 0.5
    return middle


def slide_to(screen: Screen, name: str, key: str) -> None:
    screen.part(name).focus()
    screen.page.keyboard.press(key)


def test_a_planted_block_and_its_mark_coincide_at_every_zoom(screen: Screen) -> None:
    offsets = []
    slide_to(screen, "opacity", "End")
    for key, power in [("0", None), *POWERS.items()]:
        screen.press(key)
        screen.part("maps").get_by_role("button", name="No map").click()
        block = screen.settle()
        screen.part("maps").get_by_role("button", name="Tile probability: tumour").click()
        until(lambda: (screen.root.get_attribute("data-shown") or "").endswith("117"))
        mark = screen.settle()
        offsets.append(np.abs(centroid(green(block)) - centroid(like(mark, YELLOW))).max())
        assert np.abs(spot(green(block)) - spot(like(mark, YELLOW))).max() <= NEAR_PX
        assert offsets[-1] <= NEAR_PX
        if power is not None:
            assert screen.zoom == pytest.approx(power * MPP / 10, rel=1e-6)
            width = np.diff(spot(green(block))[[0, 2]])[0]
            assert width == pytest.approx(CELL * screen.zoom, abs=NEAR_PX)
    figures = f"block to mark [px] at whole, 5x, 10x, 20x: {np.round(offsets, 3).tolist()}"
    (screen.shots / "alignment.txt").write_text(figures)
    screen.keep("alignment-20x")


def test_the_scale_bar_measures_the_planted_block_right(screen: Screen) -> None:
    screen.part("maps").get_by_role("button", name="No map").click()
    for key, power in POWERS.items():
        screen.press(key)
        picture = screen.settle()
        box = spot(green(picture))
        microns = CELL * MPP / ((box[2] - box[0] + box[3] - box[1]) / 2)
        bar = screen.part("ruler").bounding_box()
        assert bar is not None
        said = screen.part("length").inner_text()
        length = float(said.split()[0]) * (1000 if said.endswith("mm") else 1)
        # the edge of the block is known to a pixel on either side
        assert bar["width"] * microns == pytest.approx(length, rel=2 / (CELL * screen.zoom))
        assert bar["width"] <= 160
        assert screen.part("power").inner_text().startswith(f"{power}x ")
    screen.press("d")
    for x in (float(box[0]), float(box[2])):
        screen.page.mouse.click(x, float(box[1] + box[3]) / 2, delay=30)
        screen.page.wait_for_timeout(450)
    screen.press("Enter")
    number, unit = (screen.root.get_attribute("data-measured") or "").split()
    assert unit == "µm"
    assert float(number) == pytest.approx(CELL * MPP, abs=NEAR_PX * MPP / screen.zoom)


def test_keys_and_wheel_move_and_none_mirrors(screen: Screen) -> None:
    screen.press("3")
    before = screen.settle()
    screen.press("f", "r", "w")
    assert (screen.settle() == before).all()
    start = centroid(like(before, YELLOW, 90))
    screen.press("ArrowRight", "ArrowDown")
    moved = centroid(like(screen.settle(), YELLOW, 90)) - start
    assert (moved < -40).all()  # the slide goes left and up
    zoom = screen.zoom
    screen.press("+")
    screen.settle()
    assert screen.zoom == pytest.approx(1.5 * zoom, rel=1e-3)
    screen.press("-")
    screen.settle()
    assert screen.zoom == pytest.approx(zoom, rel=1e-3)
    box = screen.page.locator(".ms-osd").bounding_box()
    assert box is not None
    screen.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    screen.page.mouse.wheel(0, -240)
    screen.settle()
    assert screen.zoom > 1.1 * zoom
    screen.press("?")
    expect(screen.part("keys")).to_be_visible()
    screen.keep("keys")
    assert screen.page.evaluate(MARKS) == [STARTED, DRAWN]  # once each, in this order


def test_opacity_and_threshold_change_the_screen_without_a_run_of_the_page(
    screen: Screen,
) -> None:
    before, sent = screen.settle(), screen.sent
    slide_to(screen, "opacity", "End")
    strong = screen.settle()
    assert (strong != before).any()
    centroid(like(strong, YELLOW))  # the pure colour of the map
    slide_to(screen, "opacity", "Home")
    clear = screen.settle()
    with pytest.raises(AssertionError, match="nothing of this colour"):
        centroid(like(clear, YELLOW))
    slide_to(screen, "least", "End")
    until(lambda: screen.root.get_attribute("data-shown") == "instance_probability 1")
    expect(screen.part("least-said")).to_have_text("1")
    screen.press("h")
    screen.page.wait_for_timeout(500)
    assert screen.sent == sent
    screen.part("maps").get_by_role("button", name="Attention").click()
    expect(screen.part("caution")).to_contain_text(SLIDE_MAPS["attention"].caution)
    expect(screen.part("high")).to_have_text("8 or more")
    expect(screen.part("who")).to_contain_text("p-8 › planted")
    expect(screen.part("who")).to_contain_text("Attention, planted bbbbbbbbbbbb")


def test_a_ranked_tile_leads_to_its_place_and_is_marked_there(screen: Screen) -> None:
    screen.part("maps").get_by_role("button", name="No map").click()
    screen.root.locator('[data-tile="0"]').click()
    picture = screen.settle()
    block, marked = centroid(green(picture)), spot(like(picture, PINK, 12))
    frame = (marked[:2] + marked[2:]) / 2
    assert np.abs(frame - block).max() <= NEAR_PX
    stage = screen.page.locator(".ms-osd").bounding_box()
    assert stage is not None
    middle = np.array([stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2])
    assert np.abs(block - middle).max() <= NEAR_PX
    pictures = screen.part("galleries").locator("img")
    assert pictures.count() == 6
    until(lambda: pictures.first.evaluate("image => image.naturalWidth") == 300)
    screen.press("]")
    screen.settle()
    assert screen.root.locator('[data-tile="1"]').get_attribute("aria-pressed") == "true"
    screen.keep("tile")


def filed(root: Path) -> list[Entry]:
    store = ReviewStore(Database(sqlite_url(root / "review.db")))
    person: Person = local_person("test")
    return store.entries(person, "wsi", "planted", "annotation")


def test_an_outline_is_drawn_filed_opened_again_exported_brought_back_and_withdrawn(
    screen: Screen, root: Path, tmp_path: Path
) -> None:
    screen.part("maps").get_by_role("button", name="No map").click()
    screen.press("3")
    left, top, right, bottom = spot(green(screen.settle())).tolist()
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    screen.press("p")
    for x, y in corners[:2]:
        screen.page.mouse.click(x, y, delay=30)
        screen.page.wait_for_timeout(450)  # or two clicks would be a double click
    screen.press("Enter")
    expect(screen.part("form")).to_be_hidden()  # two points are no outline
    screen.press("Escape", "p")
    for x, y in [corners[0], corners[1], (right + 60, bottom), *corners[2:]]:
        screen.page.mouse.click(x, y, delay=30)
        screen.page.wait_for_timeout(450)
        if x > right:
            screen.press("Backspace")
    screen.press("Enter")
    expect(screen.part("form-said")).to_contain_text("area")
    _, area, unit = screen.part("form-said").inner_text().split(",")[0].split()
    square = float(area) * (1e6 if unit == "mm²" else 1)
    assert square == pytest.approx((CELL * MPP) ** 2, rel=4 / (CELL * screen.zoom))
    screen.page.keyboard.type("green r block")  # r alone would run the page again
    screen.page.keyboard.press("Enter")
    expect(screen.part("shapes")).to_contain_text("green r block", timeout=WAIT_MS)
    (entry,) = filed(root)
    assert isinstance(entry.body, Annotation)
    assert entry.author == local_person("test").subject
    drawn = np.asarray(entry.body.geometry["coordinates"][0])  # type: ignore[index]  # drawn above
    x, y, width, height = BLOCK
    found = np.array([*drawn.min(0), *drawn.max(0)])
    # a pixel of the screen is 1 / zoom pixels of the slide
    assert np.abs(found - [x, y, x + width, y + height]).max() <= NEAR_PX / screen.zoom
    screen.page.reload()
    screen.wait()
    screen.part("maps").get_by_role("button", name="No map").click()
    screen.part("shapes").get_by_role("button", name="green r block").click()
    picture = screen.settle()
    frame = spot(like(picture, OWN, 12))
    assert np.abs((frame[:2] + frame[2:]) / 2 - centroid(green(picture))).max() <= 3 * NEAR_PX
    screen.keep("outline")
    screen.page.get_by_text("Export", exact=True).click()
    at_rest(screen.page.get_by_role("button", name="Shapes on the slide (GeoJSON)")).click()
    with screen.page.expect_download(timeout=WAIT_MS) as coming:
        screen.page.get_by_role("button", name="Download").click(timeout=WAIT_MS)
    path = tmp_path / "out.geojson"
    coming.value.save_as(path)
    feature = json.loads(path.read_text())["features"][0]
    assert feature["properties"]["classification"]["name"] == "green r block"
    assert feature["properties"]["metadata"]["author"] == entry.author
    assert np.asarray(feature["geometry"]["coordinates"][0]).tolist() == drawn.tolist()
    screen.page.get_by_text("Bring outlines (GeoJSON)").click()
    screen.page.locator('input[type="file"]').set_input_files(path)
    screen.page.get_by_role("button", name="File 1 under my name").click(timeout=WAIT_MS)
    expect(screen.part("shapes")).to_contain_text("Outlines (2)", timeout=WAIT_MS)
    screen.part("shapes").get_by_role("button", name="Withdraw").first.click()
    expect(screen.part("shapes")).to_contain_text("Outlines (1)", timeout=WAIT_MS)
    assert len(filed(root)) == 2  # the withdrawal stands in the place of one, and is kept


def test_a_refused_outline_stays_and_says_why_until_it_is_mended(
    screen: Screen, root: Path
) -> None:
    before = filed(root)
    box = screen.page.locator(".ms-osd").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    screen.press("p")
    bow_tie = [(-120, -90), (120, 90), (120, -90), (-120, 90)]
    for across, down in bow_tie:
        set_point(screen, x + across, y + down)
    screen.press("Enter")
    screen.page.keyboard.type("bow tie")
    screen.page.keyboard.press("Enter")
    expect(screen.part("said")).to_contain_text("crosses or touches itself", timeout=WAIT_MS)
    expect(screen.part("form")).to_be_visible()
    expect(screen.part("label")).to_have_value("bow tie")
    screen.keep("refused")
    screen.page.get_by_text("Export", exact=True).click()
    at_rest(
        screen.page.get_by_role("button", name="Table of the case (CSV)")
    ).click()  # runs the page again
    expect(screen.page.get_by_role("button", name="Download")).to_be_visible(timeout=WAIT_MS)
    expect(screen.part("said")).to_contain_text("crosses or touches itself")
    expect(screen.part("form")).to_be_visible()
    assert filed(root) == before
    screen.press("Backspace", "Backspace")
    set_point(screen, x - 120, y + 90)
    expect(screen.part("said")).to_be_hidden()
    screen.press("Enter")
    expect(screen.part("label")).to_have_value("bow tie")
    screen.part("label").focus()
    screen.page.keyboard.press("Enter")
    expect(screen.part("shapes")).to_contain_text("bow tie", timeout=WAIT_MS)
    expect(screen.part("form")).to_be_hidden()
    assert len(filed(root)) == len(before) + 1
    screen.part("shapes").get_by_role("button", name="Withdraw").last.click()
    expect(screen.part("shapes")).not_to_contain_text("bow tie", timeout=WAIT_MS)


def set_point(screen: Screen, x: float, y: float) -> None:
    """Click until the outline has a point more: on a busy machine a click passes for a drag."""
    before, end = screen.root.get_attribute("data-points"), time.monotonic() + WAIT_MS / 1000
    while screen.root.get_attribute("data-points") == before:
        assert time.monotonic() < end, "no click sets a point"
        screen.page.mouse.click(x, y, delay=30)
        screen.page.wait_for_timeout(600)  # or two clicks would be a double click


def test_a_comment_is_gone_to_and_its_link_leads_there(
    browser: Browser, screen: Screen, address: str, shots: Path
) -> None:
    screen.press("3")
    x, y = centroid(like(screen.settle(), YELLOW, 90)).tolist()
    screen.press("c")
    screen.page.mouse.click(x, y)
    expect(screen.page.get_by_text("New comment at x")).to_be_visible(timeout=WAIT_MS)
    field = screen.page.get_by_label("New comment")
    field.fill("Why is it green?")
    field.blur()
    screen.page.get_by_role("button", name="File comment").click()
    filed = screen.page.locator(".mc-note", has_text="Why is it green?")
    expect(filed).to_be_visible(timeout=WAIT_MS)
    screen.press("0")
    screen.settle()
    screen.page.get_by_role("button", name="Go there").first.click()  # comments come first
    screen.page.locator(".ms[data-gone]").wait_for(timeout=WAIT_MS)
    assert_gone_to_the_block(screen)
    entry = screen.page.url.partition("entry=")[2].partition("&")[0]
    assert entry
    other = Screen(browser, address, f"planted&entry={entry}", shots)
    other.page.locator(".ms[data-gone]").wait_for(timeout=WAIT_MS)
    assert_gone_to_the_block(other)
    other.keep("gone")
    other.assert_quiet()
    other.page.close()


def assert_gone_to_the_block(screen: Screen) -> None:
    screen.press("o")  # the pin lies on the block
    block = spot(like(screen.settle(), YELLOW, 90))
    gone = [float(one) for one in (screen.root.get_attribute("data-gone") or "").split()]
    stage = screen.page.locator(".ms-osd").bounding_box()
    assert stage is not None
    middle = np.array([stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2])
    beside = (np.array(BLOCK[:2]) + CELL / 2 - gone) * screen.zoom
    assert np.abs((block[:2] + block[2:]) / 2 - middle - beside).max() <= NEAR_PX


def test_the_model_is_asked_without_tiles_and_the_answer_is_marked(
    browser: Browser, address: str, root: Path, shots: Path
) -> None:
    screen = Screen(browser, address, "asked", shots)
    draw_a_square(screen)
    screen.part("what-if").click()
    answer = screen.part("answer")
    expect(answer).to_be_visible(timeout=WAIT_MS)
    expect(answer.locator("strong")).to_have_text(WATERMARK)
    said = answer.inner_text()
    assert re.search(r"[1-9]\d* tiles left out, [1-9]\d* remain", said)
    stored = ResultStore(root, "wsi").read("asked").result
    for metric in stored.metrics:
        assert f"{metric.value:.3f}" in said
    screen.keep("what-if")
    database = Database(sqlite_url(root / "review.db"))
    with database.reading() as connection:
        rows = connection.execute(sa.text("select action from audit where object_type='what-if'"))
        assert rows.scalars().all() == ["viewed"]
    answer.get_by_role("button", name="Close").click()
    expect(answer).to_be_hidden()
    weights = root.parent / "model" / "model.safetensors"
    weights.rename(weights.with_suffix(".away"))
    try:
        # the model stays in memory for a while; a server that starts anew has none
        log = root.parent / "second.log"
        with served(ViewerSettings(results=root), log) as second:
            again = Screen(browser, second, "asked", shots)
            draw_a_square(again)
            again.part("what-if").click()
            expect(again.part("said")).to_contain_text("not where they were", timeout=WAIT_MS)
            assert again.part("answer").is_hidden()
            again.page.close()
    finally:
        weights.with_suffix(".away").rename(weights)
    screen.assert_quiet()
    screen.page.close()


def draw_a_square(screen: Screen) -> None:
    """Draw an outline around the middle of the screen."""
    box = screen.page.locator(".ms-osd").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    screen.press("p")
    for across, down in [(-120, -90), (120, -90), (120, 90), (-120, 90)]:
        screen.page.mouse.click(x + across, y + down, delay=30)
        screen.page.wait_for_timeout(450)
    screen.press("Enter")
    expect(screen.part("form")).to_be_visible()


def test_a_slide_without_microns_says_so_and_gives_no_magnification(
    browser: Browser, address: str, shots: Path
) -> None:
    screen = Screen(browser, address, "unknown", shots)
    expect(screen.part("doubts")).to_contain_text("MPP unknown")
    screen.press("4")
    screen.settle()
    assert screen.zoom == pytest.approx(0.5)
    assert screen.part("power").inner_text() == "0.5 screen px per slide px"
    assert screen.part("length").inner_text().endswith("px of the slide")
    screen.keep("unknown")
    screen.assert_quiet()
    screen.page.close()


@pytest.mark.data
def test_the_real_slide_is_drawn_as_it_was_scanned(
    browser: Browser, address: str, root: Path, data_dir: Path, shots: Path
) -> None:
    slide = data_dir / "wsi" / "CMU-1-Small-Region.svs"
    settings = Embedding(target_mpp=1.0)
    job = SlideJob(slide=slide, out=root, encoder=QuarterMeans(), case="cmu", settings=settings)
    embed_slide(job)
    screen = Screen(browser, address, "cmu", shots)
    screen.press("4")
    picture = screen.settle()
    assert screen.zoom == pytest.approx(20 * 0.499 / 10, rel=1e-6)
    pink = (picture[..., 0] > picture[..., 1] + 40).mean()
    assert pink > 0.05  # tissue in haematoxylin and eosin, where it is dark and white alone
    screen.keep("real")
    screen.assert_quiet()
    screen.page.close()

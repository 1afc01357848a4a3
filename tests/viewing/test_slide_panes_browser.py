"""Two and four panes of a slide in a real Chromium: one place, a map each, and none left behind."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from medconsist.viewing.markup import NOTICE
from medconsist.viewing.slide_maps import SLIDE_MAPS
from medconsist.viewing.vendor import missing_vendor, vendor_folder
from medconsist.viewing.web.settings import ViewerSettings
from tests.viewing.planted import HEIGHT, MPP, WIDTH, plant
from tests.viewing.served import served
from tests.viewing.test_slide_browser import (
    NEAR_PX,
    YELLOW,
    Screen,
    centroid,
    green,
    like,
    spot,
    until,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        missing_vendor(vendor_folder()) is not None, reason=str(missing_vendor(vendor_folder()))
    ),
]

BARE, PROBABILITY, ATTENTION = "No map", "Tile probability: tumour", "Attention"
VIEWERS = "() => OpenSeadragon._viewers.size"
CANVASES = "root => root.querySelectorAll('canvas').length"
COUNT_WEBGL = """() => {
  const { getContext } = HTMLCanvasElement.prototype;
  window.webgl = 0;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    if (kind.startsWith("webgl")) window.webgl += 1;
    return getContext.call(this, kind, ...rest);
  };
}"""


class Panes(Screen):
    """The slide screen in a window that is high enough for four panes."""

    def wait(self) -> None:
        self.page.set_viewport_size({"width": 1500, "height": 1500})
        super().wait()

    def open(self, count: int) -> None:
        self.part("counts").get_by_role("button", name=str(count), exact=True).click()
        expect(self.panes).to_have_count(count)
        expect(self.root.locator(".ms-pane[data-ready=yes]")).to_have_count(count - 1)
        self.settle()

    @property
    def panes(self) -> Locator:
        return self.root.locator(".ms-pane")

    @property
    def zooms(self) -> list[float]:
        """Those of the further panes, which tell their own."""
        found = [one.get_attribute("data-zoom") for one in self.panes.all()[1:]]
        return [float(one or "nan") for one in found]

    def choose(self, pane: int, title: str) -> None:
        self.panes.nth(pane).get_by_role("button", name=title, exact=True).click()

    def shown(self, pane: int) -> str:
        where = self.root if pane == 0 else self.panes.nth(pane)
        return where.get_attribute("data-shown") or ""

    def box(self, pane: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the slide in a pane [screen px]."""
        found = self.panes.nth(pane).locator(".ms-osd").bounding_box()
        assert found is not None
        left, top = round(found["x"]), round(found["y"])
        return left, top, left + round(found["width"]), top + round(found["height"])

    def middle(self, pane: int) -> tuple[float, float]:
        left, top, right, bottom = self.box(pane)
        return (left + right) / 2, (top + bottom) / 2

    def picture(self) -> np.ndarray:
        """Return the window, black where the small picture of the first pane is."""
        shot = np.asarray(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")).copy()
        found = self.page.locator(".navigator").bounding_box()
        assert found is not None
        left, top = int(found["x"]) - 2, int(found["y"]) - 2
        shot[top : top + int(found["height"]) + 4, left : left + int(found["width"]) + 4] = 0
        return shot

    def pictures(self) -> list[np.ndarray]:
        """Return what is in each pane, when nothing moves any more."""
        self.page.mouse.move(2, 2)  # no cross of the pointer on any
        whole = self.settle()
        boxes = [self.box(pane) for pane in range(self.panes.count())]
        return [whole[top:bottom, left:right] for left, top, right, bottom in boxes]

    def drag(self, pane: int, by: tuple[int, int]) -> None:
        x, y = self.middle(pane)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + by[0], y + by[1], steps=5)
        self.page.wait_for_timeout(200)  # or it would be a flick
        self.page.mouse.up()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("panes")
    plant(folder / "results")
    with served(ViewerSettings(results=folder / "results"), folder / "log.txt") as address:
        yield address


@pytest.fixture
def screen(browser: Browser, address: str, tmp_path: Path) -> Iterator[Panes]:
    screen = Panes(browser, address, "planted", tmp_path)
    yield screen
    screen.assert_quiet()
    screen.page.close()


def test_the_block_and_its_mark_coincide_in_every_pane_whichever_is_moved(screen: Panes) -> None:
    screen.press("3")
    screen.settle()
    sent = screen.sent
    screen.open(4)
    assert screen.zooms == pytest.approx([10 * MPP / 10] * 3, rel=1e-6)  # it stays
    for pane in range(4):
        screen.choose(pane, PROBABILITY)
        screen.panes.nth(pane).locator('[data-part="opacity"]').press("End")
    # the pane that is moved, the key of a magnification or the wheel, and how far it is dragged
    for moved, key, by in [(3, "2", (25, -30)), (2, "3", (-60, 20)), (1, None, (40, -50))]:
        if key is not None:
            screen.press(key)
        else:
            screen.page.mouse.move(*screen.middle(moved))
            screen.page.mouse.wheel(0, -120)
        before = [centroid(like(one, YELLOW)) for one in screen.pictures()]
        screen.drag(moved, by)
        marks = screen.pictures()
        for pane in range(4):
            screen.choose(pane, BARE)
        blocks = screen.pictures()
        for pane in range(4):
            block, near = green(blocks[pane]), like(marks[pane], YELLOW)
            assert np.abs(spot(block) - spot(near)).max() <= NEAR_PX
            mark = centroid(near)
            assert np.abs(mark - before[pane] - by).max() <= NEAR_PX
            assert np.abs(mark - centroid(like(marks[moved], YELLOW))).max() <= NEAR_PX
            screen.choose(pane, PROBABILITY)
        assert screen.zooms == pytest.approx([screen.zoom] * 3, rel=1e-6)
    assert screen.zoom > 10 * MPP / 10  # by the wheel over another pane than the first
    screen.keep("four")
    assert screen.sent == sent


def test_each_pane_keeps_a_map_of_its_own_with_its_words(screen: Panes) -> None:
    sent = screen.sent
    screen.open(2)
    second = screen.panes.nth(1)
    expect(second.get_by_role("button", name=BARE)).to_have_attribute("aria-pressed", "true")
    assert (screen.shown(0), screen.shown(1)) == ("instance_probability 117", "")
    screen.choose(1, ATTENTION)
    until(lambda: screen.shown(1) == "attention 117")
    second.locator('[data-part="least"]').press("End")
    until(lambda: screen.shown(1) == "attention 1")
    assert screen.shown(0) == "instance_probability 117"
    expect(second.locator('[data-part="caution"]')).to_contain_text(SLIDE_MAPS["attention"].caution)
    expect(second.locator('[data-part="high"]')).to_have_text("8 or more")
    assert SLIDE_MAPS["attention"].caution not in screen.panes.nth(0).inner_text()
    screen.press("l")  # the next count is four
    expect(screen.panes).to_have_count(4)
    expect(screen.root.locator(".ms-pane[data-ready=yes]")).to_have_count(3)
    screen.page.mouse.click(*screen.middle(2))
    screen.page.keyboard.press("m")
    until(lambda: screen.shown(2) == "instance_probability 117")
    assert (screen.shown(0), screen.shown(1)) == ("instance_probability 117", "attention 1")
    for pane in screen.panes.all():
        for part, words in [("who", f"p-8 › planted · {NOTICE}"), ("power", "x · 0.5 µm/px")]:
            expect(pane.locator(f'[data-part="{part}"]')).to_contain_text(words)
        bar = pane.locator('[data-part="ruler"]').bounding_box()
        first = screen.panes.first.locator('[data-part="ruler"]').bounding_box()
        assert bar is not None
        assert first is not None
        assert bar["width"] == pytest.approx(first["width"])
    expect(second.locator('[data-part="who"]')).to_contain_text("Attention, planted bbbbbbbbbbbb")
    before = screen.pictures()
    screen.press("d")
    for at, across in [(0, -60), (0, 60), (1, 90)]:  # a click in another pane draws nothing
        x, y = screen.middle(at)
        screen.page.mouse.click(x + across, y, delay=30)
        screen.page.wait_for_timeout(450)
    screen.press("Enter")
    assert (screen.root.get_attribute("data-measured") or "").endswith("µm")
    number = float((screen.root.get_attribute("data-measured") or "").split()[0])
    assert number == pytest.approx(120 * MPP / screen.zoom, rel=0.02)
    for was, now in zip(before, screen.pictures(), strict=True):
        assert (was != now).any(-1).sum() > 120  # the line and its length, in each
    screen.keep("maps")
    assert screen.sent == sent


def test_back_to_one_pane_leaves_one_viewer_and_the_magnification(screen: Panes) -> None:
    viewers = screen.page.evaluate(VIEWERS)
    canvases = screen.root.evaluate(CANVASES)
    screen.page.evaluate(COUNT_WEBGL)
    sent = screen.sent
    screen.press("4")
    screen.settle()
    zoom = screen.zoom
    for count in (2, 4, 2):
        screen.open(count)
        assert [screen.zoom, *screen.zooms] == pytest.approx([zoom] * count, rel=1e-6)
    assert screen.page.evaluate(VIEWERS) == viewers + 1
    screen.press("0")
    screen.settle()
    screen.open(4)
    left, top, right, bottom = screen.box(0)
    whole = min((right - left) / WIDTH, (bottom - top) / HEIGHT)
    assert [screen.zoom, *screen.zooms] == pytest.approx([whole] * 4, rel=0.01)
    screen.press("l", "l", "l", "l")  # closed while they open
    screen.settle()
    expect(screen.panes).to_have_count(1)
    until(lambda: screen.page.evaluate(VIEWERS) == viewers)
    assert screen.root.evaluate(CANVASES) == canvases
    assert screen.page.evaluate("() => window.webgl") == 0
    left, top, right, bottom = screen.box(0)
    whole = min((right - left) / WIDTH, (bottom - top) / HEIGHT)
    assert screen.zoom == pytest.approx(whole, rel=0.01)
    assert screen.sent == sent

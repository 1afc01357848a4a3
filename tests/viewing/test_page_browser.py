"""The page in a real Chromium, served on loopback by the command of `medconsist view`."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from medconsist.results.store import ResultStore
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.reading import Reading, open_reading
from medconsist.viewing.slide_maps import draw_slide_map, slide_map
from medconsist.viewing.slide_reading import marked, open_slide_reading
from medconsist.viewing.trust_maps import draw_map, style_of
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.viewing.windowing import to_uint8
from tests.viewing.conftest import REASON, network_second
from tests.viewing.served import Watched, served
from tests.viewing.slides import embed_small, predict_small

pytestmark = pytest.mark.browser

WriteResult = Any
WAIT_MS = 20_000


@pytest.fixture(scope="module")
def root(write_result: WriteResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("page") / "results"
    write_result(folder, "scan-1")
    write_result(folder, "scan-2", fields={"patient": "p-9"})
    network = network_second()
    network["fields"]["patient"] = "p-99"
    write_result(folder, "scan-3", **network)
    embed_small(folder)
    embed_small(folder, "asked", case="asked")
    predict_small(folder, "asked")
    return folder


@pytest.fixture(scope="module")
def address(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with served(ViewerSettings(results=root), log) as address:
        yield address


@pytest.fixture(scope="module")
def first_screen(browser: Browser, address: str) -> Iterator[Watched]:
    """The page as it opens, for tests that only look."""
    watched = open_page(browser, address)
    yield watched
    watched.page.close()


@pytest.fixture
def watched(browser: Browser, address: str) -> Iterator[Watched]:
    """A page of its own, for tests that press keys."""
    watched = open_page(browser, address)
    yield watched
    watched.page.close()


def open_page(browser: Browser, address: str, case: str = "scan-1") -> Watched:
    watched = open_case(browser, f"{address}/?study=brain&case={case}")
    for title in ("Zero-filled", "Not determined by the data"):
        expect(pane(watched.page, f"{title}, slice 2")).to_be_visible(timeout=WAIT_MS)
    return watched


def open_case(browser: Browser, link: str) -> Watched:
    """Open a case by its link, as still pictures."""
    watched = Watched(browser.new_page(viewport={"width": 1600, "height": 1100}))
    watched.page.goto(link)
    watched.page.get_by_text("Still pictures", exact=True).click(timeout=WAIT_MS)
    return watched


def pane(page: Page, alt: str) -> Locator:
    return page.get_by_alt_text(alt, exact=True)


def pixels(watched: Watched, alt: str) -> np.ndarray:
    """Download what the browser shows, as an array."""
    shown = pane(watched.page, alt)
    expect(shown).to_be_visible(timeout=WAIT_MS)
    answer = watched.page.request.get(str(shown.evaluate("image => image.src")))
    return np.asarray(Image.open(io.BytesIO(answer.body())))


def reading(root: Path) -> Reading:
    return open_reading(ResultStore(root, "brain").read("scan-1"))


def volume(root: Path, role: str) -> np.ndarray:
    shown = reading(root)
    values = {**shown.images, **shown.maps}[role].values
    assert values is not None
    return values


def test_the_page_asks_nobody_else_and_has_no_error(first_screen: Watched, address: str) -> None:
    own = (address, address.replace("http", "ws"), "data:", f"blob:{address}")
    assert [url for url in first_screen.requests if not url.startswith(own)] == []
    assert first_screen.errors == []
    assert first_screen.page.get_by_text(NOTICE).count() >= 1


@pytest.mark.parametrize(
    ("role", "title"),
    [
        ("zerofilled", "Zero-filled"),
        ("reconstruction", "Reconstruction"),
        ("reference", "Reference"),
    ],
)
def test_the_asymmetric_phantom_is_drawn_in_place(
    first_screen: Watched, root: Path, role: str, title: str
) -> None:
    shown = reading(root)
    window = shown.presets["Auto"].window(shown.white)
    expected = to_uint8(volume(root, role)[1], window)
    drawn = pixels(first_screen, f"{title}, slice 2")
    assert (drawn == expected).all()
    for changed in (expected[::-1], expected[:, ::-1], np.roll(expected, 1, 1)):
        assert (changed != expected).any()  # the phantom can tell


def test_the_browser_shows_every_pane_upright_and_in_proportion(first_screen: Watched) -> None:
    shown = pane(first_screen.page, "Reference, slice 2")
    box = shown.bounding_box()
    assert box is not None
    # The browser rounds both sides of a picture of 48 rows and 40 columns to its own grid.
    assert box["height"] / box["width"] == pytest.approx(48 / 40, rel=0.01)
    assert shown.evaluate("image => getComputedStyle(image).transform") == "none"


def test_another_slice_is_reached_by_keyboard(watched: Watched, root: Path) -> None:
    watched.page.get_by_role("slider", name="Slice, 1 to 3").focus()
    watched.page.keyboard.press("ArrowRight")
    shown = reading(root)
    window = shown.presets["Auto"].window(shown.white)
    drawn = pixels(watched, "Reconstruction, slice 3")
    assert (drawn == to_uint8(volume(root, "reconstruction")[2], window)).all()


def test_opacity_changes_the_overlay_and_nothing_else(watched: Watched, root: Path) -> None:
    before = pixels(watched, "Reconstruction, slice 2")
    source = pane(watched.page, "Not determined by the data, slice 2").evaluate("i => i.src")
    watched.page.get_by_role("slider", name="Opacity [%]").focus()
    watched.page.keyboard.press("End")
    watched.page.wait_for_function(
        "([alt, old]) => document.querySelector(`img[alt='${alt}']`).src !== old",
        arg=["Not determined by the data, slice 2", source],
    )
    shown, style = reading(root), style_of("not_determined")
    scale = style.scale(shown.white)
    expected = draw_map(
        before,
        volume(root, "not_determined")[1],
        scale,
        opacity=1.0,
        show_from=style.show_from * scale.high,
    )
    assert (pixels(watched, "Not determined by the data, slice 2") == expected).all()
    assert (pixels(watched, "Reconstruction, slice 2") == before).all()


def test_another_case_is_reached_by_keyboard(watched: Watched) -> None:
    watched.page.keyboard.press("n")
    expect(watched.page.get_by_role("heading", name="p-9 › scan-2")).to_be_visible(timeout=WAIT_MS)
    assert watched.errors == []


def test_a_network_stands_second_with_its_label_and_the_reason(
    browser: Browser, address: str, root: Path
) -> None:
    watched = open_page(browser, address, "scan-3")
    expect(watched.page.locator(".mc-order")).to_have_text(REASON, timeout=WAIT_MS)
    expect(watched.page.get_by_text("cirim: simulation-trained")).to_be_visible()
    shown = open_reading(ResultStore(root, "brain").read("scan-3"))
    values = shown.images["cirim"].values
    assert values is not None
    window = shown.presets["Auto"].window(shown.white)
    drawn = pixels(watched, "CIRIM (simulation-trained), slice 2")
    assert (drawn == to_uint8(values[1], window)).all()
    assert watched.errors == []
    watched.page.close()


def test_small_text_has_a_contrast_of_four_and_a_half_to_one(first_screen: Watched) -> None:
    found = first_screen.page.evaluate(
        """() => [...document.querySelectorAll(`.stMain .mc-pane span, .stMain .mc-small,
            .stMain .mc-badge, .stMain .mc-notice, .stMain .mc-table *, .stMain .mc-card *,
            .stMain .mc-trust *`)]
            .map(e => getComputedStyle(e).color.match(/\\d+/g).slice(0, 3).map(Number))"""
    )
    background = np.array([11, 13, 16])
    assert len(found) > 20
    assert min(contrast(np.array(colour), background) for colour in found) >= 4.5


def test_a_fold_of_the_panel_is_reached_and_opened_by_keyboard(watched: Watched) -> None:
    panel = watched.page.get_by_role("region", name="Trust panel")
    line = panel.get_by_text("Error on withheld samples: 1.31 sigma^2, expected 1 sigma^2")
    details = panel.get_by_text("How well the image predicts samples that it never saw.")
    expect(details).to_be_hidden()
    assert panel.locator("details[open]").count() == 0
    panel.locator("summary").first.focus()
    for _ in range(panel.locator("summary").count()):
        if line.evaluate("line => line.contains(document.activeElement)"):
            break
        watched.page.keyboard.press("Tab")
    watched.page.keyboard.press("Enter")
    expect(details).to_be_visible()
    assert watched.errors == []


def contrast(text: np.ndarray, background: np.ndarray) -> float:
    """Contrast ratio of WCAG 2.2."""
    light = [luminance(colour) + 0.05 for colour in (text, background)]
    return float(max(light) / min(light))


def luminance(colour: np.ndarray) -> float:
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


@pytest.fixture
def slide_page(browser: Browser, address: str) -> Iterator[Watched]:
    """The page of a slide, of a study of its own."""
    watched = open_case(browser, f"{address}/?study=wsi&case=biopsy")
    for title in ("Overview", "Regions", "Feature colours"):
        expect(pane(watched.page, f"{title} of the slide")).to_be_visible(timeout=WAIT_MS)
    yield watched
    watched.page.close()


def test_a_slide_is_drawn_pixel_for_pixel_and_asks_nobody_else(
    slide_page: Watched, root: Path, address: str
) -> None:
    shown = open_slide_reading(ResultStore(root, "wsi").read("biopsy"))
    assert shown.overview is not None
    assert (pixels(slide_page, "Overview of the slide") == shown.overview).all()
    for changed in (shown.overview[::-1], shown.overview[:, ::-1]):
        assert (changed != shown.overview).any()  # the tissue can tell
    drawn = pixels(slide_page, "Regions of the slide")
    assert (drawn == marked(shown.overview, shown.regions)).all()
    colours = pixels(slide_page, "Feature colours of the slide")
    assert (colours == shown.maps["feature_colours"]).all()
    box = pane(slide_page.page, "Overview of the slide").bounding_box()
    assert box is not None
    # The browser rounds both sides of the picture to its own grid.
    assert box["height"] / box["width"] == pytest.approx(896 / 1024, rel=0.01)
    own = (address, address.replace("http", "ws"), "data:", f"blob:{address}")
    assert [url for url in slide_page.requests if not url.startswith(own)] == []
    assert slide_page.errors == []
    assert slide_page.page.get_by_text(NOTICE).count() >= 1
    expect(slide_page.page.get_by_text("simulated, not a person")).to_be_visible()


def test_a_region_of_a_slide_is_switched_off(slide_page: Watched, root: Path) -> None:
    shown = open_slide_reading(ResultStore(root, "wsi").read("biopsy"))
    assert shown.overview is not None
    source = pane(slide_page.page, "Regions of the slide").evaluate("image => image.src")
    slide_page.page.get_by_role("checkbox", name="Pen").focus()
    slide_page.page.keyboard.press("Space")
    slide_page.page.wait_for_function(
        "([alt, old]) => document.querySelector(`img[alt='${alt}']`).src !== old",
        arg=["Regions of the slide", source],
    )
    left = {role: mask for role, mask in shown.regions.items() if role != "pen"}
    drawn = pixels(slide_page, "Regions of the slide")
    assert (drawn == marked(shown.overview, left)).all()
    assert slide_page.errors == []


def test_a_map_of_a_prediction_is_drawn_pixel_for_pixel_and_chosen_by_keyboard(
    browser: Browser, address: str, root: Path
) -> None:
    watched = open_case(browser, f"{address}/?study=wsi&case=asked")
    shown = open_slide_reading(ResultStore(root, "wsi").read("asked"))
    assert shown.overview is not None

    def expected(role: str, opacity: float) -> np.ndarray:
        assert shown.overview is not None
        style, values = slide_map(role), shown.grids[role]
        return draw_slide_map(shown.overview, values, style, opacity=opacity)

    first = pixels(watched, "Tile probability: tumour of the slide")
    assert (first == expected("instance_probability", 0.7)).all()
    watched.page.get_by_role("combobox", name="Map").focus()
    watched.page.keyboard.type("Attention")
    watched.page.keyboard.press("Enter")
    second = pixels(watched, "Attention of the slide")
    assert (second == expected("attention", 0.7)).all()
    assert (first != second).any()
    expect(pane(watched.page, "Highest tiles")).to_be_visible()
    own = (address, address.replace("http", "ws"), "data:", f"blob:{address}")
    assert [url for url in watched.requests if not url.startswith(own)] == []
    assert watched.errors == []
    watched.page.close()

"""The signal screen in a real Chromium: what is drawn is as large, and where, as it is said."""

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from medconsist.timeseries.readers.choice import open_recording
from medconsist.viewing.markup import NOTICE
from medconsist.viewing.web.settings import ViewerSettings
from tests.viewing.served import Watched, at_rest, served
from tests.viewing.signal_results import (
    EVENT_LONG_S,
    EVENT_S,
    FIRST_R_S,
    RR_S,
    planted_ecg,
    write_signals,
)

pytestmark = pytest.mark.browser

WAIT_MS = 30_000
MM = 96 / 25.4  # pixels, until a screen is calibrated
LEFT = 15  # mm before the traces of the paper
RHYTHM = 145  # mm from above: the middle of the rhythm strip
EEG = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T3", "C3", "Cz"),
    *("C4", "T4", "T5", "P3", "Pz", "P4", "T6", "O1", "O2"),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals") / "results"
    write_signals(folder)
    write_signals(folder, "unknown", unit=None)
    write_signals(folder, "two", signals=[planted_ecg(), planted_ecg(20)])
    time = np.arange(5000) / 250
    waves = 30 * np.sin(2 * np.pi * 10 * time)[:, None] * np.linspace(1, 2, 19)
    eeg = waves.astype(np.float32)
    write_signals(folder, "eeg", signals=[eeg], leads=EEG, unit="uV", rate=250.0)
    return folder


@pytest.fixture(scope="module")
def address(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with served(ViewerSettings(results=root), log) as address:
        yield address


class Sheet:
    """The widget of a page, and what it has drawn."""

    def __init__(self, browser: Browser, address: str, case: str = "ecg-1") -> None:
        page = browser.new_page(viewport={"width": 1600, "height": 1100})
        self.page: Page = page
        self.watched = Watched(page)
        self.sent: list[Any] = []
        page.on("websocket", self._listen)
        page.goto(f"{address}/?study=signals&case={case}")
        self.root: Locator = page.locator(".signal")
        self.ready()

    def _listen(self, channel: Any) -> None:
        channel.on("framesent", lambda frame: self.sent.append(frame))

    def ready(self) -> None:
        self.page.locator('.signal[data-ready="true"]').wait_for(timeout=WAIT_MS)
        self.root.evaluate("() => new Promise((r) => setTimeout(r, 60))")  # a frame is drawn

    def said(self, name: str) -> str:
        return str(self.root.get_attribute(f"data-{name}"))

    def part(self, name: str) -> Locator:
        return self.root.locator(f'[data-part="{name}"]')

    def press(self, *keys: str) -> None:
        for key in keys:
            self.root.press(key)
        self.ready()

    def pixels(self, name: str = "sheet") -> np.ndarray:
        """What is on a canvas, red green blue."""
        url = self.part(name).evaluate("canvas => canvas.toDataURL()")
        picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        return np.asarray(picture.convert("RGB")).astype(int)

    def close(self, root: str) -> None:
        own = (root, root.replace("http", "ws"), "data:", f"blob:{root}")
        assert [url for url in self.watched.requests if not url.startswith(own)] == []
        assert self.watched.errors == []
        self.page.close()


@pytest.fixture
def sheet(browser: Browser, address: str) -> Iterator[Sheet]:
    sheet = Sheet(browser, address)
    yield sheet
    sheet.close(address)


def ink(pixels: np.ndarray) -> np.ndarray:
    """Where a trace is: brighter than any line of the grid."""
    return pixels.min(axis=2) > 150


def thick_lines(row: np.ndarray) -> np.ndarray:
    """Where the thick lines of the grid cross a row of pixels."""
    return np.flatnonzero(row[:, 0] > 70).astype(float)


def heights(pixels: np.ndarray, *, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """Return the highest inked pixel of each column of a part of the sheet, NaN for none."""
    seen = ink(pixels)[rows[0] : rows[1], columns[0] : columns[1]]
    return np.where(seen.any(axis=0), seen.argmax(axis=0) + rows[0], np.nan)


def px(mm: float) -> int:
    return round(mm * MM)


def test_twenty_five_millimetres_of_grid_are_that_before_and_after_calibration(
    sheet: Sheet,
) -> None:
    for pixels_a_mm in (MM, 360 / 85.6):
        assert float(sheet.said("mm")) == pytest.approx(pixels_a_mm)
        found = thick_lines(sheet.pixels()[2])
        assert len(found) > 40
        assert np.diff(found[::5]) == pytest.approx(25 * pixels_a_mm, abs=1)  # a pixel
        assert found[40] - found[0] == pytest.approx(200 * pixels_a_mm, abs=1)
        ruler = sheet.part("ruler").bounding_box()
        assert ruler is not None
        assert ruler["width"] == pytest.approx(50 * pixels_a_mm, abs=0.1)
        sheet.page.get_by_role("button", name="Calibrate").click()
        sheet.page.get_by_role("slider", name="Width of the card [px]").fill("360")
        sheet.page.get_by_role("button", name="Keep").click()
        sheet.ready()
    expect(sheet.part("scale")).to_contain_text("calibrated on this screen")


def test_a_millivolt_is_ten_millimetres_and_a_second_twenty_five(sheet: Sheet) -> None:
    for gain, keys in ((10, ()), (20, ("+",)), (5, ("-", "-"))):
        sheet.press(*keys)
        column = px(LEFT + 1), px(LEFT + 50)
        # the name of the lead lies above its left end
        found = heights(sheet.pixels(), rows=(0, px(35)), columns=column)
        found[: px(8)] = np.nan
        base = np.nanmax(found)
        assert base == pytest.approx(25 * MM, abs=1)
        top = found < base - gain * MM / 2
        assert base - np.nanmedian(found[top]) == pytest.approx(gain * MM, abs=1)
        rising = np.flatnonzero(np.diff(top.astype(int)) == 1)
        assert len(rising) == 2  # a pulse each second
        assert np.diff(rising) == pytest.approx(25 * MM, abs=1)


def test_the_calibration_pulse_is_as_high_as_the_gain(sheet: Sheet) -> None:
    for gain, keys in ((10, ()), (20, ("+",)), (5, ("-", "-"))):
        sheet.press(*keys)
        found = heights(sheet.pixels(), rows=(px(RHYTHM - 23), px(RHYTHM + 3)), columns=(0, px(13)))
        assert np.nanmax(found) - np.nanmin(found) == pytest.approx(gain * MM, abs=1)
        top = np.flatnonzero(found == np.nanmin(found))
        assert top[-1] - top[0] == pytest.approx(0.2 * 25 * MM, abs=2)  # two edges


def at_rhythm(sheet: Sheet, seconds: float, *, row: float = RHYTHM) -> tuple[float, float]:
    box = sheet.part("sheet").bounding_box()
    assert box is not None
    x = (LEFT + (seconds - float(sheet.said("start"))) * float(sheet.said("speed"))) * MM
    return box["x"] + x, box["y"] + row * MM


def drag(sheet: Sheet, start: tuple[float, float], stop: tuple[float, float]) -> None:
    sheet.page.mouse.move(*start)
    sheet.page.mouse.down()
    sheet.page.mouse.move(*stop, steps=5)
    sheet.page.mouse.up()
    sheet.ready()


def test_calipers_over_two_beats_give_the_true_time_rate_and_height(
    sheet: Sheet, tmp_path: Path
) -> None:
    second = FIRST_R_S + RR_S
    start = at_rhythm(sheet, FIRST_R_S + 0.02, row=105)  # lead III, its first two beats
    drag(sheet, start, at_rhythm(sheet, second - 0.02, row=95))
    ms, _ = map(float, sheet.said("caliper").split())
    assert ms == pytest.approx(760, abs=1000 / 25 / MM)  # a pixel
    sheet.press("s", "x", "s")
    ms, volts = map(float, sheet.said("caliper").split())
    assert ms == pytest.approx(1000 * RR_S, abs=0.01)
    assert volts == pytest.approx(0, abs=1e-3)  # both ends lie on a peak
    expect(sheet.part("measured")).to_contain_text("800.0 ms · 75.0 bpm")
    sheet.page.screenshot(path=tmp_path / "calipers.png")


def test_calipers_measure_a_pulse_of_a_millivolt_and_move_by_keys(sheet: Sheet) -> None:
    top, bottom = at_rhythm(sheet, 0.6, row=15), at_rhythm(sheet, 0.8, row=25)
    drag(sheet, bottom, top)
    ms, volts = map(float, sheet.said("caliper").split())
    assert volts == pytest.approx(1.0, abs=0.1 / MM)  # a pixel
    sheet.press("ArrowRight", "ArrowUp")
    moved = list(map(float, sheet.said("caliper").split()))
    assert moved[0] == pytest.approx(ms - 2, abs=0.01)  # a sample of 500 Hz
    assert moved[1] == pytest.approx(volts + 0.01, abs=1e-4)  # 0.1 mm
    sheet.press("Escape")
    assert sheet.said("caliper") == ""
    sheet.press("c")
    assert sheet.said("caliper") != ""


@pytest.mark.parametrize("keys", [(), ("]",), ("[",)])
def test_a_planted_event_and_the_mark_of_its_window_are_one_place(
    sheet: Sheet, keys: tuple[str, ...]
) -> None:
    sheet.press(*keys)
    speed = float(sheet.said("speed"))
    for start in (0.0, 2.0):
        if start:
            sheet.press("ArrowRight", "ArrowRight")
        left = px(LEFT) + 2
        shown = sheet.pixels()
        found = heights(
            shown, rows=(px(RHYTHM - 9), px(RHYTHM) + 3), columns=(left, shown.shape[1])
        )
        raised = np.flatnonzero(found < (RHYTHM - 3) * MM)
        strip = sheet.pixels("strip")
        yellow = np.flatnonzero((strip[5, left:, 0] > 200) & (strip[5, left:, 2] < 120))
        for edge in (0, -1):
            assert raised[edge] == pytest.approx(yellow[edge], abs=2)
        begin = (LEFT + (EVENT_S - float(sheet.said("start"))) * speed) * MM - left
        assert yellow[0] == pytest.approx(begin, abs=2)
        assert len(yellow) == pytest.approx(EVENT_LONG_S * speed * MM, abs=2)


def test_scrolling_speed_and_gain_do_not_run_the_page_again(sheet: Sheet) -> None:
    sheet.page.wait_for_timeout(500)
    before = len(sheet.sent)
    sheet.press("ArrowRight", "ArrowRight", "+", "]", "l", "w")
    box = sheet.part("overview").bounding_box()
    assert box is not None
    sheet.page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 9)
    sheet.page.mouse.wheel(0, -100)
    sheet.ready()
    assert float(sheet.said("start")) > 2
    assert (sheet.said("speed"), sheet.said("gain"), sheet.said("layout")) == ("50", "20", "rows")
    assert len(sheet.sent) == before


def test_without_a_unit_there_is_no_scale_and_it_is_said(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    sheet = Sheet(browser, address, "unknown")
    expect(sheet.part("warn")).to_contain_text("No voltage scale")
    expect(sheet.part("scale")).to_contain_text("no voltage scale")
    assert sheet.page.get_by_label("Gain").count() == 0
    pixels = sheet.pixels()
    assert not ink(pixels)[:, : px(LEFT) - 2].any()  # no calibration pulse
    level = (pixels[:, px(LEFT) // 2, 0] > 70).mean()
    assert level in (0.0, 1.0)  # no horizontal line crosses the margin
    drag(sheet, at_rhythm(sheet, 1.0), at_rhythm(sheet, 2.0))
    expect(sheet.part("measured")).to_contain_text("no mV: unit unknown")
    expect(sheet.page.get_by_text("voltage unit unknown", exact=True)).to_be_visible()
    sheet.page.screenshot(path=tmp_path / "unknown.png")
    sheet.close(address)


def test_an_eeg_has_microvolts_negative_up_montages_and_filters(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    sheet = Sheet(browser, address, "eeg")
    expect(sheet.part("scale")).to_contain_text("30 mm/s · 7 µV/mm, negative up · filter: none")
    before = sheet.pixels()
    sheet.page.get_by_label("Montage").select_option("double-banana")
    sheet.ready()
    expect(sheet.part("what")).to_contain_text("bipolar, longitudinal")
    assert (sheet.pixels()[: before.shape[0]].shape != before.shape) or (
        sheet.pixels() != before
    ).any()
    for montage in ("average", "laplacian"):
        sheet.page.get_by_label("Montage").select_option(montage)
        sheet.ready()
    sheet.page.get_by_label("Low-pass").select_option("40")
    sheet.page.get_by_label("Notch").select_option("50")
    sheet.ready()
    expect(sheet.part("scale")).to_contain_text("low-pass 40 Hz, notch 50 Hz, zero phase")
    expect(sheet.part("warn")).to_be_hidden()
    sheet.page.screenshot(path=tmp_path / "eeg.png")
    sheet.close(address)


def test_intervals_are_marked_as_automatic_and_unchecked(sheet: Sheet) -> None:
    said = sheet.part("intervals")
    sheet.page.get_by_role("button", name="QT (automatic)").click()
    expect(said).to_contain_text("RR 800 ms (75 bpm", timeout=WAIT_MS)
    for name in ("Bazett", "Fridericia"):
        expect(said).to_contain_text(name)
    sheet.press("q")
    expect(said).to_have_text("")


def test_a_place_is_committed_and_waits_for_its_comment(sheet: Sheet) -> None:
    sheet.page.mouse.dblclick(*at_rhythm(sheet, 3.0))
    waiting = sheet.page.get_by_text(re.compile(r"New comment at (2\.99|3)\S* s to .*, lead II\."))
    expect(waiting).to_be_attached(timeout=WAIT_MS)


def test_a_filed_comment_hangs_at_its_time_and_one_goes_back_there(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    sheet = Sheet(browser, address, "two")
    sheet.press(".")
    sheet.press("End")
    there = float(sheet.said("start"))
    before = sheet.pixels()
    sheet.page.mouse.dblclick(*at_rhythm(sheet, there + 4))
    expect(sheet.page.get_by_text(re.compile("New comment at"))).to_be_attached(timeout=WAIT_MS)
    field = sheet.page.get_by_label("New comment")
    if not field.is_visible() or field.evaluate("one => Boolean(one.closest('[inert]'))"):
        sheet.page.get_by_text(re.compile("Comments and shapes")).click()
    field.fill("pause?")
    at_rest(sheet.page.get_by_role("button", name="File comment")).click()
    go = sheet.page.get_by_role("button", name="Go there")
    expect(go).to_be_visible(timeout=WAIT_MS)
    sheet.ready()
    changed = (sheet.pixels() != before).any(axis=2)
    column = px(LEFT + 4 * 25)  # in the row of the rhythm strip
    assert changed[px(RHYTHM - 15) : px(RHYTHM + 15), column - 2 : column + 3].any()
    sheet.page.screenshot(path=tmp_path / "pin.png")
    sheet.press("Home")
    assert float(sheet.said("start")) == 0
    go.click()
    expect(sheet.root).not_to_have_attribute("data-start", "0", timeout=WAIT_MS)
    expect(sheet.part("what")).to_contain_text("recording 2 of 2")
    sheet.close(address)


def test_every_recording_of_a_case_is_reached_and_named(browser: Browser, address: str) -> None:
    sheet = Sheet(browser, address, "two")
    expect(sheet.part("what")).to_contain_text("recording 1 of 2")
    sheet.press(".")
    expect(sheet.part("what")).to_contain_text("recording 2 of 2")
    expect(sheet.part("scale")).to_contain_text("of 20.00 s")
    expect(sheet.part("title")).to_have_text("p-3 › two")
    expect(sheet.part("notice")).to_have_text(NOTICE)
    sheet.press("?")
    expect(sheet.part("keys")).to_contain_text("automatic and unchecked")
    sheet.close(address)


def test_what_the_model_says_is_beside_the_traces_without_names_of_others(sheet: Sheet) -> None:
    sheet.page.get_by_text("Nearest trials of other patients (3)").click()
    said = sheet.page.locator(".stApp").inner_text()
    for part in (
        "0.610 to 0.930",
        "Cannot assess",
        "patient A",
        "Nearest trials of other patients",
    ):
        assert part in said
    assert "secret" not in said
    sheet.page.get_by_text("Still pictures").first.click()
    expect(sheet.page.get_by_text("Traces are stored and not drawn")).to_be_visible(timeout=WAIT_MS)
    assert "secret" not in sheet.page.locator(".stApp").inner_text()


def test_until_an_impression_is_filed_there_is_nothing_of_the_model(
    browser: Browser, root: Path, tmp_path: Path
) -> None:
    settings = ViewerSettings(
        results=root, database=str(tmp_path / "review.db"), impressions="first"
    )
    with served(settings, tmp_path / "log.txt") as address:
        sheet = Sheet(browser, address)
        assert sheet.part("strip").is_hidden()
        assert sheet.part("legend").is_hidden()
        assert ink(sheet.pixels()).any()
        said = sheet.page.locator(".stApp").inner_text()
        for part in ("Probabilities", "0.800", "Nearest trials", "attention", "Cannot assess"):
            assert part not in said
        assert sheet.page.get_by_role("button", name="QT (automatic)").count() == 0
        sheet.page.screenshot(path=tmp_path / "sealed.png")
        sheet.close(address)


@pytest.mark.data
def test_a_real_ecg_is_drawn_on_paper(browser: Browser, data_dir: Path, tmp_path: Path) -> None:
    recording = open_recording(data_dir / "timeseries" / "wfdb_sample" / "s0010_re.hea")
    info = recording.info
    write_signals(
        tmp_path / "results",
        "s0010",
        signals=[recording.read()],
        leads=info.channels,
        unit=info.units[0],
        rate=info.rate,
    )
    with served(ViewerSettings(results=tmp_path / "results"), tmp_path / "log.txt") as address:
        sheet = Sheet(browser, address, "s0010")
        assert sheet.said("layout") == "paper"
        sheet.press("q")
        expect(sheet.part("intervals")).to_contain_text("Automatic, unchecked", timeout=WAIT_MS)
        assert ink(sheet.pixels()).mean() > 0.005
        sheet.page.screenshot(path=tmp_path / "real.png")
        sheet.close(address)

"""Events on the traces in a real Chromium: marked, moved, deleted, and there when opened again."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, expect

from medconsist.review.database import Database, sqlite_url
from medconsist.review.entries import newest
from medconsist.review.store import ReviewStore
from medconsist.review.verify import verify
from medconsist.viewing.signal_events import event_of
from medconsist.viewing.web.server import local_person
from medconsist.viewing.web.settings import ViewerSettings
from tests.viewing.served import at_rest, served
from tests.viewing.signal_results import FIRST_R_S, RATE, RR_S, write_signals
from tests.viewing.test_signal_browser import (
    EEG,
    LEFT,
    MM,
    WAIT_MS,
    Sheet,
    at_rhythm,
    drag,
)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("events") / "results"
    write_signals(folder)
    time = np.arange(5000) / 250
    eeg = (30 * np.sin(2 * np.pi * 10 * time))[:, None] * np.ones((1, 19))
    eeg = eeg.astype(np.float32)
    write_signals(folder, "eeg", signals=[eeg], leads=EEG, unit="uV", rate=250.0)
    write_signals(folder, "short", signals=[eeg[:1000]], leads=EEG, unit="uV", rate=250.0)
    return folder


@pytest.fixture(scope="module")
def address(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with served(ViewerSettings(results=root), log) as address:
        yield address


def filed(root: Path, case: str) -> list[tuple[str, tuple[float, float], str | None]]:
    """Label, times and lead of the events that count."""
    store = ReviewStore(Database(sqlite_url(root / "review.db")))
    thread = store.thread(local_person("look"), "signals", case, "annotation")
    found = [(getattr(one.body, "label", ""), event_of(one.body)) for one in newest(thread)]
    return [(label, event.at, event.lead) for label, event in found if event is not None]


def tags(sheet: Sheet) -> Locator:
    return sheet.root.locator(".event button")


def middle_of(tag: Locator) -> tuple[float, float]:
    box = tag.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_beat_is_marked_at_its_peak_moved_deleted_and_found_again(
    browser: Browser, address: str, root: Path, tmp_path: Path
) -> None:
    sheet = Sheet(browser, address)
    sheet.page.get_by_label("Event", exact=True).select_option("beat-ventricular")
    drag(sheet, at_rhythm(sheet, 0.5, row=105), at_rhythm(sheet, FIRST_R_S + RR_S - 0.02, row=95))
    sheet.press("s", "e")  # at the end of the calipers that lies on the second R
    expect(tags(sheet)).to_have_text(["V"], timeout=WAIT_MS)
    r = FIRST_R_S + RR_S
    ((label, at, lead),) = filed(root, "ecg-1")
    assert (label, at, lead) == ("beat-ventricular", (at[0], at[0]), "III")
    assert at[0] == pytest.approx(r, abs=1e-9)
    expect(sheet.part("event")).to_contain_text("Ventricular ectopic beat (1.200 s")
    sheet.press("Escape")
    box, bars = sheet.part("sheet").bounding_box(), sheet.root.locator(".event i")
    assert box is not None
    expect(bars).to_have_count(2)  # its own lead, and the line below the tag on the rhythm strip
    for bar in bars.all():
        drawn = bar.bounding_box()
        assert drawn is not None
        assert drawn["x"] - box["x"] == pytest.approx((LEFT + 25 * r) * MM, abs=1)
    expect(sheet.page.get_by_text("Comments and shapes (1)")).to_be_attached(timeout=WAIT_MS)
    sheet.page.screenshot(path=tmp_path / "marked.png")

    tags(sheet).focus()
    expect(sheet.part("event")).to_contain_text("← → move it")
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowLeft"):
        tags(sheet).press(key)
    expect(sheet.part("event")).to_contain_text("moved by 20.0 ms")
    assert len(filed(root, "ecg-1")) == 1
    assert filed(root, "ecg-1")[0][1][0] == pytest.approx(r)  # not filed yet
    tags(sheet).press("Enter")
    expect(sheet.part("event")).to_contain_text("1.220 s", timeout=WAIT_MS)
    expect(sheet.part("event")).not_to_contain_text("moved by", timeout=WAIT_MS)
    assert filed(root, "ecg-1")[0][1][0] == pytest.approx(r + 10 / RATE)
    expect(tags(sheet)).to_be_focused()  # and the next key is that of the event again

    x, y = middle_of(tags(sheet))
    drag(sheet, (x, y), (x + 25 * MM, y))  # a second
    expect(sheet.part("event")).to_contain_text(re.compile(r"2\.2[12]\d s"), timeout=WAIT_MS)
    expect(sheet.root.locator(".event.moved")).to_have_count(0, timeout=WAIT_MS)
    ((_, (moved_to, _), _),) = filed(root, "ecg-1")
    assert moved_to == pytest.approx(r + 10 / RATE + 1, abs=1 / 25 / MM)  # a pixel
    assert moved_to * RATE == pytest.approx(round(moved_to * RATE), abs=1e-6)  # a sample
    sheet.close(address)

    sheet = Sheet(browser, address)  # opened again
    expect(tags(sheet)).to_have_text(["V"], timeout=WAIT_MS)
    sheet.press("End", "g")
    expect(tags(sheet)).to_be_focused()
    tags(sheet).press("Delete")
    expect(tags(sheet)).to_have_count(0, timeout=WAIT_MS)
    expect(sheet.part("event")).to_contain_text("is deleted; the record keeps it")
    assert filed(root, "ecg-1") == []
    store = ReviewStore(Database(sqlite_url(root / "review.db")))
    assert len(store.thread(local_person("look"), "signals", "ecg-1", "annotation")) == 4
    assert verify(store.database).faults == ()
    sheet.close(address)


def test_a_span_of_an_eeg_is_drawn_over_its_time_and_gone_to_from_the_list(
    browser: Browser, address: str, root: Path, tmp_path: Path
) -> None:
    sheet = Sheet(browser, address, "eeg")
    sheet.page.get_by_label("Event", exact=True).select_option("seizure")
    sheet.press("c", "v", "v", "e")
    expect(tags(sheet)).to_have_text(["seizure"], timeout=WAIT_MS)
    ((label, (first, last), lead),) = filed(root, "eeg")
    assert (label, lead) == ("seizure", "F7")
    assert last > first
    expect(sheet.root.locator(".event i")).to_have_count(2)
    bar = sheet.root.locator(".event i.span").bounding_box()
    box = sheet.part("sheet").bounding_box()
    assert bar is not None
    assert box is not None
    row = (10 + 2.5 * 160 / 19) * MM  # the third of 19 rows, F7
    assert bar["y"] + bar["height"] / 2 - box["y"] == pytest.approx(row, abs=1)
    assert bar["width"] == pytest.approx((last - first) * 30 * MM, abs=1)
    sheet.page.get_by_label("Event", exact=True).select_option("spike")
    sheet.page.mouse.move(*at_rhythm(sheet, float(sheet.said("start")) + 1, row=60))
    sheet.press("Escape", "End")
    expect(tags(sheet)).to_have_count(0)
    sheet.press("e")  # where the pointer is on the page that is drawn now
    expect(tags(sheet)).to_have_text(["spike"], timeout=WAIT_MS)
    (spike,) = [at for label, at, _ in filed(root, "eeg") if label == "spike"]
    pointed = float(sheet.said("start")) + 25 / 30  # 25 mm from the left, at 30 mm a second
    assert spike[0] == pytest.approx(pointed, abs=2 / 30 / MM)
    sheet.page.screenshot(path=tmp_path / "eeg.png")
    opener = sheet.page.get_by_text("Comments and shapes (2)")
    expect(opener).to_be_attached(timeout=WAIT_MS)
    at_rest(opener).click()
    go = sheet.page.get_by_role("button", name="Go there")
    expect(go).to_have_count(2, timeout=WAIT_MS)  # the list is drawn from above, one by one
    expect(sheet.page.get_by_text("recording 1, lead F7")).to_be_visible()
    at_rest(go.last).click()  # the older one
    expect(tags(sheet)).to_have_text(["seizure"], timeout=WAIT_MS)
    sheet.page.screenshot(path=tmp_path / "listed.png")
    sheet.close(address)


def test_a_recording_shorter_than_its_sheet_is_marked_within_it(
    browser: Browser, address: str, root: Path
) -> None:
    sheet = Sheet(browser, address, "short")  # 4 s on paper of 9
    sheet.press("e")
    expect(tags(sheet)).to_have_count(1, timeout=WAIT_MS)
    sheet.page.mouse.move(*at_rhythm(sheet, 8, row=60))  # paper behind the end: the middle again
    sheet.press("c", "e")
    expect(tags(sheet)).to_have_count(2, timeout=WAIT_MS)
    (_, first, _), (_, second, _) = sorted(filed(root, "short"), key=lambda one: one[1])
    assert first == (2.0, 2.0)
    assert 2 < second[0] == second[1] <= 2.5  # the active end of the calipers in the middle
    sheet.press("Escape", "p")
    expect(sheet.page.get_by_text("New comment at")).to_be_attached(timeout=WAIT_MS)
    sheet.close(address)


def test_while_it_is_sealed_events_are_marked_and_are_ones_own(
    browser: Browser, root: Path, tmp_path: Path
) -> None:
    settings = ViewerSettings(
        results=root, database=str(tmp_path / "review.db"), impressions="first"
    )
    with served(settings, tmp_path / "log.txt") as address:
        sheet = Sheet(browser, address)
        assert sheet.part("strip").is_hidden()
        sheet.press("e")
        expect(tags(sheet)).to_have_text(["N"], timeout=WAIT_MS)
        sheet.close(address)


def test_without_a_review_store_no_event_is_marked_and_it_is_said(
    browser: Browser, root: Path, tmp_path: Path
) -> None:
    settings = ViewerSettings(results=root, database="none")
    with served(settings, tmp_path / "log.txt") as address:
        sheet = Sheet(browser, address)
        assert sheet.page.get_by_role("button", name="Mark event").count() == 0
        sheet.press("e")
        expect(sheet.part("event")).to_contain_text("mark none")
        expect(tags(sheet)).to_have_count(0)
        sheet.close(address)


def test_band_power_of_what_is_seen_is_asked_for_and_goes_away(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    sheet = Sheet(browser, address, "eeg")
    expect(sheet.part("bands")).to_be_hidden()
    sheet.press("b")
    row = sheet.part("bands").get_by_role("row", name=re.compile("^Fp1"))
    expect(row).to_contain_text("450 · 100.0 %", timeout=WAIT_MS)  # 30 µV at 10 Hz
    expect(sheet.part("bands").get_by_role("row")).to_have_count(20)
    expect(sheet.part("bands")).to_contain_text("Power from 0.00 to 9.3")
    row.scroll_into_view_if_needed()
    sheet.page.screenshot(path=tmp_path / "bands.png")
    sheet.press("b")
    expect(sheet.part("bands")).to_be_hidden()
    sheet.close(address)


def test_an_ecg_has_no_band_power(browser: Browser, address: str) -> None:
    sheet = Sheet(browser, address)
    sheet.press("b")
    expect(sheet.part("bands")).to_be_hidden()
    assert sheet.page.get_by_role("button", name="Band power").count() == 0
    sheet.close(address)

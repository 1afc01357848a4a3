"""The worklist in a real Chromium: filtered, sorted, read through by keys, in two windows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from medconsist.results.trust import TrustRecord
from medconsist.viewing.web.settings import ViewerSettings
from tests.viewing.served import Watched, served
from tests.viewing.worklist_cases import finish, many, score

pytestmark = pytest.mark.browser

WriteResult = Any
WAIT_MS = 30_000
# The time [ms] of every frame in which a pane names another case than the heading above it.
WATCH = """() => {
  window.mixed = [];
  const look = () => {
    const heading = document.querySelector("h1")?.innerText ?? "";
    for (const host of document.querySelectorAll("*"))
      for (const who of host.shadowRoot?.querySelectorAll(".who") ?? [])
        if (who.innerText !== heading && who.checkVisibility({ visibilityProperty: true }))
          window.mixed.push([who.innerText, heading]);
    requestAnimationFrame(look);
  };
  look();
}"""


@pytest.fixture(scope="module")
def root(write_result: WriteResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("worklist") / "results"
    trust = TrustRecord(scores=(score("outside", 0.02),))
    for number, patient in enumerate(["p-7", "p-9", "p-3"], start=1):
        fields = {"patient": patient, "trust": trust}
        write_result(folder, f"scan-{number}", minutes=-number, fields=fields, maps=())
    broken = finish(folder, "scan-4", patient="p-4", minutes=-9)
    file = folder / "brain" / "scan-4" / broken.key / "result.json"
    file.chmod(0o644)
    file.write_text("{")
    many(folder, 120, study="many")
    (folder / "brain" / "manifest.csv").write_text(
        "path,patient,case,site\na.h5,p-7,scan-1,south\nb.h5,p-9,scan-2,north\n"
    )
    return folder


@pytest.fixture(scope="module")
def address(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with served(ViewerSettings(results=root), log) as address:
        yield address


@pytest.fixture
def windows(browser: Browser) -> Iterator[list[Watched]]:
    """Windows that a test opened; each is closed, and none may have complained."""
    opened: list[Watched] = []
    yield opened
    for watched in opened:
        watched.page.close()
    assert [error for watched in opened for error in watched.errors] == []


def show(browser: Browser, windows: list[Watched], link: str) -> Page:
    watched = Watched(browser.new_page(viewport={"width": 1600, "height": 1000}))
    windows.append(watched)
    watched.page.goto(link)
    return watched.page


def rows(page: Page) -> Locator:
    return page.locator(".wl tbody tr:not(.why)")


def settled(page: Page, n_rows: int) -> list[str]:
    """Wait for so many rows; return the first cell of each."""
    expect(rows(page)).to_have_count(n_rows, timeout=WAIT_MS)
    return [line.splitlines()[0] for line in page.locator(".wl tbody a").all_inner_texts()]


def heading(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=WAIT_MS)


def test_a_reader_filters_sorts_opens_goes_on_by_key_and_comes_back(
    browser: Browser, address: str, windows: list[Watched], tmp_path: Path
) -> None:
    page = show(browser, windows, f"{address}/?study=brain")
    assert settled(page, 4) == ["p-7 › scan-1", "p-9 › scan-2", "p-3 › scan-3", "scan-4"]
    expect(page.locator(".wl .problem")).to_contain_text("Cannot be read: ")
    page.screenshot(path=tmp_path / "worklist.png")
    page.locator(".wl").evaluate("element => { element.mark = 1; }")

    page.get_by_label("Find").fill("p- scan")
    page.keyboard.press("Enter")
    assert settled(page, 3)[0] == "p-7 › scan-1"
    page.get_by_role("combobox", name="Sort by").focus()
    page.keyboard.type("Patient")
    page.keyboard.press("Enter")
    expect(rows(page).first).to_contain_text("p-3", timeout=WAIT_MS)
    assert settled(page, 3) == ["p-3 › scan-3", "p-7 › scan-1", "p-9 › scan-2"]
    assert page.locator(".wl").evaluate("element => element.mark") == 1  # updated, not made anew
    expect(page.locator(".wl th[aria-sort=ascending]")).to_have_text("Patient › case › item")
    asked = "study=brain&sort=patient&words=p-+scan"
    assert set(page.url.partition("?")[2].split("&")) == set(asked.split("&"))

    rows(page).nth(1).click()
    heading(page, "p-7 › scan-1")
    assert page.url.endswith("/?study=brain&case=scan-1")
    expect(page.get_by_role("button", name="Next case")).to_be_visible()
    page.evaluate(WATCH)
    page.keyboard.press("n")
    heading(page, "p-9 › scan-2")
    page.keyboard.press("n")
    expect(page.get_by_text("No case after this one in your list")).to_be_visible(timeout=WAIT_MS)
    page.keyboard.press("Shift+N")
    heading(page, "p-7 › scan-1")
    assert page.evaluate("window.mixed") == []
    page.wait_for_timeout(3000)  # for the picture alone
    page.screenshot(path=tmp_path / "case.png")

    page.get_by_role("button", name="← Worklist").click()
    assert settled(page, 3) == ["p-3 › scan-3", "p-7 › scan-1", "p-9 › scan-2"]
    expect(page.get_by_label("Find")).to_have_value("p- scan")
    assert set(page.url.partition("?")[2].split("&")) == set(asked.split("&"))
    own = (address, address.replace("http", "ws"), "data:", f"blob:{address}")
    assert [url for url in windows[0].requests if not url.startswith(own)] == []


def test_the_list_is_gone_through_and_opened_by_keyboard_alone(
    browser: Browser, address: str, windows: list[Watched]
) -> None:
    page = show(browser, windows, f"{address}/?study=brain&words=p-")
    settled(page, 3)
    link = rows(page).locator("a")
    expect(link.nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(link.nth(1)).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    heading(page, "p-9 › scan-2")
    page.go_back()
    settled(page, 3)
    expect(link.nth(1)).to_be_focused()


def test_many_cases_come_in_pages_and_the_way_back_leads_to_the_same_page(
    browser: Browser, address: str, windows: list[Watched]
) -> None:
    page = show(browser, windows, f"{address}/?study=many")
    first = settled(page, 50)
    page.get_by_role("button", name="3").click()
    last = settled(page, 20)
    assert set(first).isdisjoint(last)
    assert "page=3" in page.url


def test_a_second_window_sees_who_reads_and_takes_over_when_it_is_asked_to(
    browser: Browser, address: str, windows: list[Watched], tmp_path: Path
) -> None:
    first = show(browser, windows, f"{address}/?study=brain&case=scan-3")
    heading(first, "p-3 › scan-3")
    second = show(browser, windows, f"{address}/?study=brain&words=p-")
    settled(second, 3)
    expect(rows(second).filter(has_text="scan-3").locator("td").last).to_have_text("you")
    rows(second).filter(has_text="scan-3").click()
    heading(second, "p-3 › scan-3")
    expect(second.get_by_text("Read by you in another window now")).to_be_visible(timeout=WAIT_MS)
    second.screenshot(path=tmp_path / "look_only.png")
    second.get_by_role("button", name="Read it in this window").click()
    expect(second.get_by_text("Read by you in another window now")).to_have_count(
        0, timeout=WAIT_MS
    )

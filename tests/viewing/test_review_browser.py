"""A review in a real Chromium: filed, signed, amended, exported; and its server killed."""

import io
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pypdf
import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from medconsist._digests import sha256_of_bytes
from medconsist.review.chain import links
from medconsist.review.database import Database, sqlite_url
from medconsist.review.store import ReviewStore
from medconsist.review.verify import verify
from medconsist.viewing.launch import command
from medconsist.viewing.web.server import local_person
from medconsist.viewing.web.settings import ViewerSettings
from tests.viewing.served import Watched, free_port, served

pytestmark = pytest.mark.browser

WriteResult = Any
WAIT_MS = 40_000
READY_S = 60
SIGNED, AMENDED = re.compile("^Signed by "), re.compile("^Amended by ")
SIZE: ViewportSize = {"width": 1600, "height": 1200}


def store_of(root: Path) -> ReviewStore:
    return ReviewStore(Database(sqlite_url(root / "review.db")))


def states(root: Path, case: str) -> list[str]:
    found = store_of(root).thread(local_person("look"), "brain", case, "verdict")
    return [str(getattr(one.body, "state", "")) for one in found]


def opened(browser: Browser, address: str, case: str) -> Watched:
    watched = Watched(browser.new_page(viewport=SIZE))
    watched.page.goto(f"{address}/?study=brain&case={case}")
    expect(heading(watched.page)).to_be_visible(timeout=WAIT_MS)
    return watched


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", name="Review")


def press(page: Page, label: str) -> None:
    button = page.get_by_role("button", name=label, exact=True)
    expect(button).to_be_enabled(timeout=WAIT_MS)
    button.click()


def decide(page: Page | Locator, opinion: str) -> None:
    page.get_by_text(opinion, exact=True).last.click()


def begin_to_sign(page: Page) -> Locator:
    decide(page, "accept")
    press(page, "Sign …")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible(timeout=WAIT_MS)
    dialog.get_by_text("I have read this result").click()
    expect(dialog.get_by_role("button", name="Sign now")).to_be_enabled(timeout=WAIT_MS)
    return dialog


def kept(watched: Watched, folder: Path, name: str) -> None:
    """Keep a picture of the page with the artefacts of the test."""
    watched.page.screenshot(path=folder / f"{name}.png")


def test_a_review_is_filed_signed_amended_exported_and_found_again(
    browser: Browser, write_result: WriteResult, tmp_path: Path
) -> None:
    root = tmp_path / "results"
    result = write_result(root)
    with served(ViewerSettings(results=root), tmp_path / "log.txt") as address:
        watched = opened(browser, address, "scan-1")
        page = watched.page
        expect(page.get_by_text("not reviewed")).to_be_visible()
        kept(watched, tmp_path, "1-opened")
        decide(page, "accept with note")
        page.get_by_role("textbox", name="Comment", exact=True).fill("a shadow <i>left</i>")
        press(page, "Save draft")
        expect(page.get_by_text("Draft saved; only you see it.")).to_be_visible(timeout=WAIT_MS)
        press(page, "Sign …")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("p-7 › scan-1")).to_be_visible(timeout=WAIT_MS)
        whole = dialog.get_by_title(result.content_sha256)
        expect(whole).to_contain_text(result.content_sha256[:12])
        expect(dialog.get_by_role("button", name="Sign now")).to_be_disabled()
        dialog.get_by_text("I have read this result").click()
        kept(watched, tmp_path, "2-dialog")
        press(page, "Sign now")
        expect(page.get_by_text(SIGNED)).to_be_visible(timeout=WAIT_MS)
        expect(dialog).to_be_hidden()
        kept(watched, tmp_path, "3-signed")
        assert states(root, "scan-1") == ["draft", "signed"]
        first, again = download(page, "Report by"), download(page, "Report by")
        assert first == again
        text = "\n".join(one.extract_text() for one in pypdf.PdfReader(io.BytesIO(first)).pages)
        for said in ("accept with note", "a shadow <i>left</i>", result.content_sha256[:12]):
            assert said in text
        assert "Research use only" in text
        with store_of(root).database.reading() as connection:
            assert sha256_of_bytes(first) in str(list(links(connection)))
        kept(watched, tmp_path, "4-exported")
        page.reload()
        expect(heading(page)).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_text("signed by").first).to_be_visible(timeout=WAIT_MS)
        read_here(page)
        amend(page)
        assert states(root, "scan-1") == ["draft", "signed", "amended"]
        kept(watched, tmp_path, "5-amended")
        assert watched.errors == []
        own = (address, address.replace("http", "ws"), "data:", f"blob:{address}")
        assert [url for url in watched.requests if not url.startswith(own)] == []
        page.close()
    assert verify(store_of(root).database).faults == ()


def read_here(page: Page) -> None:
    """Bring the lock to this window, where the one before has not given it back yet."""
    expect(page.get_by_text("on the screen: sha256")).to_be_visible(timeout=WAIT_MS)
    here = page.get_by_role("button", name="Read it in this window")
    if here.count() > 0:
        here.click()
        expect(here).to_be_hidden(timeout=WAIT_MS)


def amend(page: Page) -> None:
    button = page.get_by_role("button", name="Amend that of")
    expect(button).to_be_enabled(timeout=WAIT_MS)
    button.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible(timeout=WAIT_MS)
    decide(dialog, "repeat")
    dialog.get_by_role("textbox", name="Why the signature is amended").fill("motion seen late")
    dialog.get_by_text("I have read this result").click()
    press(page, "Sign the amendment")
    expect(page.get_by_text(AMENDED)).to_be_visible(timeout=WAIT_MS)


def download(page: Page, label: str) -> bytes:
    expander = page.get_by_text("Export", exact=True)
    button = page.get_by_role("button", name=label).first
    if not button.is_visible():
        expander.click()
    button.click()
    given = page.get_by_role("button", name="Download scan-1-review.pdf")
    expect(given).to_be_visible(timeout=WAIT_MS)
    with page.expect_download(timeout=WAIT_MS) as coming:
        given.click()
    return Path(coming.value.path()).read_bytes()


def test_sealed_the_browser_gets_the_original_until_a_first_impression_is_filed(
    browser: Browser, write_result: WriteResult, tmp_path: Path
) -> None:
    root = tmp_path / "results"
    write_result(root)
    settings = ViewerSettings(results=root, impressions="first")
    with served(settings, tmp_path / "log.txt") as address:
        watched = opened(browser, address, "scan-1")
        page = watched.page
        expect(page.get_by_text("Sealed: what the model says").first).to_be_visible()
        image = re.compile("Reconstruction")  # not the kind of the result, mri.reconstruction
        for said in ("withheld", image, "ssim", "Not determined"):
            assert page.get_by_text(said).count() == 0, said
        expect(page.get_by_text("Zero-filled").first).to_be_visible(timeout=WAIT_MS)
        kept(watched, tmp_path, "1-sealed")
        decide(page, "repeat")
        press(page, "File first impression")
        expect(page.get_by_text("First impression filed")).to_be_visible(timeout=WAIT_MS)
        expect(page.get_by_text(image).first).to_be_visible(timeout=WAIT_MS)
        kept(watched, tmp_path, "2-opened")
        assert watched.errors == []
        page.close()


class Killed:
    """A viewer that is killed and started again at the same address."""

    def __init__(self, settings: ViewerSettings, log: Path) -> None:
        self.settings, self.log, self.port = settings, log, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                command(self.settings, self.port),
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.settings.environment},
            )
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.address}/_stcore/health").close()  # noqa: S310
            except OSError:
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"the viewer did not start: {self.log.read_text()}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)


@contextmanager
def killed(settings: ViewerSettings, log: Path) -> Iterator[Killed]:
    server = Killed(settings, log)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def test_killed_in_mid_sign_no_acknowledged_verdict_is_lost_and_a_form_files_once(
    browser: Browser, write_result: WriteResult, tmp_path: Path
) -> None:
    root = tmp_path / "results"
    waits_ms = {"scan-1": 0, "scan-2": 150, "scan-3": None}
    for case in waits_ms:
        write_result(root, case)
    with killed(ViewerSettings(results=root), tmp_path / "log.txt") as server:
        for case, wait_ms in waits_ms.items():
            page = browser.new_page(viewport=SIZE)
            page.goto(f"{server.address}/?study=brain&case={case}")
            expect(heading(page)).to_be_visible(timeout=WAIT_MS)
            begin_to_sign(page).get_by_role("button", name="Sign now").click(no_wait_after=True)
            if wait_ms is None:
                expect(page.get_by_text(SIGNED)).to_be_visible(timeout=WAIT_MS)
            else:
                page.wait_for_timeout(wait_ms)
            server.kill()
            acknowledged = page.get_by_text(SIGNED).count() > 0
            before = states(root, case)
            assert before in ([], ["signed"])
            assert before == ["signed"] or not acknowledged
            server.start()
            sign_where_it_is_not(page)
            assert states(root, case) == ["signed"]
            page.close()
        assert verify(store_of(root).database).faults == ()


def sign_where_it_is_not(page: Page) -> None:
    """Do as a reader whose page came back: look again, read it here, and sign if it is not."""
    page.reload()
    read_here(page)
    if page.get_by_text("not reviewed").count() > 0:
        begin_to_sign(page).get_by_role("button", name="Sign now").click()
    expect(page.get_by_text("signed by").first).to_be_visible(timeout=WAIT_MS)

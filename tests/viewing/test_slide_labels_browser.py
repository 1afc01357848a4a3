"""Label and macro images in a real Chromium: by a press, on record, and for whom alone."""

import io
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import openslide
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from medconsist.review.database import Database, sqlite_url
from medconsist.review.store import ReviewStore
from medconsist.viewing.vendor import missing_vendor, vendor_folder
from medconsist.viewing.web.server import local_person
from medconsist.viewing.web.settings import ViewerSettings
from tests.viewing.served import Watched, hides_below_another_name, served
from tests.viewing.slides import embed_small

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        missing_vendor(vendor_folder()) is not None, reason=str(missing_vendor(vendor_folder()))
    ),
]

WAIT_MS = 60_000
ME = local_person("test").subject
BUTTON = "Label and macro images"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels") / "results"
    embed_small(folder)
    return folder


@pytest.fixture(scope="module")
def store(root: Path) -> Iterator[ReviewStore]:
    store = ReviewStore(Database(sqlite_url(root / "review.db")))
    yield store
    store.database.close()


@pytest.fixture(scope="module")
def address(root: Path, store: ReviewStore) -> Iterator[str]:
    store.grant(None, ME, "*", "viewer")
    with served(ViewerSettings(results=root), root.parent / "log.txt") as address:
        yield address


def looks(root: Path) -> list[str]:
    with closing(sqlite3.connect(root / "review.db")) as connection:
        rows = connection.execute(
            "SELECT object_type FROM audit WHERE action = 'viewed' AND object_type LIKE '% image' "
            "ORDER BY seq"
        )
        return [row[0] for row in rows]


def opened(browser: Browser, address: str) -> Watched:
    seen = Watched(browser.new_page(viewport={"width": 1500, "height": 1300}))
    seen.page.goto(f"{address}/?study=wsi&case=biopsy")
    seen.page.locator(".ms[data-ready=yes]").wait_for(timeout=WAIT_MS)
    # below the slide on the page, so that what stands between is drawn
    expect(seen.page.get_by_text("Where this result comes from")).to_be_visible(timeout=WAIT_MS)
    return seen


def asked(seen: Watched) -> list[str]:
    return [url for url in seen.requests if "/associated/" in url]


def test_who_may_see_identity_sees_the_label_by_a_press_and_it_is_on_record(
    browser: Browser, address: str, root: Path, store: ReviewStore
) -> None:
    store.grant(None, ME, "*", "signer")
    seen = opened(browser, address)
    press = seen.page.get_by_role("button", name=BUTTON)
    expect(press).to_be_visible(timeout=WAIT_MS)
    expect(seen.page.get_by_text("Each look is written into the audit log")).to_be_visible()
    seen.page.wait_for_timeout(1500)
    assert (asked(seen), looks(root)) == ([], [])
    press.dblclick()
    label = seen.page.get_by_alt_text(re.compile("^Label of p-5"))
    macro = seen.page.get_by_alt_text(re.compile("^Macro image of p-5"))
    expect(label).to_be_visible(timeout=WAIT_MS)
    expect(macro).to_be_visible(timeout=WAIT_MS)
    hides_below_another_name(label)
    assert looks(root) == ["label image", "macro image"]
    assert [url.partition("?")[0].rpartition("/")[2] for url in asked(seen)] == [
        "label.jpg",
        "macro.jpg",
    ]
    label.scroll_into_view_if_needed()
    shot = Image.open(io.BytesIO(label.screenshot())).convert("L").resize((96, 104))
    with openslide.OpenSlide(root.parent / "biopsy.svs") as slide:
        wanted = slide.associated_images["label"].convert("L").resize((96, 104))
    likeness = np.corrcoef(np.asarray(shot).ravel(), np.asarray(wanted).ravel())[0, 1]
    assert likeness > 0.9  # the letters, where they stand on the label
    seen.page.screenshot(path=root.parent / "labels.png", full_page=True)
    seen.page.get_by_role("button", name="Put away").click()
    expect(label).to_have_count(0)
    press.click()
    expect(label).to_be_visible(timeout=WAIT_MS)
    assert len(looks(root)) == 4  # each look
    seen.page.reload()
    seen.page.locator(".ms[data-ready=yes]").wait_for(timeout=WAIT_MS)
    expect(press).to_be_visible(timeout=WAIT_MS)
    seen.page.wait_for_timeout(1500)
    assert (label.count(), len(looks(root))) == (0, 4)
    assert seen.errors == []
    seen.page.close()


def test_who_may_not_sees_no_trace_of_it_and_is_refused(
    browser: Browser, address: str, root: Path, store: ReviewStore
) -> None:
    store.grant(None, ME, "*", "reader")
    before = looks(root)
    seen = opened(browser, address)
    seen.page.wait_for_timeout(1500)
    expect(seen.page.get_by_role("button", name=BUTTON)).to_have_count(0)
    assert "macro" not in seen.page.content().casefold()
    tile = next(url for url in seen.requests if "/slide/" in url and "t=" in url)
    own = re.sub(r"/slide/.*\?", "/slide/associated/label.jpg?", tile)
    for url in (own, own.partition("?")[0]):
        with pytest.raises(HTTPError, match="403"):
            urlopen(url)  # noqa: S310  loopback
    assert looks(root) == before
    assert (asked(seen), seen.errors) == ([], [])
    seen.page.close()

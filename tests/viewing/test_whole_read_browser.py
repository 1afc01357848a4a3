"""One read of each screen from end to end, on a real scan, a real slide and a real ECG.

Each is opened from the worklist, looked through, overlaid, measured, commented on, signed,
exported and opened again in a new window.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pypdf
import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect

from medconsist.cli import main
from medconsist.results.store import ResultStore
from medconsist.review.database import Database, sqlite_url
from medconsist.review.records import Comment
from medconsist.review.store import ReviewStore
from medconsist.review.verify import verify
from medconsist.timeseries.predict import SignalJob, predict_patient
from medconsist.timeseries.preparation import Preparation
from medconsist.timeseries.pretext import PretextSize
from medconsist.timeseries.pretexts import make_pretext
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS
from medconsist.timeseries.signal_model import SignalData
from medconsist.timeseries.simulated.cohort import simulate_cohort
from medconsist.timeseries.simulated.recipe import CohortRecipe
from medconsist.timeseries.trained import fit_probe
from medconsist.viewing.bench.reads import (
    READS,
    Hand,
    comment_on,
    go_on,
    open_case,
    read_rows,
    sign,
)
from medconsist.viewing.vendor import missing_vendor, vendor_folder
from medconsist.viewing.web.server import local_person
from medconsist.viewing.web.settings import ViewerSettings
from medconsist.wsi.settings import Embedding
from medconsist.wsi.task import SlideJob, embed_slide
from tests.timeseries.small_signals import SETTINGS
from tests.viewing.served import Watched, at_rest, hides_below_another_name, served
from tests.viewing.slides import predict_small
from tests.wsi.small_slide import QuarterMeans

pytestmark = [
    pytest.mark.browser,
    pytest.mark.data,
    pytest.mark.skipif(
        missing_vendor(vendor_folder()) is not None, reason=str(missing_vendor(vendor_folder()))
    ),
]

WAIT_MS = 60_000  # a cold start on shared cores
SLIDE = "CMU-1-Small-Region"
CASES = {"mri": "twixtools_gre", "wsi": SLIDE, "timeseries": "E07500"}
STUDIES = {"mri": "mri", "wsi": "wsi", "timeseries": "signals"}
MR, OF_SLIDE, ECG = READS


@pytest.fixture(scope="module")
def root(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("whole")
    results = folder / "results"
    scan = str(data_dir / "mri" / "twixtools_gre.dat")
    words = ["--method", "cgsense", "--threads", "1", "--out", str(results)]
    assert main(["mri", "reconstruct", scan, *words]) == 0
    slide = folder / f"{SLIDE}.svs"  # beside the results, where the prediction looks for it
    slide.symlink_to(data_dir / "wsi" / slide.name)
    settings = Embedding(target_mpp=2.0)
    embed_slide(SlideJob(slide=slide, out=results, encoder=QuarterMeans(), settings=settings))
    predict_small(results, SLIDE)
    predict_ecg(folder, data_dir / "timeseries" / "cinc2021_sample" / "cinc2021" / "E07500.hea")
    return results


def predict_ecg(folder: Path, record: Path) -> None:
    """Predict a real record by a model that has seen patients of the simulator alone."""
    recipe = CohortRecipe(
        modality="ecg",
        patients=8,
        trials=2,
        windows=4,
        samples=100,
        rate=100.0,
        channels=TWELVE_LEADS,
    )
    cohort = simulate_cohort(recipe, generator=torch.Generator().manual_seed(0))
    size = PretextSize(channels=12, samples=100, rate=100.0)
    encoder = make_pretext(
        "comet",
        size,
        generator=torch.Generator().manual_seed(0),
        options={"hidden": 8, "dim": 16, "depth": 3},
    )
    data = SignalData(
        train=cohort.windows.of_patients(range(4)),
        validation=cohort.windows.of_patients(range(4, 8)),
        calibration=None,
        preparation=Preparation.of_windows(
            cohort.windows, replace(SETTINGS, channels=TWELVE_LEADS)
        ),
        study="simulated ECG",
    )
    model = fit_probe(encoder.eval(), data, folder / "model", name="comet")
    job = SignalJob(out=folder / "results", paths=(record,), card=model.card)
    predict_patient(job, model)


@pytest.fixture(scope="module")
def address(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with served(ViewerSettings(results=root), log) as address:
        yield address


class Reader:
    """A reader in one window: a hand, what the page asked for, and pictures that are kept."""

    def __init__(self, browser: Browser, address: str, shots: Path) -> None:
        self.page: Page = browser.new_page(viewport={"width": 1600, "height": 1200})
        self.watched = Watched(self.page)
        self.hand = Hand(self.page)
        self.address, self.shots = address, shots

    def keep(self, name: str) -> None:
        self.page.screenshot(path=self.shots / f"{name}.png")

    def list_of(self, kind: str) -> Locator:
        self.page.goto(f"{self.address}/?words={kind}.")
        rows = self.page.locator(".wl tbody tr:not(.why)")
        expect(rows).to_have_count(1, timeout=WAIT_MS)
        return rows

    def report(self, case: str) -> str:
        """Export the report of the signature; return its text."""
        self.page.get_by_text("Export", exact=True).click()
        at_rest(self.page.get_by_role("button", name="Report by").first).click()
        given = self.page.get_by_role("button", name=f"Download {case}-review.pdf")
        expect(given).to_be_visible(timeout=WAIT_MS)
        with self.page.expect_download(timeout=WAIT_MS) as coming:
            given.click()
        pages = pypdf.PdfReader(io.BytesIO(Path(coming.value.path()).read_bytes())).pages
        return "\n".join(one.extract_text() for one in pages)

    def done(self) -> None:
        own = (self.address, self.address.replace("http", "ws"), "data:", f"blob:{self.address}")
        assert [url for url in self.watched.requests if not url.startswith(own)] == []
        assert self.watched.errors == []
        self.page.close()


def finish(reader: Reader, browser: Browser, root: Path, kind: str, words: str) -> None:
    """Comment, sign, export, go on; and find it all in a new window and in the store."""
    read = next(one for one in READS if one.kind == kind)
    case, study = CASES[kind], STUDIES[kind]
    comment_on(reader.hand, read, words)
    sign(reader.hand)
    reader.keep("signed")
    current = ResultStore(root, study)
    sha = current.read(case, str(current.current(case))).result.content_sha256
    text = reader.report(case)
    for said in (words, "accept", sha[:12], "Research use only"):
        assert said in text
    reader.page.locator(read.ready).first.evaluate("root => root.focus()")
    go_on(reader.hand)
    reader.done()
    again = Reader(browser, reader.address, reader.shots)
    expect(again.list_of(kind)).to_contain_text("signed")
    open_case(again.hand, read)
    expect(again.page.get_by_text("signed by").first).to_be_visible(timeout=WAIT_MS)
    expect(again.page.get_by_text(words, exact=True)).to_be_visible(timeout=WAIT_MS)
    again.page.get_by_role("button", name="Go there").click()
    expect(again.page).to_have_url(re.compile("entry="), timeout=WAIT_MS)
    again.keep("again")
    again.done()
    store = ReviewStore(Database(sqlite_url(root / "review.db")))
    filed = store.thread(local_person("look"), study, case, "comment")
    (body,) = [one.body for one in filed]
    assert isinstance(body, Comment)
    assert body.pin is not None
    assert verify(store.database).faults == ()


def test_a_real_scan_is_read_from_the_list_to_the_report(
    browser: Browser, address: str, root: Path, tmp_path: Path
) -> None:
    reader = Reader(browser, address, tmp_path)
    page, hand = reader.page, reader.hand
    reader.list_of("mri")
    open_case(hand, MR)
    hides_below_another_name(page.locator(".mr"))
    MR.look(hand)
    page.get_by_label("Evidence map").select_option("not_determined")
    expect(page.locator(".mr .maps .legend")).to_be_visible()
    page.get_by_label("Tool").select_option("rectangle")
    box = page.locator(".mr .view").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 50, y - 40)
    page.mouse.down()
    page.mouse.move(x + 20, y + 30, steps=4)
    page.mouse.up()
    expect(page.locator("table.region tbody tr").first).to_be_visible(timeout=WAIT_MS)
    reader.keep("mr")
    finish(reader, browser, root, "mri", "a ghost at the edge")


def test_a_real_slide_is_read_from_the_list_to_the_report(
    browser: Browser, address: str, root: Path, tmp_path: Path
) -> None:
    reader = Reader(browser, address, tmp_path)
    page, hand = reader.page, reader.hand
    reader.list_of("wsi")
    open_case(hand, OF_SLIDE)
    slide = page.locator(".ms")
    hides_below_another_name(slide)
    OF_SLIDE.look(hand)
    slide.get_by_role("button", name="Attention").click()
    expect(slide.locator('[data-part="legend"]')).to_be_visible()
    slide.focus()
    hand.press("3", "d")
    box = page.locator(".ms .openseadragon-canvas").first.bounding_box()
    assert box is not None
    for right in (0.4, 0.6):
        page.mouse.click(box["x"] + right * box["width"], box["y"] + 0.5 * box["height"], delay=30)
        page.wait_for_timeout(450)  # or two clicks would be a double click
    hand.press("Enter")
    length, unit = (slide.get_attribute("data-measured") or "").split()
    zoom = float(slide.get_attribute("data-zoom") or "nan")
    assert unit == "µm"
    # 0.499 microns a pixel is what the file says; a click is right to a pixel of the screen
    assert float(length) == pytest.approx(0.2 * box["width"] / zoom * 0.499, rel=0.02)
    reader.keep("slide")
    hand.press("Escape", "0")
    page.wait_for_timeout(600)
    finish(reader, browser, root, "wsi", "a fold here")


def test_a_real_ecg_is_read_from_the_list_to_the_report(
    browser: Browser, address: str, root: Path, tmp_path: Path
) -> None:
    reader = Reader(browser, address, tmp_path)
    page, hand = reader.page, reader.hand
    reader.list_of("timeseries")
    open_case(hand, ECG)
    signal = page.locator(".signal")
    hides_below_another_name(signal)
    # the model has seen a simulator alone; this record is of a person
    expect(signal.locator('[data-part="what"]')).not_to_contain_text("simulated")
    ECG.look(hand)
    page.get_by_label("Strip").select_option("occlusion")
    expect(signal.locator('[data-part="legend"]')).to_be_visible()
    box = signal.locator('[data-part="sheet"]').bounding_box()
    assert box is not None
    x, y = box["x"] + 100, box["y"] + 80  # within the 2.5 s of lead I
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=4)
    page.mouse.up()
    expect(signal).not_to_have_attribute("data-caliper", "", timeout=WAIT_MS)
    milliseconds = float((signal.get_attribute("data-caliper") or "").split()[0])
    a_second = float(signal.get_attribute("data-speed") or "nan") * 96 / 25.4
    assert milliseconds == pytest.approx(1000 * 100 / a_second, abs=1500 / a_second)
    reader.keep("ecg")
    hand.press("Escape")
    finish(reader, browser, root, "timeseries", "pause here")


def test_a_read_of_each_screen_is_counted(browser: Browser, root: Path, tmp_path: Path) -> None:
    settings = ViewerSettings(results=root, database=str(tmp_path / "review.db"))
    with served(settings, tmp_path / "log.txt") as address:
        rows = read_rows(browser, address)
    found = {(row.case, row.metric): row.value for row in rows}
    for case in ("MR read", "slide read", "signals read"):
        assert 5 <= found[case, "clicks"] <= 12
        assert found[case, "keys"] < 60
        assert 0 < found[case, "seconds"] < 60

"""``medconsist bench viewer``: the screens beside pages with nothing but the library, in one run.

A real Chromium looks at a viewer on loopback. Warm: the server has opened the slide and has its
tiles in memory; each page is a new one of the browser. Both sides ask for the same tiles and
volumes with a ticket, and take turns. Of pages the least of the repeats counts, as whatever else
the machine does only adds to it; of slice steps the median. The worklist of ten thousand cases is
measured without a browser. About 6 minutes on 2 cores.
"""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from medconsist.errors import MissingInputError
from medconsist.results.bench import BenchReport, BenchTable
from medconsist.viewing.bench.bare import BARE, DRAWN, STARTED, slide_page
from medconsist.viewing.bench.chromium import chromium_browser
from medconsist.viewing.bench.material import write_results
from medconsist.viewing.bench.reads import read_rows
from medconsist.viewing.bench.site import VIEW, WAIT_MS, Site, answer, row_of, target_of
from medconsist.viewing.bench.steps import step_table
from medconsist.viewing.bench.worklist import worklist_table
from medconsist.viewing.launch import main_script
from medconsist.viewing.serving import serving
from medconsist.viewing.vendor import missing_vendor, vendor_folder, vendor_urls
from medconsist.viewing.web.settings import ViewerSettings

__all__ = ["run_bench"]


logger = logging.getLogger(__name__)


def run_bench(*, repeats: int = 7, seed: int = 1) -> BenchReport:
    """Measure both screens beside the bare libraries.

    Parameters
    ----------
    repeats
        Pages of each side; the least counts.
    seed
        Of the slide and the scan, which are simulated.

    Raises
    ------
    MissingInputError
        No Chromium, or the JavaScript of the viewer was not built.
    MissingExtraError
        Playwright is not installed.
    """
    if missing := missing_vendor(vendor_folder()):
        raise MissingInputError(missing)
    with tempfile.TemporaryDirectory() as folder:
        results = write_results(Path(folder), seed)
        with chromium_browser(_program()) as browser:
            looking = ViewerSettings(results=results, database="none")
            with serving(looking, Path(folder) / "looking.txt") as address:
                site = Site(address, browser, "?study=wsi&case=biopsy", "?study=mri&case=scan-000")
                table = _slides(site, repeats).joined(step_table(site, repeats))
            signing = ViewerSettings(results=results, database=str(Path(folder) / "review.db"))
            with serving(signing, Path(folder) / "signing.txt") as address:
                logger.info("reads ...")
                table = table.joined(BenchTable(read_rows(browser, address)))
        table = table.joined(worklist_table(Path(folder) / "many"))
    return BenchReport(command="medconsist bench viewer", rows=table.rows, targets=table.targets)


def _program() -> str:
    program = shutil.which("chromium")
    if program is None:
        msg = "the program chromium is not installed (Debian package: chromium)."
        raise MissingInputError(msg)
    return program


def _slides(site: Site, repeats: int) -> BenchTable:
    """Measure from the start of the widget, and of the page, to the first tile on the screen."""
    first, size, asked = _ours_slide(site)  # opens the slide in the server: not counted
    del first
    source = (main_script().parent / "js" / "slide_tiles.js").read_text("utf-8")
    bare = slide_page(asked, source=source, size=size)
    ours, plain = list[tuple[float, float]](), list[tuple[float, float]]()
    following = list[float]()
    for number in range(repeats):
        logger.info("slide, page %d of %d ...", number + 1, repeats)
        ours.append(_ours_slide(site)[0])
        plain.append(_bare_slide(site, bare))
        following.append(_next_slide(site))
    widget, whole = (min(one[at] for one in ours) for at in range(2))
    bare_widget, bare_whole = (min(one[at] for one in plain) for at in range(2))
    rows = (
        row_of("slide", "widget to first tile", widget, bare_widget, repeats),
        row_of("slide", "next case to first tile", min(following), bare_whole, repeats),
        row_of("slide", "new page to first tile", whole, bare_whole, repeats),
    )
    return BenchTable(
        rows,
        tuple(target_of(f"{row.metric} over bare OpenSeadragon", row) for row in rows),
    )


def _next_slide(site: Site) -> float:
    """Return seconds from the key of the next case, in a page that is open, to its first tile."""
    page = site.browser.new_page(viewport=VIEW)
    try:
        page.goto(f"{site.address}/{site.slide}")
        _marks(page)
        page.wait_for_timeout(1500)  # whatever else the page draws
        page.evaluate("performance.clearMarks()")
        pressed = page.evaluate("performance.now()")
        page.get_by_role("button", name="Previous case").click()
        return float(_marks(page)[1] - pressed / 1000)
    finally:
        page.close()


def _ours_slide(site: Site) -> tuple[tuple[float, float], tuple[int, int], dict[str, Any]]:
    """Return seconds, size of the view, and what the widget was given."""
    page = site.browser.new_page(viewport=VIEW)
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(f"{site.address}/{site.slide}")
        view = page.locator('.ms [data-part="osd"]')
        view.wait_for(timeout=WAIT_MS)
        seconds = _marks(page)
        box = view.bounding_box()
        api = next(urlsplit(url) for url in asked if "/slide?" in url or url.endswith("/slide"))
        ticket = parse_qs(api.query)["t"][0]
        given = {
            "api": api.path.removesuffix("/slide"),
            "ticket": ticket,
            "vendor": vendor_urls(vendor_folder()),
        }
        return seconds, (round(box["width"]), round(box["height"])), given
    finally:
        page.close()


def _bare_slide(site: Site, html: str) -> tuple[float, float]:
    page = site.browser.new_page(viewport=VIEW)
    try:
        answer(page, site, html)
        page.goto(f"{site.address}{BARE}")
        return _marks(page)
    finally:
        page.close()


def _marks(page: Any) -> tuple[float, float]:  # noqa: ANN401  a page of Playwright
    """Return seconds from the start of the widget, and of the page, to the first tile."""
    read = "name => (performance.getEntriesByName(name)[0] || {startTime: -1}).startTime"
    for _ in range(WAIT_MS // 20):
        drawn = page.evaluate(read, DRAWN)
        if drawn >= 0:
            return (drawn - page.evaluate(read, STARTED)) / 1000, drawn / 1000
        page.wait_for_timeout(20)
    msg = "no tile was drawn within 90 seconds."
    raise MissingInputError(msg)

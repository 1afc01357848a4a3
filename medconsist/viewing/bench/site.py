"""The viewer that is measured, the browser that looks at it, and rows of what was seen."""

from dataclasses import dataclass
from typing import Any

from medconsist.results.bench import BenchRow, Target
from medconsist.viewing.bench.bare import BARE

__all__ = ["MOST", "VIEW", "WAIT_MS", "Site", "answer", "row_of", "target_of"]

MOST = 1.2
"""A screen may take this much of what the bare library takes."""

WAIT_MS = 90_000
VIEW = {"width": 1600, "height": 1000}


@dataclass(frozen=True)
class Site:
    """A viewer that is being served, and a browser.

    Parameters
    ----------
    address
        Of the viewer.
    browser
        Of Playwright.
    slide, scan
        Links to a slide and to a scan.

    Examples
    --------
    >>> Site("http://127.0.0.1:8501", None, "?case=a", "?case=b").slide
    '?case=a'
    """

    address: str
    browser: Any
    slide: str
    scan: str


def answer(page: Any, site: Site, html: str) -> None:  # noqa: ANN401  a page of Playwright
    """Answer the bare address of a site with a page of our own."""
    page.route(
        f"{site.address}{BARE}",
        lambda route: route.fulfill(status=200, content_type="text/html", body=html),
    )


def row_of(case: str, metric: str, value: float, baseline: float, n: int) -> BenchRow:
    """Return seconds of a screen beside those of the bare library."""
    return BenchRow(
        case=case,
        metric=metric,
        value=value,
        unit="s",
        baseline=baseline,
        ratio=value / baseline,
        n=n,
        unit_of_analysis="page" if "tile" in metric else "step",
    )


def target_of(name: str, row: BenchRow) -> Target:
    """Return whether a screen takes no more than `MOST` of what the library takes."""
    seen = row.ratio or 0.0
    return Target(name=name, wanted=f"<= {MOST}", seen=round(seen, 3), met=seen <= MOST)

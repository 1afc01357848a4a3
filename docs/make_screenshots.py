"""Make the pictures of docs/images from a results folder, in a real Chromium.

Usage, after ``medconsist demo``::

    python docs/make_screenshots.py demo/results docs/images
"""

import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from medconsist.viewing.overlay import COLOURMAPS, colour_table
from medconsist.viewing.serving import serving
from medconsist.viewing.slide_reading import REGIONS
from medconsist.viewing.web.settings import ViewerSettings

WAIT_MS = 60_000
WIDTH_PX = 1280
SCREENS = (
    ("viewer", "study=demo&case=generated-head", ".mr[data-ready]"),
    ("slide", "study=demo-slides&case=generated-biopsy-a", ".ms[data-ready=yes]"),
    ("signal", "study=demo-signals&case=simulated-new", '.signal[data-ready="true"]'),
)
WORDS = [(242, 193, 78), (255, 155, 143)]  # what style.css draws warnings in
OF_BAR = 40  # colours of each colour bar
N_SEEN = 256 - OF_BAR * len(COLOURMAPS) - len(REGIONS) - len(WORDS)  # of what a palette holds


def main(results: Path, out: Path) -> None:
    """Serve the results on loopback, look at them, and end that server."""
    with tempfile.TemporaryDirectory() as folder:
        database = str(Path(folder) / "review.db")  # nothing is filed beside the results
        settings = ViewerSettings(results=results.resolve(), database=database)
        with serving(settings, Path(folder) / "log") as address:
            photograph(address, out)


def photograph(address: str, out: Path) -> None:
    """Open the page at the size of a desktop screen, and store the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses it to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1180})
        page.goto(address)
        page.locator(".wl tbody a").first.wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(1500)
        store(page, out / "worklist.png")
        for name, link, ready in SCREENS:
            page.goto(f"{address}/?{link}")
            page.locator(ready).wait_for(timeout=WAIT_MS)
            page.get_by_text("on the screen: sha256").wait_for(timeout=WAIT_MS)
            page.wait_for_timeout(3000)  # tiles and volumes come in, images fade in
            store(page, out / f"{name}.png")
        page.get_by_text("accept", exact=True).last.click()
        page.get_by_role("button", name="Sign …", exact=True).click()
        page.get_by_role("dialog").wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(1500)
        store(page, out / "sign.png")
        browser.close()


def store(page: Page, path: Path) -> None:
    """Write a screenshot of 1280 columns in 256 colours, so that a clone stays small."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    height = round(picture.height * WIDTH_PX / picture.width)
    picture = picture.resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
    seen = np.array(picture.quantize(N_SEEN).getpalette() or [])[: 3 * N_SEEN].reshape(-1, 3)
    # Few pixels have the colours of a colour bar; left to themselves, they would become bands.
    bars = [colour_table(name)[np.linspace(0, 255, OF_BAR).astype(int)] for name in COLOURMAPS]
    regions = [[region.colour for region in REGIONS.values()]]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([seen, *bars, *regions, WORDS]).astype(np.uint8).tobytes())
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images"))

"""Make the pictures of docs/images from a results folder, in a real Chromium.

Usage, after ``medconsist demo``::

    python docs/make_screenshots.py demo/results docs/images
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from medconsist.results.store import ResultStore
from medconsist.viewing.launch import command
from medconsist.viewing.overlay import COLOURMAPS, colour_table
from medconsist.viewing.slide_reading import REGIONS

WAIT_MS = 60_000
WIDTH_PX = 1280
HEAD, SLIDE = "generated-head", "generated-biopsy-a"
N_SEEN = 172  # with 40 of each colour bar and 4 of regions: the 256 colours of a palette


def main(results: Path, out: Path) -> None:
    """Serve the results on loopback, look at them, and end that server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(command(results, port)) as server:  # noqa: S603  our own page
        try:
            wait_until_ready(f"http://127.0.0.1:{port}")
            photograph(f"http://127.0.0.1:{port}", out, features=features_key(results))
        finally:
            server.terminate()


def wait_until_ready(address: str) -> None:
    """Return when the server answers; give up after a minute."""
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health").close()  # noqa: S310  loopback
        except OSError:
            time.sleep(0.1)
        else:
            return
    msg = f"{address} did not answer within a minute."
    raise TimeoutError(msg)


def features_key(results: Path) -> str:
    """Return the key of the features of the slide; its prediction is current."""
    store = ResultStore(results, "demo-slides")
    kinds = {key: store.read(SLIDE, key).result.kind for key in store.keys(SLIDE)}
    return next(key for key, kind in kinds.items() if kind == "wsi.features")


def photograph(address: str, out: Path, *, features: str) -> None:
    """Open the page at the size of a desktop screen, and store the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses it to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1180})
        page.goto(f"{address}/?study=demo&case={HEAD}")
        page.get_by_alt_text("Colour bar, low to high").last.wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(1500)  # images fade in
        store(page, out / "viewer.png")
        page.goto(f"{address}/?study=demo-slides&case={SLIDE}")
        page.get_by_alt_text("Highest tiles").wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(1500)
        page.set_viewport_size({"width": 1600, "height": 960})
        store(page, out / "prediction.png")
        page.goto(f"{address}/?study=demo-slides&case={SLIDE}&key={features}")
        page.get_by_alt_text("Feature colours of the slide").wait_for(timeout=WAIT_MS)
        page.wait_for_timeout(1500)
        page.set_viewport_size({"width": 1600, "height": 760})
        store(page, out / "slide.png")
        browser.close()


def store(page: Page, path: Path) -> None:
    """Write a screenshot of 1280 columns in 256 colours, so that a clone stays small."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    height = round(picture.height * WIDTH_PX / picture.width)
    picture = picture.resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
    seen = np.array(picture.quantize(N_SEEN).getpalette() or [])[: 3 * N_SEEN].reshape(-1, 3)
    # Few pixels have the colours of a colour bar; left to themselves, they would become bands.
    bars = [colour_table(name)[np.linspace(0, 255, 40).astype(int)] for name in COLOURMAPS]
    regions = [[region.colour for region in REGIONS.values()]]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([seen, *bars, *regions]).astype(np.uint8).tobytes())
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images"))

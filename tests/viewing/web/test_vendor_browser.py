"""The two libraries in a real Chromium, under the policy of the viewer, from a module of a blob."""

import gzip
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from medconsist.viewing.vendor import missing_vendor, read_vendor, vendor_folder, vendor_urls
from medconsist.viewing.web.headers import SecurityHeaders
from medconsist.viewing.web.vendor_routes import vendor_routes

pytestmark = pytest.mark.browser

WAIT_MS = 60_000  # a cold start on shared cores
RED, GREEN = (200, 30, 30), (30, 160, 30)

# Components of Streamlit are modules of a blob: a relative address has no base there.
COMPONENT = """
const at = (address) => new URL(address, location.origin).href;
const classic = (address) => new Promise((done, fail) => {
  const script = Object.assign(document.createElement("script"), {src: at(address)});
  script.onload = done;
  script.onerror = fail;
  document.head.append(script);
});
export default async (urls) => {
  await classic(urls["openseadragon.min.js"]);
  const viewer = OpenSeadragon({
    element: document.getElementById("slide"), drawer: "canvas", showNavigationControl: false,
    tileSources: {type: "image", url: at("/picture.png")}, animationTime: 0, immediateRender: true,
  });
  await new Promise((done) => viewer.addHandler("open", done));
  const image = viewer.world.getItemAt(0);
  if (!image.getFullyLoaded())
    await new Promise((done) => image.addOnceHandler("fully-loaded-change", done));
  viewer.forceRedraw();
  const { Niivue } = await import(at(urls["niivue.js"]));
  const volume = new Niivue({backColor: [0, 0, 0, 1], isResizeCanvas: false, crosshairWidth: 0});
  await volume.attachToCanvas(document.getElementById("volume"));
  await volume.loadVolumes([{url: at("/volume.nii.gz")}]);
  return {
    openseadragon: OpenSeadragon.version.versionStr,
    webgl2: volume.gl instanceof WebGL2RenderingContext,
    shape: volume.volumes[0].dims.slice(1, 4),
    range: [volume.volumes[0].global_min, volume.volumes[0].global_max],
  };
};
"""
START = f"""
const blob = new Blob([{json.dumps(COMPONENT)}], {{type: "text/javascript"}});
const module = await import(URL.createObjectURL(blob));
const urls = JSON.parse(document.body.dataset.urls);
module.default(urls).then(
  (said) => {{ document.title = JSON.stringify(said); }},
  (error) => {{ document.title = "failed: " + error; }},
);
"""
BODY = """<!doctype html><meta charset="utf-8"><title>loading</title>
<link rel="icon" href="data:,"><body data-urls="{urls}" style="margin:0">
<div id="slide" style="width:200px;height:200px"></div>
<canvas id="volume" width="200" height="200"></canvas>
<script type="module" src="/start.js"></script>"""


def picture() -> bytes:
    """A red left half and a green right one."""
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:, :32], pixels[:, 32:] = RED, GREEN
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def volume() -> bytes:
    """A bright block in a dark volume."""
    values = np.zeros((9, 10, 11), dtype=np.int16)
    values[2:7, 2:8, 2:9] = 1000
    image: Any = nibabel.Nifti1Image
    return gzip.compress(image(values, np.eye(4)).to_bytes())


def application(folder: Path) -> Any:  # an ASGI application
    page = BODY.format(urls=escape(json.dumps(vendor_urls(folder))))
    files = {
        "/start.js": (START.encode(), "text/javascript"),
        "/picture.png": (picture(), "image/png"),
        "/volume.nii.gz": (volume(), "application/gzip"),
    }
    routes = [Route("/", lambda _: HTMLResponse(page)), *vendor_routes(folder)]
    for path, (content, kind) in files.items():
        answer = Response(content, media_type=kind)
        routes.append(Route(path, lambda _, answer=answer: answer))
    return SecurityHeaders(Starlette(routes=routes))


@contextmanager
def served(app: Any) -> Iterator[str]:
    """Serve an application on a free port of the loopback interface."""
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


class Seen:
    """What the browser said and asked for."""

    def __init__(self, page: Page) -> None:
        self.console: list[str] = []
        self.asked: list[str] = []
        self.answers: dict[str, dict[str, str]] = {}
        page.on("console", lambda message: self.console.append(f"{message.type} {message.text}"))
        page.on("pageerror", lambda error: self.console.append(f"error {error}"))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("response", lambda answer: self.answers.update({answer.url: answer.headers}))


@pytest.fixture(scope="module")
def folder() -> Path:
    if missing := missing_vendor(vendor_folder()):
        pytest.skip(missing)
    return vendor_folder()


@pytest.fixture(scope="module")
def drawn(folder: Path, browser: Browser) -> Iterator[tuple[Page, Seen, str]]:
    with served(application(folder)) as address:
        page = browser.new_page(viewport={"width": 400, "height": 450})
        seen = Seen(page)
        page.goto(address, timeout=WAIT_MS)
        end = time.monotonic() + WAIT_MS / 1000
        while page.title() == "loading" and time.monotonic() < end:
            page.wait_for_timeout(50)  # wait_for_function would need unsafe-eval
        yield page, seen, address
        page.close()


def test_both_libraries_run_and_nothing_is_complained_of(
    drawn: tuple[Page, Seen, str],
) -> None:
    page, seen, _ = drawn
    assert json.loads(page.title()) == {
        "openseadragon": "6.1.1",
        "webgl2": True,
        "shape": [9, 10, 11],
        "range": [0, 1000],
    }
    assert [line for line in seen.console if line.startswith("error")] == []


def test_nothing_is_asked_of_another_origin(drawn: tuple[Page, Seen, str]) -> None:
    _, seen, address = drawn
    inside = (f"{address}/", f"blob:{address}/", "data:", "blob:null")
    assert [url for url in seen.asked if not url.startswith(inside)] == []


def test_the_libraries_come_compressed_once_and_may_be_kept(
    drawn: tuple[Page, Seen, str], folder: Path
) -> None:
    _, seen, address = drawn
    for read in read_vendor(folder)[:2]:
        url = f"{address}{read.url}"
        assert seen.asked.count(url) == 1
        assert seen.answers[url]["content-encoding"] == "gzip"
        assert "immutable" in seen.answers[url]["cache-control"]


def test_openseadragon_draws_left_left_and_right_right(drawn: tuple[Page, Seen, str]) -> None:
    shot = pixels(drawn[0], "#slide")
    assert shot[100, 20].tolist() == list(RED)
    assert shot[100, 180].tolist() == list(GREEN)


def test_niivue_draws_the_block_bright(drawn: tuple[Page, Seen, str]) -> None:
    shot = pixels(drawn[0], "#volume").astype(float).mean(-1)
    assert 0.05 < (shot > 200).mean() < 0.9
    assert (shot < 20).mean() > 0.05


def pixels(page: Page, place: str) -> np.ndarray:
    shot = page.locator(place).screenshot(timeout=WAIT_MS)
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))

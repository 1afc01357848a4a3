"""A step to the next slice, beside as many panes of bare NiiVue."""

import logging
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit

from medconsist.results.bench import BenchRow, BenchTable, Target
from medconsist.viewing.bench.bare import BARE, volume_page
from medconsist.viewing.bench.site import VIEW, WAIT_MS, Site, answer, row_of, target_of
from medconsist.viewing.vendor import vendor_folder, vendor_urls

__all__ = ["step_table"]

_STEPS = 24

logger = logging.getLogger(__name__)

# Both draw in the next picture of the display, and end when the graphics card, or what stands in
# for it, is done: reading a pixel waits for it.
_STEP_OURS = """async (root, steps) => {
  const screen = root.screen, times = [], pixel = new Uint8Array(4);
  const done = ({ gl }) => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
  const count = screen.state.frame.size[2];
  for (let n = 0; n < steps; n += 1) {
    const start = performance.now();
    screen.goTo([n % count, screen.state.at[1], screen.state.at[2]]);
    await new Promise(requestAnimationFrame);
    for (const pane of screen.panes.values()) if (pane.nv) done(pane.nv);
    times.push(performance.now() - start);
  }
  return times;
}"""
_STEP_BARE = """async (steps) => {
  const times = [], pixel = new Uint8Array(4);
  const done = ({ gl }) => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
  for (let n = 0; n < steps; n += 1) {
    const start = performance.now();
    await new Promise(requestAnimationFrame);
    for (const nv of window.panes) {
      const count = nv.volumes[0].dimsRAS[3];
      nv.scene.crosshairPos = [0.5, 0.5, (n % count + 0.5) / count];
      nv.drawScene();
    }
    window.panes.forEach(done);
    times.push(performance.now() - start);
  }
  return times;
}"""
_READY = """root => !!root.screen && root.screen.panes.size > 0 &&
  [...root.screen.panes.values()].every((pane) => pane.ready)"""
_PLAIN = """root => {
  Object.assign(root.screen.state, { map: "", difference: false, crosshair: false });
  root.screen.reload();
}"""
_SHOWN = """root => {
  const panes = [...root.screen.panes.values()].filter((pane) => !pane.isDifference);
  const { width, height } = panes[0].gl;
  return { roles: panes.map((pane) => pane.role), width, height };
}"""
_SLIDE = """async (root) => {
  const { opacity } = root.screen;
  for (let n = 0; n < 20; n += 1) {
    opacity.value = String(n / 20);
    opacity.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(requestAnimationFrame);
  }
}"""


def step_table(site: Site, repeats: int) -> BenchTable:
    """Measure a step to the next slice: same images, same canvases, NiiVue on both sides."""
    ours, plain = list[float](), list[float]()
    page = site.browser.new_page(viewport=VIEW)
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.address}/{site.scan}")
    root = page.locator(".mr")
    root.wait_for(timeout=WAIT_MS)
    shown = _settled(page, root)
    api = next(urlsplit(url) for url in asked if "/volume/" in url)
    given = {
        "api": api.path.partition("/volume/")[0],
        "ticket": parse_qs(api.query)["t"][0],
        "vendor": vendor_urls(vendor_folder()),
    }
    html = volume_page(given, roles=shown["roles"], size=(shown["width"], shown["height"]))
    bare = site.browser.new_page(viewport=VIEW)
    answer(bare, site, html)
    bare.goto(f"{site.address}{BARE}")
    for _ in range(WAIT_MS // 50):
        if bare.title() == "ready":
            break
        bare.wait_for_timeout(50)
    for number in range(repeats):
        logger.info("slices, round %d of %d ...", number + 1, repeats)
        page.bring_to_front()
        ours += root.evaluate(_STEP_OURS, _STEPS)
        bare.bring_to_front()
        plain += bare.evaluate(_STEP_BARE, _STEPS)
    moved = _slider(page, root)
    page.close()
    bare.close()
    n = repeats * _STEPS
    case = f"MR, {len(shown['roles'])} panes"
    row = row_of(case, "slice step", median(ours) / 1000, median(plain) / 1000, n)
    sent = BenchRow(
        case="MR",
        metric="messages to the server while the opacity slider moves",
        value=moved,
        unit="messages",
        n=20,
        unit_of_analysis="step of the slider",
    )
    no_rerun = Target(name="slider without a rerun", wanted="0", seen=moved, met=moved == 0)
    return BenchTable((row, sent), (target_of("slice step over bare NiiVue", row), no_rerun))


def _settled(page: Any, root: Any) -> dict[str, Any]:  # noqa: ANN401
    """Show the images alone, as bare NiiVue does; return which, and the size of their canvases."""
    for _ in range(WAIT_MS // 50):
        if root.evaluate(_READY):
            break
        page.wait_for_timeout(50)
    root.evaluate(_PLAIN)
    page.wait_for_timeout(2000)
    found: dict[str, Any] = root.evaluate(_SHOWN)
    return found


def _slider(page: Any, root: Any) -> int:  # noqa: ANN401
    """Return how many messages leave the browser while the opacity of a map moves."""
    sent = list[Any]()
    page.on("websocket", lambda channel: channel.on("framesent", lambda one: sent.append(one)))
    page.reload()
    root.wait_for(timeout=WAIT_MS)
    _settled(page, root)
    before = len(sent)
    root.evaluate(_SLIDE)
    page.wait_for_timeout(1000)
    return len(sent) - before

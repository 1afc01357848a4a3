"""Pages that hold nothing but the library: what the screens of the viewer are compared with.

They are answered in the place of an address of the viewer itself, so that they ask for the very
same tiles and volumes with a ticket. Only numbers and addresses of our own go into them.
"""

import json
from collections.abc import Mapping, Sequence

__all__ = ["BARE", "DRAWN", "STARTED", "slide_page", "volume_page"]

BARE = "/bare"
"""The address in whose place a bare page is answered."""

STARTED, DRAWN = "medconsist started", "medconsist drawn"
"""Marks of the browser's own clock: the widget began, its first tile stood on the screen."""

_SLIDE = """<!doctype html><meta charset="utf-8"><title>bare</title><link rel="icon" href="data:,">
<body style="margin:0;background:#0b0d10">
<div id="slide" style="width:%(width)dpx;height:%(height)dpx"></div>
<script>%(source)s</script><script type="module">
const asked = %(asked)s;
performance.mark("%(started)s");
const address = (path) => {
  const url = new URL(`${asked.api}/${path}`, location.origin);
  url.searchParams.set("t", asked.ticket);
  return url.href;
};
await openSeadragon(asked.vendor["openseadragon.min.js"]);
const info = await (await fetch(address("slide"))).json();
const viewer = OpenSeadragon({
  element: document.getElementById("slide"), drawer: "canvas", showNavigationControl: false,
  tileSources: tileSource({ info, data: asked, address }),
});
viewer.addOnceHandler("tile-drawn", () => performance.mark("%(drawn)s"));
</script>"""

_VOLUME = """<!doctype html><meta charset="utf-8"><title>bare</title><link rel="icon" href="data:,">
<body style="margin:0;background:#0b0d10"><div id="panes"></div><script type="module">
const asked = %(asked)s;
const { Niivue } = await import(new URL(asked.vendor["niivue.js"], location.origin).href);
window.panes = [];
for (const role of asked.roles) {
  const canvas = document.createElement("canvas");
  canvas.width = %(width)d;
  canvas.height = %(height)d;
  document.getElementById("panes").append(canvas);
  const nv = new Niivue({ isResizeCanvas: false, backColor: [0, 0, 0, 1], crosshairWidth: 0 });
  await nv.attachToCanvas(canvas, false);
  const url = new URL(`${asked.api}/volume/${role}.nii`, location.origin);
  url.searchParams.set("t", asked.ticket);
  await nv.loadVolumes([{ url: url.href, name: `${role}.nii` }]);
  nv.setSliceType(nv.sliceTypeAxial);
  window.panes.push(nv);
}
document.title = "ready";
</script>"""


def slide_page(asked: Mapping[str, object], *, source: str, size: tuple[int, int]) -> str:
    """Return a page that shows a slide by OpenSeadragon alone.

    Parameters
    ----------
    asked
        ``api``, ``ticket`` and ``vendor``, as the widget has them.
    source
        JavaScript of the viewer that describes the levels of the slide (``tileSource``).
    size
        Width and height of the view, CSS pixels.
    """
    return _SLIDE % {
        "asked": _safe(asked),
        "source": source,
        "width": size[0],
        "height": size[1],
        "started": STARTED,
        "drawn": DRAWN,
    }


def volume_page(asked: Mapping[str, object], *, roles: Sequence[str], size: tuple[int, int]) -> str:
    """Return a page with one bare NiiVue for each image, in ``window.panes``.

    Parameters
    ----------
    asked
        As in `slide_page`.
    roles
        The images.
    size
        Width and height of each canvas, device pixels.
    """
    return _VOLUME % {
        "asked": _safe({**asked, "roles": list(roles)}),
        "width": size[0],
        "height": size[1],
    }


def _safe(value: object) -> str:
    return json.dumps(value).replace("<", "\\u003c")

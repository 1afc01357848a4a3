"""How tests open the MR screen in a browser, steer it, and see what it shows."""

import io
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page

from tests.viewing.served import Watched

WAIT_MS = 120_000  # four WebGL contexts in software, on shared cores
EDGE = 3  # px
SLICES, HEIGHT, WIDTH = 3, 48, 40
STEPS = (1.5, 2.0, 6.0)  # millimetres of a column, a row, a slice
# A coronal stack whose columns run to the patient's right, rows upwards, slices to the back: no
# axis is drawn as it is stored.
CORONAL = (
    (STEPS[0], 0.0, 0.0, -29.25),
    (0.0, 0.0, -STEPS[2], 6.0),
    (0.0, STEPS[1], 0.0, -47.0),
    (0.0, 0.0, 0.0, 1.0),
)
KNOWN = {"spacing_mm": STEPS[::-1], "orientation": CORONAL, "unit": "a.u."}
# Where the hot block of each map of conftest lies, in one slice alone.
SPOT = (1, slice(30, 36), slice(20, 26))
MIDDLE = (1.0, 32.5, 22.5)
SCREEN = {  # plane: patient direction to the right of the screen, and to its top
    "axial": ((-1, 0, 0), (0, 1, 0)),
    "coronal": ((-1, 0, 0), (0, 0, 1)),
    "sagittal": ((0, -1, 0), (0, 0, 1)),
}


def open_screen(browser: Browser, url: str, script: str = "") -> Watched:
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    if script:
        page.add_init_script(script)
    watched = Watched(page)
    page.goto(url)
    if not script:
        page.locator(".mr[data-ready]").wait_for(timeout=WAIT_MS)
        settle(page)
    return watched


def settle(page: Page) -> None:
    """Wait until what was asked for is on the screen."""
    page.locator(".mr").evaluate(
        """async root => { await root.screen.loading; await root.screen.windowing;
        for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); }"""
    )


def set_state(page: Page, **changes: Any) -> None:
    page.locator(".mr").evaluate(
        "(root, to) => { Object.assign(root.screen.state, to); root.screen.draw(); }", changes
    )
    settle(page)


def state(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.locator(".mr").evaluate(
        "root => JSON.parse(JSON.stringify({...root.screen.state, frame: null}))"
    )
    return found


def view(page: Page, role: str) -> Locator:
    return page.locator(f".view[data-role={role}]")


def pixels(page: Page, role: str) -> np.ndarray:
    """What a pane shows, without the letters above it and the readout that may stand before it."""
    before = [view(page, role).locator(".edges"), page.locator(".readout")]
    for one in before:
        one.evaluate("(one) => { one.style.visibility = 'hidden'; }")
    shot = view(page, role).screenshot(timeout=WAIT_MS)
    for one in before:
        one.evaluate("(one) => { one.style.visibility = ''; }")
    picture = np.array(Image.open(io.BytesIO(shot)).convert("RGB")).astype(float)
    # A pane begins between two pixels of the screen: its outermost ones show what is beside it.
    inside = np.zeros(picture.shape[:2], dtype=bool)
    inside[EDGE:-EDGE, EDGE:-EDGE] = True
    return np.where(inside[..., None], picture, 0)


def tile(page: Page, role: str, plane: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of a plane in its pane."""
    number = list(SCREEN).index(plane)
    found = page.locator(".mr").evaluate(
        "(root, [role, plane]) => root.screen.panes.get(role).box(plane)", [role, number]
    )
    left, top, width, height = found
    return left, top, width, height


def expected_place(
    box: tuple[float, float, float, float], plane: str, at: tuple[float, ...]
) -> np.ndarray:
    """Where a stored voxel must lie in a box of the screen, from the source's matrix alone."""
    matrix = np.array(CORONAL)[:3, :3]
    corner = (np.array([WIDTH, HEIGHT, SLICES]) - 1) / 2
    place = matrix @ (np.array(at[::-1]) - corner)  # mm from the middle of the volume
    extent = np.abs(matrix) @ np.array([WIDTH, HEIGHT, SLICES])
    right, top = (np.array(one) for one in SCREEN[plane])
    left_, top_, width, height = box
    shown = np.abs(right) @ extent, np.abs(top) @ extent
    scale = min(width / shown[0], height / shown[1])
    return np.array(
        [left_ + width / 2 + right @ place * scale, top_ + height / 2 - top @ place * scale]
    )


def centre_of(mask: np.ndarray) -> np.ndarray:
    """Middle of the marked pixels: x, y."""
    rows, columns = np.nonzero(mask)
    assert rows.size, "nothing is marked on the screen"
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5])


def bright(picture: np.ndarray) -> np.ndarray:
    """Where the spot of the reference is, in a window in which it alone is white."""
    return picture.min(axis=-1) > 160


def coloured(picture: np.ndarray) -> np.ndarray:
    return picture.max(axis=-1) - picture.min(axis=-1) > 40


def show_spot_alone(page: Page) -> None:
    page.locator(".mr").evaluate("root => root.screen.setWindow({level: 200, width: 40})")
    settle(page)


def drag(page: Page, role: str, start: np.ndarray, end: np.ndarray) -> None:
    box = view(page, role).bounding_box()
    assert box is not None
    for number, (x, y) in enumerate((start, end)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=2)
        if not number:
            page.mouse.down()
    page.mouse.up()
    settle(page)

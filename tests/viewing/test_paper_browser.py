"""Pages of traces in a real Chromium: a millimetre of the page is one of CSS, 96 dpi."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Page

from medconsist.timeseries.simulated.ecg import EcgRecipe, simulate_ecg
from medconsist.viewing.ecg_paper import ecg_paper

pytestmark = pytest.mark.browser

PIXELS_A_MM = 96 / 25.4
SCALE = 4  # device pixels a CSS pixel


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    drawn = ecg_paper(simulate_ecg(EcgRecipe(), generator=torch.Generator().manual_seed(0)))
    page = browser.new_page(viewport={"width": 1200, "height": 900}, device_scale_factor=SCALE)
    page.set_content(f'<body style="margin:0">{drawn}</body>')
    yield page
    page.close()


def test_a_calibration_pulse_is_a_millivolt_high_on_the_screen(page: Page) -> None:
    box = page.locator("path.pulse").first.evaluate(
        "path => { const b = path.getBBox(), m = path.getScreenCTM();"
        " return [b.width * m.a, b.height * m.d]; }"
    )
    assert box == pytest.approx([7 * PIXELS_A_MM, 10 * PIXELS_A_MM], rel=1e-4)


def test_twenty_five_millimetres_of_grid_are_that_on_the_screen(page: Page) -> None:
    top = round(26.5 * PIXELS_A_MM)  # between two horizontal lines, above all traces and labels
    clip = {"x": 0, "y": top, "width": 1150, "height": 1}
    shot = Image.open(io.BytesIO(page.screenshot(clip=clip)))  # type: ignore[arg-type]
    row = np.asarray(shot.convert("RGB"), np.float64)[1, :, 1]
    ink = np.clip(190 - row, 0, None)  # thick lines alone are darker than that
    edges = np.flatnonzero(np.diff(np.concatenate([[0], ink > 0, [0]]).astype(int)))
    centres = [
        float(np.average(np.arange(a, b), weights=ink[a:b]))
        for a, b in edges.reshape(-1, 2).tolist()
    ]
    assert len(centres) == 56
    steps = np.diff(centres[::5])  # of five squares
    assert steps / SCALE == pytest.approx(25 * PIXELS_A_MM, abs=1 / SCALE)  # one device pixel
    whole = (centres[-1] - centres[0]) / SCALE
    assert whole == pytest.approx(275 * PIXELS_A_MM, abs=1 / SCALE)

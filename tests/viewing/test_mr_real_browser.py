"""A real scan, reconstructed by the program and seen on the MR screen in a real Chromium."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from medconsist.cli import main
from medconsist.results.store import ResultStore
from medconsist.viewing.reading import Reading, open_reading
from medconsist.viewing.vendor import missing_vendor, vendor_folder
from medconsist.viewing.web.settings import ViewerSettings
from tests.viewing.mr_views import drag, open_screen, pixels, set_state, settle, tile
from tests.viewing.served import Watched, served

pytestmark = [pytest.mark.browser, pytest.mark.data]

AXIAL = "axial"  # the name in the code of the plane of stored slices where none is known


@pytest.fixture(scope="module")
def root(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := missing_vendor(vendor_folder()):
        pytest.skip(missing)
    folder: Path = tmp_path_factory.mktemp("real") / "results"
    scan = str(data_dir / "mri" / "twixtools_gre.dat")
    words = ["--method", "cgsense", "--threads", "1", "--out", str(folder)]
    assert main(["mri", "reconstruct", scan, *words]) == 0
    return folder


@pytest.fixture(scope="module")
def screen(browser: Browser, root: Path) -> Iterator[Watched]:
    with served(ViewerSettings(results=root), root.parent / "log.txt") as address:
        watched = open_screen(browser, f"{address}/?study=mri&case=twixtools_gre")
        yield watched
        watched.page.close()


def reading(root: Path) -> Reading:
    return open_reading(ResultStore(root, "mri").read("twixtools_gre"))


@pytest.mark.parametrize("role", ["zerofilled", "reconstruction"])
def test_every_voxel_of_the_scan_is_drawn_in_its_place_and_grey(
    screen: Watched, root: Path, role: str
) -> None:
    set_state(screen.page, crosshair=False, opacity=0)
    shown = reading(root)
    stored = shown.images[role].values
    assert stored is not None
    _, height, width = stored.shape
    box = tile(screen.page, role, AXIAL)
    size = shown.images[role].pixel_mm or (1.0, 1.0)
    scale = min(box[2] / (width * size[1]), box[3] / (height * size[0]))
    rows = box[1] + box[3] / 2 + (np.arange(height) - (height - 1) / 2) * scale * size[0]
    columns = box[0] + box[2] / 2 + (np.arange(width) - (width - 1) / 2) * scale * size[1]
    drawn = pixels(screen.page, role)[np.ix_(rows.astype(int), columns.astype(int))][..., 0]
    window = shown.presets["Auto"].window(shown.white)
    expected = 255 * np.clip((stored[0] - window.low) / window.width, 0, 1)
    inside = np.s_[4:-4, 4:-4]
    found = np.abs(drawn - expected)[inside].mean()
    # A voxel has some two pixels of the screen, so that its middle is met to half a pixel.
    assert found < 12
    for turned in (expected[::-1], expected[:, ::-1], expected.T):
        assert np.abs(drawn - turned)[inside].mean() > 2 * found


def test_a_real_scan_shows_what_is_known_of_it_without_an_error(screen: Watched) -> None:
    page = screen.page
    expect(page.locator(".banner.doubt")).to_contain_text("Orientation unknown")
    expect(page.get_by_role("img", name="Residual by k-space radius")).to_be_visible()
    expect(page.get_by_text("positions of k-space, acceleration 1.00.")).to_be_visible()
    assert screen.errors == []


def test_a_region_of_a_real_scan_has_the_numbers_of_its_values(screen: Watched, root: Path) -> None:
    page = screen.page
    page.get_by_label("Tool").select_option("rectangle")
    left, top, width, height = tile(page, "zerofilled", AXIAL)
    middle = np.array([left + width / 2, top + height / 2])
    drag(page, "zerofilled", middle - 60, middle - 10)
    page.locator("table.region tbody tr").first.wait_for()
    settle(page)
    region = page.locator(".mr").evaluate("root => root.screen.state.region")
    edges = {name: round(region[name] + 0.5) for name in ("top", "bottom", "left", "right")}
    values = reading(root).images["zerofilled"].values
    assert values is not None
    inside = values[0, edges["top"] : edges["bottom"], edges["left"] : edges["right"]]
    cells = page.locator("table.region tr[data-role=zerofilled] td").all_inner_texts()
    # four digits are shown
    assert float(cells[0]) == pytest.approx(inside.mean(), rel=1e-3)
    assert float(cells[1]) == pytest.approx(inside.std(ddof=1), rel=1e-3)
    assert cells[4] == str(inside.size)

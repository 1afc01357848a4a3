from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medconsist.results.schema import Result
from medconsist.results.store import ResultStore
from medconsist.viewing.panes import IMAGE_TITLES, first_choice, image_roles, read_pane
from medconsist.viewing.reading import Reading, WindowPercent, open_reading, original_elsewhere
from medconsist.viewing.trust_maps import map_roles
from medconsist.viewing.windowing import percentile_window

WriteResult = Any


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path, "brain")


def damage(folder: Path) -> None:
    """Change one byte of one chunk of an array."""
    chunk = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.chmod(0o644)
    chunk.write_bytes(data)


def reading_of(store: ResultStore, case: str = "scan-1") -> Reading:
    return open_reading(store.read(case))


def test_images_are_shown_from_the_original_to_the_reference(
    write_result: WriteResult, store: ResultStore
) -> None:
    result: Result = write_result(store.root)
    assert image_roles(result) == ["zerofilled", "reconstruction", "reference"]
    assert map_roles(result) == ["not_determined", "refutable_contrast", "matched_filter"]


@pytest.mark.parametrize(
    ("roles", "first"),
    [
        (["zerofilled", "cgsense", "reference"], "cgsense"),
        (["zerofilled", "cs", "reconstruction", "reference"], "reconstruction"),
        (["zerofilled"], "zerofilled"),
        (["reference"], "reference"),
    ],
)
def test_the_reference_is_never_the_image_examined_first(roles: list[str], first: str) -> None:
    assert first_choice(roles) == first


def test_a_complex_image_is_drawn_as_its_magnitude_in_place(
    write_result: WriteResult, store: ResultStore
) -> None:
    write_result(store.root)
    stored = store.read("scan-1")
    pane = read_pane(stored, "reconstruction")
    assert pane.values is not None
    assert (pane.values == np.abs(stored.array("reconstruction"))).all()


def test_a_trust_map_keeps_its_sign(write_result: WriteResult, store: ResultStore) -> None:
    write_result(store.root)
    values = reading_of(store).maps["matched_filter"].values
    assert values is not None
    assert values.min() == -5.0


def test_panes_cannot_be_changed_by_a_page(write_result: WriteResult, store: ResultStore) -> None:
    write_result(store.root)
    values = reading_of(store).images["reconstruction"].values
    assert values is not None
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0, 0] = 1.0


def test_the_auto_preset_is_the_shared_window_to_a_tenth_of_a_per_cent(
    write_result: WriteResult, store: ResultStore
) -> None:
    write_result(store.root)
    reading = reading_of(store)
    volumes = [p.values for p in reading.images.values() if p.values is not None]
    exact = percentile_window(volumes)
    auto = reading.presets["Auto"].window(reading.white)
    # Presets are rounded to 0.1 % of the white level: half of that on each number.
    assert auto.level == pytest.approx(exact.level, abs=0.0006 * reading.white)
    assert auto.width == pytest.approx(exact.width, abs=0.0006 * reading.white)


def test_every_preset_lies_on_the_sliders(write_result: WriteResult, store: ResultStore) -> None:
    write_result(store.root)
    reading = reading_of(store)
    for preset in reading.presets.values():
        assert 0 <= preset.level <= reading.limit
        assert 0.1 <= preset.width <= reading.limit


def test_a_window_in_per_cent_follows_the_unit_of_the_images() -> None:
    percent = WindowPercent(level=50.0, width=80.0)
    assert percent.window(white=2.0).width == pytest.approx(1.6)  # two float64 roundings


def test_one_broken_array_leaves_the_original_on_the_screen(
    write_result: WriteResult, store: ResultStore
) -> None:
    result = write_result(store.root)
    damage(store.root / "brain" / "scan-1" / result.key / "reconstruction.zarr")
    reading = reading_of(store)
    assert reading.images["reconstruction"].values is None
    assert "not as it was written" in reading.images["reconstruction"].problem
    assert reading.drawable == ["zerofilled", "reference"]


def test_pixels_that_are_not_finite_are_counted_and_not_drawn(
    write_result: WriteResult, store: ResultStore
) -> None:
    broken = np.ones((3, 48, 40), dtype=np.complex64)
    broken[0, 0, :3] = np.nan
    write_result(store.root, images={"reconstruction": broken})
    pane = reading_of(store).images["reconstruction"]
    assert (pane.values, pane.problem) == (None, "Not drawn: 3 pixels are not finite.")


def test_an_image_of_another_grid_is_not_drawn_beside_the_others(
    write_result: WriteResult, store: ResultStore
) -> None:
    write_result(store.root, images={"reference": np.ones((3, 40, 48))})
    assert "is not the grid (3, 48, 40)" in reading_of(store).images["reference"].problem


def test_images_that_are_all_zero_have_a_window(
    write_result: WriteResult, store: ResultStore
) -> None:
    nothing = dict.fromkeys(("zerofilled", "reconstruction", "reference"), np.zeros((1, 4, 5)))
    write_result(store.root, images=nothing, maps=())
    reading = reading_of(store)
    assert (reading.white, reading.n_slices) == (1.0, 1)
    assert "Auto" in reading.presets


def test_the_original_is_found_in_another_result_of_the_case(
    write_result: WriteResult, store: ResultStore
) -> None:
    first, second = write_result(store.root), write_result(store.root, lambda_=0.02)
    (store.root / "brain" / "scan-1" / first.key / "result.json").unlink()
    pane = original_elsewhere(store, "scan-1", [first.key, second.key])
    assert pane is not None
    assert pane.title == IMAGE_TITLES["zerofilled"]
    assert original_elsewhere(store, "scan-1", [first.key]) is None


def test_unknown_spacing_stays_unknown(write_result: WriteResult, store: ResultStore) -> None:
    write_result(store.root)
    write_result(store.root, "scan-2", array={"spacing_mm": (5.0, 1.2, 0.8)})
    assert reading_of(store).images["reconstruction"].pixel_mm is None
    known = reading_of(store, "scan-2").images["reconstruction"]
    assert known.pixel_mm == (1.2, 0.8)
    assert known.pixel_aspect == pytest.approx(1.5)  # one float64 division


def test_the_sampling_mask_is_read_if_it_is_there(
    write_result: WriteResult, store: ResultStore
) -> None:
    result = write_result(store.root)
    mask = reading_of(store).mask
    assert mask is not None
    assert mask.sum() == 24 * 40
    damage(store.root / "brain" / "scan-1" / result.key / "sampling_mask.zarr")
    assert reading_of(store).mask is None

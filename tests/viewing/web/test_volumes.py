"""What is drawn lies where it was stored, and what is said comes from the stored values."""

import nibabel
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError
from medconsist.results.schema import ArrayRecord
from medconsist.viewing.web.volumes import Region, display_nifti, region_numbers

AFFINE = (
    (0.0, -0.9, 0.0, 12.0),
    (1.1, 0.0, 0.0, -30.0),
    (0.0, 0.0, 3.0, 5.0),
    (0.0, 0.0, 0.0, 1.0),
)


def _record(shape: tuple[int, ...], *, known: bool = True) -> ArrayRecord:
    return ArrayRecord(
        role="cs",
        path="cs.zarr",
        kind="zarr",
        axes=("slices", "height", "width"),
        shape=shape,
        dtype="float32",
        sha256="0" * 64,
        spacing_mm=(3.0, 0.9, 1.1) if known else None,
        orientation=AFFINE if known else None,
    )


@pytest.fixture
def values() -> np.ndarray:
    """A volume without any symmetry."""
    return np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4) ** 1.5


def _read(data: bytes) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image.from_bytes(data)


def test_column_row_and_slice_are_the_axes_of_the_file(values: np.ndarray) -> None:
    file = _read(display_nifti(values, _record(values.shape)))
    drawn = file.get_fdata()
    step = values.max() / 32767
    assert drawn.shape == (4, 3, 2)
    # half a step of 16 bits
    assert np.allclose(drawn.transpose(2, 1, 0), values, atol=step / 2 * 1.01)
    assert np.allclose(file.affine, AFFINE)
    assert (int(file.header["sform_code"]), int(file.header["qform_code"])) == (1, 1)


def test_an_unknown_orientation_stays_unknown(values: np.ndarray) -> None:
    header = _read(display_nifti(values, _record(values.shape, known=False))).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    assert int(header["xyzt_units"]) & 7 == 0  # no unit of length


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_any_scale_is_drawn(values: np.ndarray, scale: float) -> None:
    scaled = (values.astype(np.float64) * scale).astype(np.float64)
    drawn = _read(display_nifti(scaled, _record(values.shape))).get_fdata()
    assert np.allclose(drawn.transpose(2, 1, 0), scaled, atol=np.abs(scaled).max() / 60_000)


def test_signs_stay_and_what_is_not_finite_is_nothing(values: np.ndarray) -> None:
    signed = values - values.mean()
    signed[0, 0, 0], signed[1, 2, 3] = np.nan, np.inf
    drawn = _read(display_nifti(signed, _record(values.shape))).get_fdata().transpose(2, 1, 0)
    assert drawn[0, 0, 0] == drawn[1, 2, 3] == 0
    assert np.sign(drawn[0, 0, 1]) == np.sign(signed[0, 0, 1]) == -1


def test_a_rectangle_is_the_pixels_whose_middle_it_holds(values: np.ndarray) -> None:
    found = region_numbers(values, Region(1, 0.5, 0.5, 2.5, 3.5, "rectangle"), unit="a.u.")
    inside = values[1, 1:3, 1:4].astype(np.float64)
    assert found.pixels == 6
    assert found.mean == pytest.approx(inside.mean())
    assert found.deviation == pytest.approx(inside.std(ddof=1))
    assert (found.least, found.largest) == (inside.min(), inside.max())


@settings(max_examples=60, deadline=None)
@given(edges=st.lists(st.integers(-50, 1050), min_size=4, max_size=4))
def test_a_rectangle_holds_its_border_as_the_files_that_leave_do(edges: list[int]) -> None:
    (first, last), (west, east) = sorted(edges[:2]), sorted(edges[2:])
    top, bottom, left, right = (one / 100 for one in (first, last + 1, west, east + 1))
    rows, columns = np.indices((10, 10))
    inside = shapely.intersects_xy(shapely.box(left, top, right, bottom), columns, rows)
    region = Region(0, top, left, bottom, right, "rectangle")
    assert region_numbers(np.ones((1, 10, 10)), region, unit=None).pixels == inside.sum()


@settings(max_examples=40, deadline=None)
@given(radius=st.floats(5, 40), place=st.tuples(st.floats(45, 55), st.floats(45, 55)))
def test_an_ellipse_has_the_area_of_an_ellipse(radius: float, place: tuple[float, float]) -> None:
    values = np.ones((1, 100, 100))
    y, x = place
    region = Region(0, y - radius, x - radius / 2, y + radius, x + radius / 2)
    # pixels at the edge count whole or not at all
    area = np.pi * radius**2 / 2
    assert region_numbers(values, region, unit=None).pixels == pytest.approx(area, abs=4 * radius)


def test_an_empty_region_and_a_single_pixel_say_what_they_have(values: np.ndarray) -> None:
    nothing = region_numbers(values, Region(0, 0.1, 0.1, 0.2, 0.2), unit=None)
    assert (nothing.pixels, nothing.mean) == (0, None)
    one = region_numbers(values, Region(0, -0.4, -0.4, 0.4, 0.4), unit=None)
    assert (one.pixels, one.mean, one.deviation) == (1, values[0, 0, 0], None)


def test_a_region_that_is_none_is_refused(values: np.ndarray) -> None:
    with pytest.raises(RefusedInputError, match="there is no slice 2"):
        region_numbers(values, Region(2, 0, 0, 1, 1), unit=None)
    with pytest.raises(RefusedInputError, match="allowed: finite"):
        Region(0, 1, 0, 1, 1)
    with pytest.raises(RefusedInputError, match="allowed: finite"):
        Region(0, 0, 0, float("nan"), 1)
    values[0, 0, 0] = np.nan
    with pytest.raises(RefusedInputError, match="not finite"):
        region_numbers(values, Region(0, -1, -1, 1, 1), unit=None)

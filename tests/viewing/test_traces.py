"""Paths in millimetres: units, breaks at missing samples, and no peak lost when points are many."""

import re

import numpy as np
import pytest

from medconsist.viewing.traces import badge, document, millivolts_per, text, trace_path


def points(data: str) -> list[tuple[float, float]]:
    """Return the points of a path of moves and lines."""
    pairs = re.findall(r"(-?[\d.]+),(-?[\d.]+)", data)
    return [(float(x), float(y)) for x, y in pairs]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("mV", 1), ("mv", 1), ("uV", 1e-3), ("µV", 1e-3), ("μV", 1e-3), ("V", 1e3), ("nV", 1e-6)],
)
def test_voltages_are_converted(unit: str, factor: float) -> None:
    assert millivolts_per(unit) == pytest.approx(factor)


@pytest.mark.parametrize("unit", [None, "MV", "NU", "mmHg", "", "z"])
def test_what_is_no_known_voltage_has_no_scale(unit: str | None) -> None:
    assert millivolts_per(unit) is None


def test_a_line_breaks_where_samples_are_missing() -> None:
    y = np.array([1, 2, np.nan, np.nan, 3, np.nan, 4, 5])
    data = trace_path(np.arange(8.0), y)
    assert data == "M0.00,1.00L1.00,2.00M4.00,3.00h0M6.00,4.00L7.00,5.00"


def test_nothing_is_drawn_of_missing_samples_alone() -> None:
    assert trace_path(np.arange(3.0), np.full(3, np.nan)) == ""


def test_all_points_are_kept_where_they_are_few() -> None:
    x = np.arange(1000) / 40
    assert len(points(trace_path(x, np.sin(x)))) == 1000


def test_many_points_lose_no_peak() -> None:
    rng = np.random.default_rng(0)
    x, y = np.arange(100_000) / 1000, rng.normal(size=100_000)
    y[[5_003, 77_777]] = 50, -60
    drawn = np.array(points(trace_path(x, y)))
    assert len(drawn) <= 4 * 1001
    assert drawn[:, 1].max() == 50
    assert drawn[:, 1].min() == -60
    assert drawn[0].tolist() == pytest.approx([x[0], y[0]], abs=0.005)  # printed to 0.01 mm
    assert drawn[-1].tolist() == pytest.approx([x[-1], y[-1]], abs=0.006)
    assert (np.diff(drawn[:, 0]) >= 0).all()


def test_words_are_escaped() -> None:
    assert "<script>" not in text("<script>", at=(0, 0)) + badge("<script>", at=(0, 0))
    page = document([], width_mm=10, height_mm=5, name='"><script>', facts={"a": '"'})
    assert "<script>" not in page
    assert 'width="10mm" height="5mm" viewBox="0 0 10 5"' in page

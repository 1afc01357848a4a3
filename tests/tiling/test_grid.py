"""One grid for every dimension: how many windows, where they lie, what happens at the edge."""

import math
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.grid import Edge, Grid

EDGES = get_args(Edge)


@st.composite
def grids(draw: st.DrawFn, *, whole: bool = True) -> dict[str, Any]:
    """Grids of 1 to 3 axes whose windows fit and overlap or touch."""
    axes = draw(st.integers(1, 3))
    lengths = st.integers(1, 40) if whole else st.floats(1, 40)
    window = [draw(lengths) for _ in range(axes)]
    step = [draw(st.integers(1, math.floor(length))) for length in window]
    size = [length + draw(st.integers(0, 60)) for length in window]
    edge = draw(st.sampled_from(EDGES))
    return {"size": tuple(size), "window": tuple(window), "step": tuple(step), "edge": edge}


def naive_starts(size: int, window: int, step: int, edge: Edge) -> list[int]:
    """Walk along an axis as the words of the docstring say."""
    starts, at = [], 0
    while at + window <= size:
        starts.append(at)
        at += step
    covered = starts[-1] + window if starts else 0
    if covered < size and edge == "shift":
        starts.append(size - window)
    if covered < size and edge == "keep":
        starts.append(at)
    return starts


@given(grids())
def test_windows_lie_where_a_walk_along_each_axis_puts_them(lengths: dict[str, Any]) -> None:
    grid = Grid(**lengths)
    walks = [
        naive_starts(int(size), int(window), int(step), grid.edge)
        for size, window, step in zip(grid.size, grid.window, grid.step, strict=True)
    ]
    assert grid.shape == tuple(len(walk) for walk in walks)
    mesh = np.stack(np.meshgrid(*walks, indexing="ij"), axis=-1).reshape(-1, len(walks))
    np.testing.assert_array_equal(grid.starts(np.arange(len(grid))), mesh)
    for axis, walk in enumerate(walks):
        np.testing.assert_array_equal(grid.spans(axis)[:, 0], walk)


@given(grids(whole=False))
def test_dropped_and_shifted_windows_lie_inside_kept_ones_cover_everything(
    lengths: dict[str, Any],
) -> None:
    grid = Grid(**lengths)
    starts = grid.starts(np.arange(len(grid)))
    ends = starts + np.asarray(grid.window)
    if grid.edge == "keep":
        assert (starts < np.asarray(grid.size)).all()
    else:
        assert (ends <= np.asarray(grid.size) + 1e-7).all()  # 1e-9 of a step of at most 40
    if grid.edge != "drop":
        assert (ends.max(axis=0) >= np.asarray(grid.size) - 1e-7).all()


@given(grids())
def test_index_and_item_are_row_major(lengths: dict[str, Any]) -> None:
    grid = Grid(**lengths)
    items = np.arange(len(grid))
    indices = grid.indices(items)
    np.testing.assert_array_equal(np.ravel_multi_index(tuple(indices.T), grid.shape), items)
    assert grid.index(len(grid) - 1) == tuple(length - 1 for length in grid.shape)


def test_last_window_does_not_drift_at_column_10000() -> None:
    step = 256 * 0.5 / 0.2498
    grid = Grid(size=(600.0, 6e6), window=(512.5, 512.5), step=(step, step))
    (start,) = grid.starts([10_000])
    assert start[1] == 10_000 * step  # one product, one rounding: bit for bit
    assert grid.index(10_000) == (0, 10_000)


def test_float_noise_does_not_cost_the_last_window() -> None:
    step = 0.1 * 3  # 0.30000000000000004
    for edge in EDGES:
        grid = Grid(size=(0.9,), window=(step,), step=(step,), edge=edge)
        assert grid.shape == (3,)


def test_window_longer_than_the_extent_is_dropped_kept_or_refused() -> None:
    short = {"size": (5,), "window": (8,), "step": (8,)}
    assert Grid(**short, edge="drop").shape == (0,)
    assert Grid(**short, edge="keep").shape == (1,)
    assert Grid(**short, edge="keep").slices(0) == (slice(0, 5),)
    with pytest.raises(RefusedInputError, match="does not fit into"):
        Grid(**short, edge="shift")


def test_kept_window_that_would_begin_behind_the_end_does_not_exist() -> None:
    gaps = Grid(size=(10,), window=(3,), step=(5,), edge="keep")
    assert gaps.spans(0).tolist() == [[0, 3], [5, 8]]


def test_empty_selection_has_the_shape_of_any_other() -> None:
    for size in ((4, 4), (1, 4)):  # the second has no window at all
        grid = Grid(size=size, window=(2, 2), step=(2, 2))
        assert grid.indices([]).shape == grid.starts([]).shape == (0, 2)


@pytest.mark.parametrize("item", [4, -1])
def test_window_that_does_not_exist_is_refused(item: int) -> None:
    grid = Grid(size=(4, 4), window=(2, 2), step=(2, 2))
    with pytest.raises(RefusedInputError, match="whole numbers from 0 to 3"):
        grid.indices([0, item])
    with pytest.raises(RefusedInputError, match="allowed are 0 to 3"):
        grid.index(item)


def test_array_cannot_be_cut_at_fractions() -> None:
    grid = Grid(size=(10,), window=(2.5,), step=(2.5,))
    for use in (grid.slices, grid.spans):
        with pytest.raises(RefusedInputError, match="only be cut at whole numbers"):
            use(0)


@pytest.mark.parametrize("name", ["size", "window", "step"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_length_that_is_no_length_is_refused(name: str, value: float) -> None:
    lengths: dict[str, Any] = {"size": (9,), "window": (3,), "step": (3,)} | {name: (value,)}
    with pytest.raises(RefusedInputError, match=f"{name} must be finite and above 0"):
        Grid(**lengths)


def test_axes_must_agree() -> None:
    with pytest.raises(ShapeError, match="one entry for each axis"):
        Grid(size=(9, 9), window=(3,), step=(3,))

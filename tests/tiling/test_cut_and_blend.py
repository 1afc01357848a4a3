"""Cut into windows and put together again: the array itself, in every mode, edge and dimension."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.blend import BlendMode, OverlapAdd, blend, blend_parts
from medconsist.tiling.cut import ArraySource, Padding, cut, window
from medconsist.tiling.grid import Edge, Grid

MODES = get_args(BlendMode)
GRIDS = {
    "signal": Grid(size=(61,), window=(16,), step=(7,), edge="keep"),
    "signal in one window": Grid(size=(9,), window=(9,), step=(2,)),
    "window longer than the signal": Grid(size=(5,), window=(9,), step=(9,), edge="keep"),
    "tiles, odd steps": Grid(size=(23, 31), window=(9, 8), step=(5, 3), edge="shift"),
    "tiles side by side": Grid(size=(24, 32), window=(8, 8), step=(8, 8), edge="drop"),
    "tiles that stick out": Grid(size=(23, 31), window=(9, 8), step=(5, 8), edge="keep"),
    "slabs": Grid(size=(11, 12, 10), window=(4, 12, 5), step=(3, 12, 2), edge="shift"),
    "slabs that stick out": Grid(size=(11, 13, 10), window=(4, 6, 5), step=(2, 5, 3), edge="keep"),
}
WHOLE = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
MODE = pytest.mark.parametrize("mode", MODES)


@st.composite
def covering_grids(draw: st.DrawFn) -> dict[str, Any]:
    """Grids of 1 to 3 axes without gaps."""
    windows = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    steps = [draw(st.integers(1, length)) for length in windows]
    sizes = [length + draw(st.integers(0, 9)) for length in windows]
    edge = draw(st.sampled_from(("keep", "shift")))
    return {"size": tuple(sizes), "window": tuple(windows), "step": tuple(steps), "edge": edge}


def whole(lengths: tuple[float | int, ...]) -> list[int]:
    return [int(length) for length in lengths]


def sample(grid: Grid, *channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(*channels, *whole(grid.size), generator=generator, dtype=dtype)


def weights(grid: Grid, mode: BlendMode) -> Tensor:
    """Return what each window contributes to each place: the blend of window k at 1, others 0."""
    ones = torch.eye(len(grid), dtype=torch.float64)
    spread = ones[:, :, *(None for _ in grid.window)].expand(-1, -1, *whole(grid.window))
    return blend(spread.contiguous(), grid, mode=mode)


def naive_blend(windows: Tensor, grid: Grid, shape: Tensor) -> Tensor:
    """Add up weight times value and weight, window by window, and divide; 1 axis or 2."""
    total = torch.zeros(whole(grid.size), dtype=torch.float64)
    weight = torch.zeros_like(total)
    for item in range(len(grid)):
        starts = [int(start) for start in grid.starts([item])[0]]
        for offset in np.ndindex(*whole(grid.window)):
            place = tuple(start + step for start, step in zip(starts, offset, strict=True))
            if all(at < length for at, length in zip(place, total.shape, strict=True)):
                total[place] += shape[offset] * windows[item][offset]
                weight[place] += shape[offset]
    return total / weight


@WHOLE
@MODE
@pytest.mark.parametrize("channels", [(), (3,), (2, 3)])
def test_cutting_and_blending_returns_the_array(
    grid: Grid, mode: BlendMode, channels: tuple[int, ...]
) -> None:
    array = sample(grid, *channels)
    back = blend(cut(array, grid), grid, mode=mode)
    # Every window says the same of a place, so that its running mean never moves: bit for bit.
    assert torch.equal(back, array)


@given(covering_grids(), st.sampled_from(MODES))
@settings(max_examples=60, deadline=None)
def test_weights_of_all_windows_add_up_to_one_everywhere(
    lengths: dict[str, Any], mode: BlendMode
) -> None:
    grid = Grid(**lengths)
    own = weights(grid, mode)
    torch.testing.assert_close(
        own.sum(0), torch.ones_like(own[0]), rtol=0, atol=1e-12
    )  # float64; the contract asks for 1e-6
    assert (own >= 0).all()
    if mode == "crop":
        assert ((own == 0) | (own == 1)).all()


@given(covering_grids(), st.sampled_from(MODES), st.integers(-(2**70), 2**70).map(float))
@settings(max_examples=40, deadline=None)
def test_constants_are_reproduced_exactly(
    lengths: dict[str, Any], mode: BlendMode, value: float
) -> None:
    grid = Grid(**lengths)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        windows = torch.full((len(grid), *whole(grid.window)), value, dtype=dtype)
        assert (blend(windows, grid, mode=mode) == windows.ravel()[0]).all()


@pytest.mark.parametrize("name", ["signal", "tiles, odd steps", "tiles that stick out"])
@pytest.mark.parametrize("mode", ["mean", "linear", "hann"])
def test_blend_is_the_weighted_mean_of_the_naive_loop(name: str, mode: BlendMode) -> None:
    grid = GRIDS[name]
    generator = torch.Generator().manual_seed(8)
    windows = torch.randn(len(grid), *whole(grid.window), generator=generator, dtype=torch.float64)
    shape = torch.ones(())
    for length in grid.window:
        middle = (np.arange(length) + 0.5) / length
        bells = {"mean": 1 + 0 * middle, "linear": 1 - abs(2 * middle - 1)}
        bells["hann"] = np.sin(np.pi * middle) ** 2
        shape = shape[..., None] * torch.from_numpy(bells[mode])
    expected = naive_blend(windows, grid, shape)
    torch.testing.assert_close(blend(windows, grid, mode=mode), expected, rtol=1e-12, atol=1e-12)


@WHOLE
def test_crop_takes_each_place_from_the_window_with_the_nearest_centre(grid: Grid) -> None:
    own = weights(grid, "crop").argmax(0).numpy()
    starts = grid.starts(np.arange(len(grid)))
    centres = starts + np.asarray(grid.window) / 2
    for place in np.ndindex(*own.shape):
        distance = np.abs(centres - (np.asarray(place) + 0.5)).max(axis=1)
        here = centres[own[place]] - (np.asarray(place) + 0.5)
        for axis in range(len(place)):
            other = np.abs(centres[:, axis] - place[axis] - 0.5).min()
            assert abs(here[axis]) == other
        assert distance[own[place]] <= max(grid.window) / 2


@MODE
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.float16])
def test_type_of_the_windows_is_kept(mode: BlendMode, dtype: torch.dtype) -> None:
    grid = GRIDS["tiles, odd steps"]
    array = sample(grid, 2, dtype=torch.complex64).to(dtype) if dtype.is_complex else sample(grid)
    array = array.to(dtype)
    back = blend(cut(array, grid), grid, mode=mode)
    assert back.dtype == dtype
    assert torch.equal(back, array)


def test_whole_numbers_are_cropped_but_never_averaged() -> None:
    grid = GRIDS["tiles that stick out"]
    picture = torch.randint(0, 255, (3, 23, 31), dtype=torch.uint8)
    assert torch.equal(blend(cut(picture, grid), grid, mode="crop"), picture)
    with pytest.raises(RefusedInputError, match="cannot be averaged without rounding"):
        blend(cut(picture, grid), grid, mode="mean")


@WHOLE
@MODE
@pytest.mark.parametrize("batch", [1, 3])
def test_parts_put_together_are_the_whole(grid: Grid, mode: BlendMode, batch: int) -> None:
    generator = torch.Generator().manual_seed(5)
    windows = torch.randn(len(grid), 2, *whole(grid.window), generator=generator)
    cuts = range(0, len(grid), batch)
    batches = ((range(at, min(at + batch, len(grid))), windows[at : at + batch]) for at in cuts)
    parts = list(blend_parts(batches, grid, mode=mode))
    assert torch.equal(torch.cat(parts, dim=1), blend(windows, grid, mode=mode))


@MODE
def test_order_in_which_windows_come_does_not_matter(mode: BlendMode) -> None:
    grid = GRIDS["slabs"]
    generator = torch.Generator().manual_seed(5)
    windows = torch.randn(len(grid), *whole(grid.window), generator=generator, dtype=torch.float64)
    order = torch.randperm(len(grid), generator=generator)
    shuffled = OverlapAdd(grid, mode=mode)
    for item in order.tolist():
        shuffled.add([item], windows[item][None])
    expected = blend(windows, grid, mode=mode)
    torch.testing.assert_close(shuffled.finish(), expected, rtol=1e-12, atol=1e-12)


def test_long_signal_is_blended_in_bounded_memory() -> None:
    grid = Grid(size=(200_000,), window=(1000,), step=(500,))
    held, length = [], 0
    whole = OverlapAdd(grid, mode="hann")
    for item in range(len(grid)):
        whole.add([item], torch.ones(1, 1000))
        held.append(whole._held[1].shape[0] if whole._held else 0)
        if whole.n_finished:
            length += len(whole.take())
    assert max(held) <= 2000  # of 200 000: a window, and room that is doubled
    assert length == 200_000
    assert whole.n_left == 0


def test_blend_passes_gradients_on_as_its_weights() -> None:
    grid = GRIDS["signal"]
    windows = torch.ones(len(grid), 16, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(blend(windows, grid, mode="hann").sum(), windows)
    assert gradient.sum().item() == pytest.approx(61, abs=1e-9)  # partition of unity


def test_unknown_values_stay_where_they_are() -> None:
    grid = Grid(size=(10,), window=(4,), step=(3,), edge="keep")
    windows = torch.ones(len(grid), 4)
    windows[1, 3] = torch.nan
    assert blend(windows, grid, mode="hann").isnan().nonzero().ravel().tolist() == [6]
    assert not blend(windows, grid, mode="crop")[:6].isnan().any()


def test_missing_window_is_named() -> None:
    grid = GRIDS["tiles, odd steps"]
    whole = OverlapAdd(grid)
    whole.add([0, 2], torch.ones(2, 9, 8))
    with pytest.raises(RefusedInputError, match=r"windows are missing, the first is \(0, 1\)"):
        whole.finish()
    with pytest.raises(RefusedInputError, match="added twice"):
        whole.add([2], torch.ones(1, 9, 8))


@pytest.mark.parametrize(
    ("grid", "places"),
    [
        (Grid(size=(10,), window=(4,), step=(4,), edge="drop"), "places 8 to 9 of axis 0"),
        (Grid(size=(12,), window=(2,), step=(5,), edge="shift"), "places 2 to 4 of axis 0"),
        (Grid(size=(4, 3), window=(4, 4), step=(4, 4)), "places 0 to 2 of axis 1"),
    ],
)
def test_uncovered_places_are_refused_before_any_work(grid: Grid, places: str) -> None:
    with pytest.raises(RefusedInputError, match=places):
        OverlapAdd(grid)


@pytest.mark.parametrize(
    "windows", [torch.ones(2, 8, 9), torch.ones(3, 9, 8), torch.ones(2, 8), torch.ones(2)]
)
def test_windows_of_another_shape_are_refused(windows: Tensor) -> None:
    with pytest.raises(ShapeError, match=r"2 windows of \(9, 8\) are needed"):
        OverlapAdd(GRIDS["tiles, odd steps"]).add([0, 1], windows)


@pytest.mark.parametrize("second", [torch.ones(1, 2, 16), torch.ones(1, 3, 16).double()])
def test_windows_unlike_the_first_are_refused(second: Tensor) -> None:
    whole = OverlapAdd(GRIDS["signal"])
    whole.add([0], torch.ones(1, 3, 16))
    with pytest.raises(ShapeError, match="all windows must be like the first"):
        whole.add([1], second)


def test_nothing_is_taken_before_anything_is_finished() -> None:
    whole = OverlapAdd(GRIDS["signal"])
    with pytest.raises(RefusedInputError, match="windows are missing"):
        whole.take()


@pytest.mark.parametrize("edge", get_args(Edge))
@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_source_reads_what_cut_returns(edge: Edge, padding: Padding) -> None:
    grid = Grid(size=(10, 7), window=(4, 3), step=(3, 3), edge=edge)
    volume = sample(grid, 2)
    source = ArraySource(volume.numpy(), grid, padding=padding)
    expected = cut(volume, grid, padding=padding).numpy()
    np.testing.assert_array_equal(source.all(), expected)
    assert (len(source), *source.shape) == expected.shape
    some = ArraySource(volume.numpy(), grid, items=[3, 0], padding=padding)
    np.testing.assert_array_equal(some.all(), expected[[3, 0]])


def test_reflection_is_that_of_numpy_also_over_several_lengths() -> None:
    grid = Grid(size=(4,), window=(15,), step=(15,), edge="keep")
    expected = np.pad(np.arange(4.0), (0, 11), mode="reflect")
    np.testing.assert_array_equal(cut(torch.arange(4.0), grid, padding="reflect")[0], expected)
    assert cut(torch.arange(4.0), grid)[0, 4:].eq(0).all()


def test_window_that_fits_is_a_view() -> None:
    array = torch.zeros(10, 7)
    grid = Grid(size=(10, 7), window=(4, 3), step=(3, 2), edge="keep")
    window(array, grid, 0)[:] = 5
    assert array[:4, :3].eq(5).all()


def test_array_of_another_size_is_refused() -> None:
    grid = GRIDS["signal"]
    for use in (lambda: cut(torch.ones(60), grid), lambda: ArraySource(np.ones(60), grid)):
        with pytest.raises(ShapeError, match=r"must be \(61,\), the size of its grid"):
            use()


def test_windows_that_do_not_exist_are_refused() -> None:
    grid = Grid(size=(2,), window=(3,), step=(3,))
    with pytest.raises(RefusedInputError, match="no window to cut"):
        cut(torch.ones(2), grid)
    with pytest.raises(RefusedInputError, match="whole numbers from 0 to 7"):
        ArraySource(np.ones(61), GRIDS["signal"], items=[9])
    with pytest.raises(RefusedInputError, match="whole numbers"):
        ArraySource(np.ones(5), Grid(size=(5,), window=(2.5,), step=(1.0,)))

"""Coordinates are those of the exact grid; features that fp16 cannot hold are refused."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medconsist._records import make_record
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.tiling.grid import Edge
from medconsist.wsi.bags.bag import Bag, half_features, make_bag
from medconsist.wsi.bags.header import BagGrid, BagHeader
from medconsist.wsi.bags.simulate import simulated_bag
from medconsist.wsi.mpp import Mpp
from medconsist.wsi.tile_grid import TileGrid

mpps = st.floats(0.1, 1.0)


@given(mpps, mpps, st.sampled_from([0.25, 0.5, 0.9]), st.integers(0, 200), st.floats(0, 5000))
def test_exact_coordinates_are_origin_plus_index_times_step_times_scale(
    mpp_x: float, mpp_y: float, target: float, overlap: int, origin: float
) -> None:
    tiles = TileGrid(
        width=40_000,
        height=30_000,
        mpp=Mpp(mpp_x, mpp_y, "given"),
        target_mpp=target,
        tile_px=256,
        overlap_px=overlap,
        origin_x=origin,
        origin_y=2 * origin,
    )
    grid = BagGrid.of_tile_grid(tiles)
    index = torch.tensor([[0, 0], [grid.columns - 1, grid.rows - 1]], dtype=torch.int32)

    exact = grid.exact_coords(index)

    step = 256 - overlap
    for (column, row), (x, y) in zip(index.tolist(), exact.tolist(), strict=True):
        # one rounding of float64 more or less: the order of the two products
        assert math.isclose(x, origin + column * step * (target / mpp_x), rel_tol=1e-15)
        assert math.isclose(y, 2 * origin + row * step * (target / mpp_y), rel_tol=1e-15)
    items = (index[:, 1].long() * grid.columns + index[:, 0]).numpy()
    assert exact.tolist() == tiles.boxes(items)[:, :2].tolist()
    assert grid.coords(index).tolist() == tiles.coords(items).tolist()


@pytest.mark.parametrize("edge", ["drop", "keep", "shift"])
def test_every_edge_rule_gives_the_places_of_the_tile_reader(edge: Edge) -> None:
    mpp = Mpp(0.2501, 0.2499, "given")
    tiles = TileGrid(width=3001, height=2003, mpp=mpp, target_mpp=0.5, tile_px=256, edge=edge)
    items = list(range(len(tiles)))
    index = torch.from_numpy(tiles.index(items))
    found = BagGrid.of_tile_grid(tiles).exact_coords(index)
    assert found.tolist() == tiles.boxes(items)[:, :2].tolist()


def test_there_is_no_drift_at_column_10000() -> None:
    scale = 0.5 / 0.2498
    grid = BagGrid(
        tile_px=64, step_px=64, scale_x=scale, scale_y=scale, width=1_300_000, height=200,
        columns=10_148, rows=1,
    )  # fmt: skip
    x = float(grid.exact_coords(torch.tensor([[10_000, 0]], dtype=torch.int32))[0, 0])
    assert x == pytest.approx(10_000 * 64 * 0.5 / 0.2498, rel=1e-15)


def test_a_grid_survives_json_to_the_last_bit() -> None:
    header = simulated_bag(tiles=60, dim=2).header
    again = BagHeader.model_validate_json(header.model_dump_json())
    assert again == header


def test_an_index_in_the_wrong_order_is_refused() -> None:
    bag = simulated_bag(tiles=60, dim=2)
    with pytest.raises(RefusedInputError, match=r"Is the index \(column, row\)\?"):
        bag.header.grid.exact_coords(bag.index.flip(1))


def test_columns_that_the_region_does_not_give_are_refused() -> None:
    values = simulated_bag(tiles=3, dim=2).header.grid.model_dump() | {"columns": 7}
    with pytest.raises(RefusedInputError, match="not columns = 7"):
        make_record(BagGrid, **values)


def test_a_scale_that_is_not_target_over_mpp_is_refused() -> None:
    header = simulated_bag(tiles=3, dim=2).header
    values = dict(header) | {"mpp_x": 0.25}
    with pytest.raises(RefusedInputError, match="is not target_mpp / mpp = 2"):
        make_record(BagHeader, **values)


@pytest.mark.parametrize(
    "change",
    [{"mpp_x": None}, {"mpp_source": "unknown"}, {"mpp_x": None, "mpp_y": None}],
    ids=str,
)
def test_mpp_is_known_with_its_source_or_not_at_all(change: dict[str, object]) -> None:
    values = dict(simulated_bag(tiles=3, dim=2).header) | change
    with pytest.raises(RefusedInputError, match="must be known together or not at all"):
        make_record(BagHeader, **values)


def test_an_unknown_key_of_the_header_is_refused_with_the_nearest() -> None:
    values = dict(simulated_bag(tiles=3, dim=2).header) | {"slide_sha": "0" * 64}
    with pytest.raises(RefusedInputError, match=r"'slide_sha' is not known.*'slide_sha256'"):
        make_record(BagHeader, **values)


def test_a_tile_beyond_int32_is_refused() -> None:
    grid = BagGrid(
        tile_px=8, step_px=8, scale_x=1.0, scale_y=1.0, width=8, height=8, columns=1, rows=1,
        origin_x=3e9,
    )  # fmt: skip
    with pytest.raises(RefusedInputError, match="int32 ends at 2147483647"):
        grid.coords(torch.zeros(1, 2, dtype=torch.int32))


@given(st.lists(st.floats(-65504, 65504, width=32), min_size=1, max_size=20))
def test_fp16_keeps_eleven_bits_or_an_absolute_3e_8(values: list[float]) -> None:
    exact = torch.tensor([values], dtype=torch.float64)
    error = (half_features(exact.float()).double() - exact).abs()
    assert bool((error <= torch.maximum(exact.abs() * 2**-11, torch.tensor(2**-25))).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_features_of_any_float_type_are_taken(dtype: torch.dtype) -> None:
    assert half_features(torch.ones(2, 3, dtype=dtype)).dtype == torch.float16


def test_features_that_are_not_finite_are_counted_and_placed() -> None:
    features = torch.zeros(4, 3)
    features[2, 1], features[3, 0] = float("nan"), float("inf")
    with pytest.raises(RefusedInputError, match=r"2 of 12 .* nan at tile 12, feature 1, .* bf16"):
        half_features(features, first_tile=10)


def test_features_beyond_fp16_are_refused_with_the_value() -> None:
    with pytest.raises(RefusedInputError, match=r"70000 at tile 0, feature 1, is beyond 65504"):
        half_features(torch.tensor([[1.0, 70_000.0]]))


def test_one_row_for_each_tile() -> None:
    bag = simulated_bag(tiles=3, dim=2)
    with pytest.raises(ShapeError, match=r"\(3, 2\), \(2, 2\) and \(3, 2\)"):
        Bag(bag.features, bag.coords[:2].clone(), bag.index, bag.header)
    with pytest.raises(ShapeError, match="allowed are"):
        make_bag(torch.ones(2, 4), bag.index, header=bag.header)

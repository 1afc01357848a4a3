"""Numbers of tiles on their slide: grids, regions, tables, all by the one affine."""

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.wsi.bags.simulate import simulated_bag
from medconsist.wsi.mil.maps import TileValues, tile_values
from medconsist.wsi.mil.output import BagOutput


def shown(tiles: int = 60) -> TileValues:
    values = np.linspace(0, 1, tiles, dtype=np.float32)
    return TileValues(simulated_bag(tiles=tiles, dim=4), {"attention": values})


def test_the_map_holds_each_value_where_its_tile_lies() -> None:
    values = shown()
    centre = values.bag.exact_coords().numpy() + 256.0  # half a tile of some 512 px
    heat = values.map("attention")
    np.testing.assert_array_equal(heat.sample(centre), values.values["attention"])


def test_the_table_has_the_exact_corners() -> None:
    values = shown()
    rows = values.table()
    corners = np.array([[row["x"], row["y"]] for row in rows])
    np.testing.assert_allclose(corners, values.bag.exact_coords().numpy(), rtol=0, atol=1e-9)
    assert (rows[51]["column"], rows[51]["row"]) == (1, 1)


def test_regions_are_the_outlines_and_then_the_tiles() -> None:
    values = shown()
    regions = values.regions("attention", threshold=0.5)
    outlines = [region for region in regions if region.kind == "annotation"]
    assert len(regions) - len(outlines) == 60
    above = int((values.values["attention"] >= 0.5).sum())
    area = 256 * 256 * np.prod(values.grid.scale)
    assert sum(one.geometry.area for one in outlines) == pytest.approx(above * area)


def test_extremes_are_in_order_and_leave_out_what_is_unknown() -> None:
    bag = simulated_bag(tiles=5, dim=4)
    values = TileValues(bag, {"a": np.array([0.3, np.nan, 0.9, 0.3, 0.1])})
    top, bottom = values.extremes("a", 3)
    assert (top.tolist(), bottom.tolist()) == ([2, 0, 3], [4, 0, 3])


def test_one_number_a_tile_is_needed() -> None:
    with pytest.raises(ShapeError, match="has 5 tiles"):
        TileValues(simulated_bag(tiles=5, dim=4), {"a": np.zeros(4)})


def test_attention_is_shown_over_an_even_share_and_scores_as_probabilities() -> None:
    output = BagOutput(
        logits=torch.zeros(1, 2),
        features=torch.zeros(1, 1),
        attention=torch.tensor([[0.5, 0.1], [0.5, 0.1], [0.0, 0.8]]),
        instance_scores=torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]),
    )
    found = tile_values(output, shown=1)
    torch.testing.assert_close(found["attention"], torch.tensor([0.9, 0.9, 1.2]))
    torch.testing.assert_close(
        found["instance_probability"], torch.tensor([0.5, 0.1192, 0.8808]), atol=1e-4, rtol=0
    )
    with pytest.raises(RefusedInputError, match="class 2 of 2"):
        tile_values(output, shown=2)

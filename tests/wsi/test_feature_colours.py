"""Like tiles have like colours, the same in every run."""

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.wsi.feature_colours import feature_colours


def index_of(rows: int, columns: int) -> torch.Tensor:
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([column.flatten(), row.flatten()], 1).int()


def test_two_kinds_of_tiles_have_two_colours_in_their_places(generator: torch.Generator) -> None:
    index = index_of(4, 6)
    left = index[:, 0] < 3
    features = torch.where(left[:, None], 1.0, -1.0) * torch.ones(24, 5)
    features = features + 0.01 * torch.randn(24, 5, generator=generator)
    picture = feature_colours(features, index, shape=(4, 6))
    red = picture[..., 0].astype(int)
    assert abs(red[:, :3].mean() - red[:, 3:].mean()) > 200
    assert red[:, :3].std() < 20


def test_a_place_without_a_tile_is_white(generator: torch.Generator) -> None:
    index = index_of(2, 2)[:3]
    picture = feature_colours(torch.randn(3, 8, generator=generator), index, shape=(2, 2))
    assert picture[1, 1].tolist() == [255, 255, 255]


def test_the_sign_of_a_component_does_not_decide(generator: torch.Generator) -> None:
    features, index = torch.randn(50, 8, generator=generator), index_of(5, 10)
    order = torch.randperm(50, generator=generator)
    whole = feature_colours(features, index, shape=(5, 10))
    shuffled = feature_colours(features[order], index[order], shape=(5, 10))
    assert np.abs(whole.astype(int) - shuffled).max() <= 1


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_short_and_equal_features_are_drawn(dim: int) -> None:
    picture = feature_colours(torch.ones(4, dim), index_of(2, 2), shape=(2, 2))
    assert set(picture[..., :dim].ravel().tolist()) == {128}


def test_no_tile_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="at least one tile"):
        feature_colours(torch.ones(0, 3), torch.zeros(0, 2).int(), shape=(2, 2))

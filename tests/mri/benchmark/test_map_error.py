"""Wrong coil maps: by as much as was asked, in the same direction at every dose."""

import math

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.benchmark.map_error import MapError

SHAPE = (1, 1, 6, 48, 40)


@pytest.fixture
def maps(generator: torch.Generator) -> torch.Tensor:
    drawn = torch.randn(SHAPE, dtype=torch.complex64, generator=generator)
    drawn[..., :4] = 0  # outside the object
    norm = torch.linalg.vector_norm(drawn, dim=2, keepdim=True)
    return torch.where(norm > 0, drawn / norm.clamp_min(1e-9), 0)


def wrong(error: MapError, maps: torch.Tensor) -> torch.Tensor:
    return error(maps, torch.Generator().manual_seed(5))


def test_without_an_error_the_maps_stay(maps: torch.Tensor) -> None:
    assert wrong(MapError(), maps) is maps


@pytest.mark.parametrize("error", [MapError(relative=0.2), MapError(relative=0.05, shift=2)])
def test_wrong_maps_have_unit_norm_where_there_are_any(maps: torch.Tensor, error: MapError) -> None:
    found = wrong(error, maps)
    norm = torch.linalg.vector_norm(found, dim=2)
    inside = torch.linalg.vector_norm(maps.roll(error.shift, -1), dim=2) > 0
    assert torch.allclose(norm[inside], torch.ones(()), atol=1e-5)
    assert not found[(~inside)[:, :, None].expand_as(found)].any()


def test_the_error_is_of_the_size_that_was_asked() -> None:
    maps = torch.full((1, 1, 64, 32, 32), 1 / 8 + 0j)  # many coils: a normalisation takes little
    error = (wrong(MapError(relative=0.05), maps) - maps) / maps
    # 64 draws of 16 waves, of which the normalisation takes the common part
    assert math.sqrt(float(error.abs().square().mean())) == pytest.approx(0.05, rel=0.15)


def test_a_larger_dose_is_the_same_error_larger(maps: torch.Tensor) -> None:
    small, large = (wrong(MapError(relative=dose), maps) - maps for dose in (0.001, 0.002))
    # to first order in the dose
    assert torch.allclose(large, 2 * small, atol=3e-5)


def test_the_error_is_smooth() -> None:
    maps = torch.full((1, 1, 8, 64, 64), 8**-0.5 + 0j)
    error = (wrong(MapError(relative=0.1), maps) / maps)[0, 0]
    steps = (error[..., 1:] - error[..., :-1]).abs().square().mean().sqrt()
    assert float(steps) < 0.3 * 0.1  # of waves of at least 32 pixels


def test_a_shift_moves_maps_along_the_columns(maps: torch.Tensor) -> None:
    assert torch.allclose(wrong(MapError(shift=2), maps)[..., 10], maps[..., 8], atol=1e-6)


@pytest.mark.parametrize("change", [{"relative": -0.1}, {"relative": 1.5}, {"shift": -1}])
def test_errors_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(RefusedInputError, match="got a map error of"):
        MapError(**change)  # type: ignore[arg-type]  # one of them is whole

"""Theta and Lambda: what may be withheld, how many, where."""

from typing import get_args

import pytest
import torch

from medconsist.errors import NothingToWithholdError, RefusedInputError
from medconsist.mri.acs import find_acs, sampled_centre
from medconsist.mri.forward import Measurement
from medconsist.mri.learned.sample_splits import Density, SplitConfig, split_samples

SHAPE = (64, 48)


def measurement(mask: torch.Tensor) -> Measurement:
    samples = torch.ones(len(mask), 1, *mask.shape[1:], dtype=torch.complex64)
    return Measurement(samples * mask[:, None], mask, samples[:, None], 0.1)


def points(generator: torch.Generator) -> torch.Tensor:
    mask = torch.rand(2, *SHAPE, generator=generator) < 0.4
    mask[:, 24:40, 16:32] = True
    return mask


def lines() -> torch.Tensor:
    mask = torch.zeros(1, *SHAPE, dtype=torch.bool)
    mask[:, :, ::3] = True
    mask[:, :, 16:32] = True
    return mask


@pytest.mark.parametrize("draw", get_args(Density))
def test_theta_and_lambda_make_up_omega_and_the_calibration_region_is_theta(
    draw: Density, generator: torch.Generator
) -> None:
    mask = points(generator)
    config = SplitConfig(draw=draw, calibration=12)
    split = split_samples(measurement(mask), config, generator)
    assert torch.equal(split.keep | split.hold, mask)
    assert not (split.keep & split.hold).any()
    assert split.keep[:, 26:38, 18:30].all()
    outside = (mask & ~sampled_centre(mask, 12)).flatten(1).sum(1)
    wanted = (0.4 * outside.double() + 0.5).floor().long()
    assert split.hold.flatten(1).sum(1).tolist() == wanted.tolist()


@pytest.mark.parametrize("draw", get_args(Density))
def test_the_central_4_x_4_is_seen_where_maps_come_from_elsewhere(
    draw: Density, generator: torch.Generator
) -> None:
    config = SplitConfig(draw=draw, calibration=0, fraction=0.9)
    split = split_samples(measurement(points(generator)), config, generator)
    assert split.keep[:, 30:34, 22:26].all()


def test_a_gaussian_draw_withholds_nearer_to_the_centre(generator: torch.Generator) -> None:
    full = torch.ones(1, *SHAPE, dtype=torch.bool)
    away = (torch.arange(SHAPE[0]) - SHAPE[0] // 2).abs()[:, None].expand(SHAPE).float()
    mean = {}
    for draw in get_args(Density):
        config = SplitConfig(draw=draw, calibration=0)
        hold = split_samples(measurement(full), config, generator).hold[0]
        mean[draw] = float(away[hold].mean())
    # drawn without replacement, 40 % of all: the density of the first draws alone gives 12
    assert mean["gaussian"] < 14 < mean["uniform"]


@pytest.mark.parametrize("draw", get_args(Density))
def test_lines_are_withheld_whole(draw: Density, generator: torch.Generator) -> None:
    mask = lines()
    config = SplitConfig(draw=draw, unit="line", calibration=12)
    hold = split_samples(measurement(mask), config, generator).hold[0]
    assert torch.equal(hold, hold.any(0).expand(SHAPE))
    assert hold.any()
    assert not hold[:, 18:30].any()


@pytest.mark.parametrize("draw", get_args(Density))
def test_calibration_of_the_volume_is_theta_in_a_slice_with_a_larger_rectangle(
    draw: Density, generator: torch.Generator
) -> None:
    """Maps come from what all slices sampled; one alone may hold a longer and lower rectangle."""
    mask = torch.rand(2, *SHAPE, generator=generator) < 0.1
    mask[:, 24:40, 16:32] = True
    mask[1, :, 20:28] = True
    region = find_acs(mask).limited(16)
    assert find_acs(mask[1:]).limited(16) != region
    split = split_samples(
        measurement(mask[1:]), SplitConfig(draw=draw, calibration=16, fraction=0.9), generator
    )
    assert region.extract(split.keep).all()


@pytest.mark.parametrize("draw", get_args(Density))
def test_something_is_seen_where_the_centre_was_not_sampled(
    draw: Density, generator: torch.Generator
) -> None:
    mask = torch.zeros(1, *SHAPE, dtype=torch.bool)
    mask[0, 0, :10] = True
    config = SplitConfig(draw=draw, calibration=0, fraction=0.99)
    assert split_samples(measurement(mask), config, generator).keep.sum() == 1


def test_the_same_generator_gives_the_same_split(generator: torch.Generator) -> None:
    scan = measurement(points(generator))
    first, again = (
        split_samples(scan, SplitConfig(draw="gaussian"), torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(first.hold, again.hold)


@pytest.mark.parametrize("draw", get_args(Density))
def test_a_scan_of_its_calibration_region_alone_is_refused(
    draw: Density, generator: torch.Generator
) -> None:
    mask = torch.zeros(1, *SHAPE, dtype=torch.bool)
    mask[:, 22:42, 14:34] = True
    with pytest.raises(NothingToWithholdError, match="fraction"):
        split_samples(measurement(mask), SplitConfig(draw=draw), generator)


@pytest.mark.parametrize("draw", get_args(Density))
def test_lines_of_a_mask_of_points_are_refused(draw: Density, generator: torch.Generator) -> None:
    with pytest.raises(RefusedInputError, match="not made of whole lines"):
        split_samples(
            measurement(points(generator)), SplitConfig(draw=draw, unit="line"), generator
        )


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="fraction"):
        SplitConfig(fraction=1.0)
    with pytest.raises(RefusedInputError, match="calibration"):
        SplitConfig(calibration=-1)

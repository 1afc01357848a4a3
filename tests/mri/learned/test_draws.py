"""What a training step sees: a function of the generator, with the facts that it claims."""

import math
from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.learned.draws import Acquisition, MaskDraw, draw_acquisition, undersample
from medconsist.mri.scan_pool import ScanPool
from medconsist.mri.zerofilled_rss import rss_scale

SIZE = 32
SIGMA = 0.01
MASKS = MaskDraw(acceleration=(2, 4))


@pytest.fixture
def pool(generator: torch.Generator) -> ScanPool:
    """Twelve slices of noise, smooth in nothing: draws look at no anatomy."""
    samples = torch.randn(12, 3, SIZE, SIZE, dtype=torch.complex64, generator=generator)
    maps = torch.randn(12, 3, SIZE, SIZE, dtype=torch.complex64, generator=generator)
    maps = maps / torch.linalg.vector_norm(maps, dim=1, keepdim=True)
    reference = torch.rand(12, SIZE, SIZE, generator=generator)
    return ScanPool(samples, maps, torch.full((12,), SIGMA), reference)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def values(drawn: Acquisition) -> list[torch.Tensor]:
    return [getattr(drawn, part.name) for part in fields(drawn)]


def test_a_draw_is_a_function_of_the_generator_alone(pool: ScanPool) -> None:
    first = draw_acquisition(pool, seeded(5), batch=3, masks=MASKS)
    torch.manual_seed(99)
    second = draw_acquisition(pool, seeded(5), batch=3, masks=MASKS)
    assert all(
        torch.equal(one, other) for one, other in zip(values(first), values(second), strict=True)
    )
    other = draw_acquisition(pool, seeded(6), batch=3, masks=MASKS)
    assert not torch.equal(first.samples, other.samples)


def test_the_pool_is_left_as_it_was(pool: ScanPool) -> None:
    before = [tensor.clone() for tensor in (pool.samples, pool.maps, pool.sigma, pool.reference)]
    draw_acquisition(pool, seeded(0), batch=4, size=16, masks=MASKS)
    after = (pool.samples, pool.maps, pool.sigma, pool.reference)
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_samples_are_zero_outside_the_mask_and_nowhere_else(pool: ScanPool) -> None:
    drawn = draw_acquisition(pool, seeded(1), batch=4, masks=MASKS)
    assert torch.equal(drawn.samples != 0, drawn.mask[:, None].expand_as(drawn.samples))


def test_each_slice_has_a_mask_of_its_own(pool: ScanPool) -> None:
    drawn = draw_acquisition(pool, seeded(1), batch=4, masks=MASKS)
    assert len({tuple(mask.flatten().tolist()) for mask in drawn.mask}) == 4


def test_noise_is_between_once_and_twice_that_of_the_pool(pool: ScanPool) -> None:
    """The scale of the draw is found from its reference, whose values are those of one slice."""
    for seed in range(20):
        drawn = draw_acquisition(pool, seeded(seed), masks=MASKS)
        found = drawn.reference[0].flatten().sort().values
        likeness = [
            float((found / one).std() / (found / one).mean())
            for one in pool.reference.flatten(1).sort(1).values
        ]
        source = pool.reference[likeness.index(min(likeness))]
        factor = float(drawn.sigma[0] / drawn.reference.max() * source.max()) / SIGMA
        assert 1 - 1e-5 < factor < 2 + 1e-5


def test_noise_is_added_to_the_level_that_is_stated(pool: ScanPool) -> None:
    blank = ScanPool(0 * pool.samples, pool.maps, pool.sigma, pool.reference)
    wanted = torch.linspace(SIGMA, 2 * SIGMA, 12)
    noisy = blank.noisier(wanted, seeded(0))
    assert torch.equal(noisy.sigma, wanted)
    found = noisy.samples.abs().square().mean((1, 2, 3)).sqrt()
    added = (wanted.square() - SIGMA**2).clamp_min(0).sqrt()
    # 3072 samples a slice: one standard error of the level is 0.9 %
    torch.testing.assert_close(found, added, rtol=0.05, atol=0)


def test_noise_is_never_taken_away(pool: ScanPool) -> None:
    same = pool.noisier(pool.sigma / 2, seeded(0))
    assert torch.equal(same.sigma, pool.sigma)
    assert torch.equal(same.samples, pool.samples)


def test_scale_is_that_of_a_volume_of_one_slice_times_the_spread(pool: ScanPool) -> None:
    mask = torch.stack([MASKS((SIZE, SIZE), seeded(0))] * 2)
    two = pool.at([3, 4])
    plain = undersample(two, mask)
    for one in range(2):
        assert rss_scale(plain.samples[one : one + 1]) == pytest.approx(1, rel=1e-5)
    spread = undersample(two, mask, spread=torch.tensor([2.0, 0.5]))
    torch.testing.assert_close(spread.samples[0] * 2, plain.samples[0])
    torch.testing.assert_close(spread.reference[1] * 0.5, plain.reference[1])
    torch.testing.assert_close(spread.sigma * torch.tensor([2.0, 0.5]), plain.sigma)


def test_samples_sigma_and_reference_keep_one_scale(pool: ScanPool) -> None:
    mask = torch.ones(2, SIZE, SIZE, dtype=torch.bool)
    two = pool.at([3, 4])
    found = undersample(two, mask)
    scale = two.sigma / found.sigma
    torch.testing.assert_close(found.samples * scale[:, None, None, None], two.samples)
    torch.testing.assert_close(found.reference * scale[:, None, None], two.reference)


def test_drawn_scales_stay_within_the_spread(pool: ScanPool) -> None:
    """rss_scale is 1 over a factor of at most e^(1/2) either way."""
    for seed in range(20):
        drawn = draw_acquisition(pool, seeded(seed), masks=MASKS)
        assert abs(math.log(rss_scale(drawn.samples))) <= 0.5 + 1e-5


def test_a_smaller_size_is_drawn_at_lower_resolution(pool: ScanPool) -> None:
    drawn = draw_acquisition(pool, seeded(0), size=16, masks=MASKS)
    assert drawn.samples.shape == (1, 3, 16, 16)
    assert drawn.maps.shape == (1, 1, 3, 16, 16)
    assert drawn.reference.shape == (1, 16, 16)


def test_half_of_the_masks_are_lines() -> None:
    generator = seeded(0)
    draw = MaskDraw(acceleration=(2, 6))
    lines = 0
    for _ in range(200):
        mask = draw((64, 64), generator)
        lines += bool((mask == mask[:1]).all())
    assert 75 <= lines <= 125  # 3.5 standard deviations


def test_accelerations_span_what_was_asked() -> None:
    generator = seeded(0)
    draw = MaskDraw(acceleration=(3, 7))
    found = [
        mask.numel() / int(mask.sum()) for mask in (draw((128, 128), generator) for _ in range(60))
    ]
    # lines come in whole numbers: 18 of 128 are 7.1
    assert 2.9 < min(found) < 3.5
    assert 6.5 < max(found) < 7.4


def test_every_mask_has_a_sampled_centre() -> None:
    generator = seeded(0)
    for _ in range(40):
        mask = MASKS((64, 48), generator)
        assert mask[30:34, 22:26].all()


@pytest.mark.parametrize("acceleration", [(1.0, 4.0), (5.0, 4.0), (2.0, math.inf)])
def test_impossible_accelerations_are_refused(acceleration: tuple[float, float]) -> None:
    with pytest.raises(RefusedInputError, match=r"acceleration got .*; allowed: 1 < least"):
        MaskDraw(acceleration=acceleration)


@pytest.mark.parametrize(
    "changes",
    [
        {"center": (0.3, 0.1)},
        {"center": (-0.1, 0.1)},
        {"center": (0.1, 0.5)},
        {"center_lines": 0.25},
        {"center_lines": -0.1},
        {"center_lines": math.nan},
    ],
    ids=repr,
)
def test_centres_that_would_hide_the_acceleration_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RefusedInputError, match=r"largest < 0.5 and 0 to 0.25, so that an accel"):
        replace(MaskDraw(acceleration=(2, 4)), **changes)

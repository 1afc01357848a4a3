"""Augmentations keep the shape, do what they say to whole windows, and are drawn anew."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.timeseries import augment

AUGMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "jitter": partial(augment.jitter, sigma=0.5),
    "scaling": partial(augment.scaling, mean=2, sigma=1.1),
    "permutation": partial(augment.permutation, segments=6),
    "permutation apart": partial(augment.permutation, segments=6, channels="apart"),
    "negation": partial(augment.negation, share=0.5),
    "time flip": partial(augment.time_flip, share=0.5),
    "time mask": partial(augment.time_mask, share=0.3),
    "remove frequencies": partial(augment.remove_frequencies, share=0.3),
    "add frequencies": partial(augment.add_frequencies, share=0.3),
}
every_one = pytest.mark.parametrize("name", list(AUGMENTATIONS))


def signals(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=Generator().manual_seed(9), dtype=dtype) + 0.1


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


@every_one
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype_are_kept_and_the_input_too(name: str, dtype: torch.dtype) -> None:
    x = signals(8, 20, 3, dtype=dtype)
    before = x.clone()
    changed = AUGMENTATIONS[name](x, generator=seeded(0))
    assert changed.shape == x.shape
    assert changed.dtype == dtype
    assert torch.equal(x, before)


@every_one
def test_draws_are_those_of_the_generator_and_new_at_every_call(name: str) -> None:
    x, generator = signals(8, 20, 3), seeded(0)
    change = AUGMENTATIONS[name]
    first, second = change(x, generator=generator), change(x, generator=generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, change(x, generator=seeded(0)))
    assert not torch.equal(first, change(x, generator=seeded(1)))


@every_one
def test_windows_are_drawn_one_by_one(name: str) -> None:
    x = signals(1, 20, 3).expand(16, -1, -1)
    changed = AUGMENTATIONS[name](x, generator=seeded(0))
    assert len(torch.unique(changed.flatten(1), dim=0)) > 1


@pytest.mark.parametrize("channels", ["together", "apart"])
def test_permutation_keeps_every_sample_once_in_its_own_channel(channels: str) -> None:
    x = torch.arange(40 * 30 * 3.0).view(40, 30, 3)
    changed = augment.permutation(x, segments=7, channels=channels, generator=seeded(3))  # type: ignore[arg-type]
    assert torch.equal(changed.sort(1).values, x)
    order = changed - torch.arange(3)
    assert bool((order == order[..., :1]).all()) == (channels == "together")


def test_permutation_moves_at_most_so_many_whole_segments() -> None:
    x = torch.arange(30.0).expand(500, 30)[..., None]
    changed = augment.permutation(x, segments=5, generator=seeded(3))
    breaks = (changed[:, 1:] != changed[:, :-1] + 1).sum((1, 2))
    assert breaks.max() == 4
    assert breaks.min() == 0
    assert torch.equal(augment.permutation(x, segments=1, generator=seeded(3)), x)
    assert augment.permutation(x, segments=30, generator=seeded(3)).shape == x.shape


def test_jitter_has_its_standard_deviation() -> None:
    noise = augment.jitter(torch.zeros(100, 100, 4), sigma=0.7, generator=seeded(0))
    assert noise.std().item() == pytest.approx(0.7, rel=0.02)  # 40,000 draws: 0.35 %
    assert abs(noise.mean().item()) < 0.02


def test_scaling_is_one_factor_for_each_channel_of_a_window() -> None:
    x = signals(2000, 5, 2)
    factor = augment.scaling(x, mean=2, sigma=1.1, generator=seeded(0)) / x
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor))
    assert factor.mean().item() == pytest.approx(2, abs=0.1)
    assert factor[:, 0].std().item() == pytest.approx(1.1, abs=0.1)
    assert not torch.equal(factor[..., 0], factor[..., 1])


def test_negation_and_flip_take_whole_windows() -> None:
    x = signals(50, 6, 2)
    negated = augment.negation(x, share=0.5, generator=seeded(0))
    changed = (negated == -x).flatten(1).all(1)
    assert 0 < changed.sum() < 50
    assert torch.equal(negated[~changed], x[~changed])
    flipped = augment.time_flip(x, share=0.5, generator=seeded(0))
    back = (flipped == x.flip(1)).flatten(1).all(1)
    assert 0 < back.sum() < 50
    assert torch.equal(flipped[~back], x[~back])


def test_a_masked_sample_is_zero_in_all_channels() -> None:
    masked = augment.time_mask(signals(40, 50, 3), share=0.2, generator=seeded(0)) == 0
    assert torch.equal(masked.any(-1), masked.all(-1))
    assert masked.float().mean().item() == pytest.approx(0.2, abs=0.03)


def test_frequencies_are_removed_to_zero_and_raised_to_half_of_the_largest() -> None:
    x = signals(20, 30, 2)
    removed = augment.remove_frequencies(x, share=0.1, generator=seeded(0))
    assert ((removed == 0) | (removed == x)).all()
    assert (removed == 0).float().mean().item() == pytest.approx(0.1, abs=0.03)
    added = augment.add_frequencies(x, share=0.5, generator=seeded(0))
    half = (x.amax(1, keepdim=True) / 2).expand_as(x)
    assert ((added == x) | (added == half)).all()
    assert (added >= x).all()
    assert torch.equal(added.amax(1), x.amax(1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (partial(augment.jitter, sigma=-1), "sigma got -1"),
        (partial(augment.scaling, sigma=float("nan")), "sigma got nan"),
        (partial(augment.negation, share=1.5), "at least 0 and at most 1"),
        (partial(augment.permutation, segments=0), "1 to 20"),
        (partial(augment.permutation, segments=21), "21 segments of 20 samples"),
        (partial(augment.add_frequencies, share=0.1, height=2), "height got 2"),
    ],
)
def test_values_out_of_range_are_refused(change: Callable[..., Tensor], said: str) -> None:
    with pytest.raises(RefusedInputError, match=said):
        change(signals(2, 20, 1), generator=seeded(0))

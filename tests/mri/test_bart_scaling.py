"""The scale of the data."""

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.bart_scaling import bart_scale
from medconsist.mri.zerofilled_rss import rss_images
from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_kspace

FULL = torch.ones(1, 20, 28, dtype=torch.bool)


def test_scale_of_a_small_full_scan_is_a_quantile_of_its_image() -> None:
    samples = asymmetric_kspace(slices=1)
    values = rss_images(samples).flatten().sort().values
    n = len(values)
    median, high, largest = (float(values[i]) for i in (n // 2, int(0.9 * n), n - 1))
    wanted = high if largest - high < 2 * (high - median) else largest
    assert bart_scale(samples, FULL) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("spot", [0.0, 50.0])
def test_a_few_bright_pixels_take_the_maximum_instead(spot: float) -> None:
    image = torch.linspace(0.5, 1.5, 400).reshape(1, 1, 20, 20) + 0j
    image[..., 4, 9] += spot
    mask = torch.ones(1, 20, 20, dtype=torch.bool)
    wanted = image.abs().max() if spot else 1.4  # 90th percentile of 0.5 ... 1.5
    assert bart_scale(Fourier()(image), mask) == pytest.approx(float(wanted), rel=1e-2)


def test_scale_follows_the_data() -> None:
    samples = asymmetric_kspace(slices=1)
    assert bart_scale(samples * 3e-6, FULL) == pytest.approx(3e-6 * bart_scale(samples, FULL))


def test_samples_outside_the_region_do_not_matter(generator: torch.Generator) -> None:
    mask = torch.zeros(1, 64, 48, dtype=torch.bool)
    mask[:, 20:44, 12:36] = True
    samples = torch.randn(1, 2, 64, 48, dtype=torch.complex64, generator=generator) * mask
    alone = bart_scale(samples, mask)
    mask[:, :6], samples[..., :6, :] = True, 100
    assert bart_scale(samples, mask) == pytest.approx(alone)


def test_a_smooth_image_has_the_scale_of_its_full_resolution() -> None:
    samples = torch.zeros(1, 1, 64, 64, dtype=torch.complex64)
    samples[..., 30:35, 30:35] = 1
    full = torch.ones(1, 64, 64, dtype=torch.bool)
    largest = float(Fourier().H(samples).abs().max())
    assert bart_scale(samples, full) == pytest.approx(largest, rel=1e-3)


def test_equal_slices_have_the_scale_of_one() -> None:
    samples = asymmetric_kspace(slices=1)
    volume = samples.expand(3, -1, -1, -1)
    assert bart_scale(volume, FULL) == pytest.approx(bart_scale(samples, FULL))


def test_without_a_centre_the_zero_filled_image_is_used() -> None:
    samples: Tensor = asymmetric_kspace(slices=1)
    mask = FULL.clone()
    mask[:, 10, 14] = mask[:, 9, 13] = False
    zerofilled = samples * mask[:, None]
    values = rss_images(zerofilled)
    assert values.min() < bart_scale(zerofilled, mask) <= values.max()


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_empty_and_nan_volumes_are_refused(value: float) -> None:
    samples = torch.full((1, 1, 20, 28), value, dtype=torch.complex64)
    with pytest.raises(RefusedInputError, match="gives the scale"):
        bart_scale(samples, FULL)

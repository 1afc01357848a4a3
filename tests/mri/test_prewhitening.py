"""After prewhitening the noise has identity covariance; its level is found without a scan."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.kspace import KSpace
from medconsist.mri.prewhitening import (
    apply_to_coils,
    coil_sigmas,
    estimate_sigma,
    noise_covariance,
    whitening_matrix,
)
from medconsist.mri.whitening import whiten
from medconsist.operators.fourier import Fourier
from tests.mri.asymmetric import asymmetric_coils, asymmetric_kspace

COILS = 4


def correlated(n: int, generator: torch.Generator, *, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Return noise ``coils n`` and its true covariance."""
    mixing = torch.randn(COILS, COILS, dtype=torch.complex64, generator=generator)
    mixing += 2 * torch.eye(COILS)
    white = torch.randn(COILS, n, dtype=torch.complex64, generator=generator)
    return scale * mixing @ white, scale**2 * mixing @ mixing.mH


def noise_only(generator: torch.Generator, *, samples: int = 20_000) -> KSpace:
    """Return k-space of nothing but correlated noise, with a noise scan of the same coils."""
    noise, _ = correlated(64 * 60 + samples, generator)
    data = noise[:, : 64 * 60].reshape(1, COILS, 64, 60)
    mask = torch.ones(1, 64, 60, dtype=torch.bool)
    return KSpace(data, mask, noise=noise[:, 64 * 60 :])


def test_covariance_is_hermitian_and_near_the_true_one(generator: torch.Generator) -> None:
    noise, true = correlated(50_000, generator)
    found = noise_covariance(noise)
    assert torch.equal(found, found.mH)
    # The relative error of a covariance from N samples is about sqrt(coils / N) = 0.009.
    assert torch.linalg.norm(found - true) <= 0.03 * torch.linalg.norm(true)


def test_noise_scan_is_white_after_prewhitening(generator: torch.Generator) -> None:
    kspace = noise_only(generator)
    white, matrix, level = whiten(kspace, None)
    assert kspace.noise is not None
    assert matrix is not None
    assert level is not None
    found = noise_covariance(matrix.to(kspace.noise) @ kspace.noise)
    excess = found / level**2 - torch.eye(COILS)
    assert excess.abs().max() <= 1e-5  # rounding of complex64
    assert "Prewhitened with 20000 noise samples" in white.notes[-1]


def test_image_noise_is_white_after_prewhitening(generator: torch.Generator) -> None:
    white, _, level = whiten(noise_only(generator), None)
    assert level is not None
    covariance = noise_covariance(white.data[0].flatten(1)) / level**2
    # 3840 samples of image and 20000 of scan: entries scatter by about 0.018.
    assert (covariance - torch.eye(COILS)).abs().max() <= 0.09


def test_whitened_samples_fit_whitened_maps(generator: torch.Generator) -> None:
    noise, _ = correlated(5_000, generator)
    matrix = whitening_matrix(noise_covariance(noise[:3]))
    maps = asymmetric_coils()
    image = torch.randn(20, 28, generator=generator)
    left = apply_to_coils(matrix, Fourier()(maps * image))
    right = Fourier()(apply_to_coils(matrix, maps) * image)
    assert (left - right).abs().max() <= 1e-5 * left.abs().max()


def test_zeros_stay_zeros(generator: torch.Generator) -> None:
    kspace = noise_only(generator)
    kspace.data[..., ::3] = 0
    assert (whiten(kspace, None)[0].data[..., ::3] == 0).all()


def test_two_equal_coils_cannot_be_whitened(generator: torch.Generator) -> None:
    noise, _ = correlated(1_000, generator)
    noise[2] = 0
    with pytest.raises(RefusedInputError, match="coil 2"):
        whitening_matrix(noise_covariance(noise))


def test_noise_scan_shorter_than_coils_is_refused(generator: torch.Generator) -> None:
    noise, _ = correlated(3, generator)
    with pytest.raises(RefusedInputError, match="3 samples for 4 coils"):
        noise_covariance(noise)


def test_nothing_is_whitened_without_a_noise_scan(generator: torch.Generator) -> None:
    kspace = replace(noise_only(generator), noise=None)
    assert whiten(kspace, None) == (kspace, None, None)


def test_noise_level_of_each_coil_is_found(generator: torch.Generator) -> None:
    kspace = noise_only(generator)
    assert kspace.noise is not None
    true = noise_covariance(kspace.noise).diagonal().real.sqrt()
    # 384 samples a coil: the median scatters by about 4 %.
    assert torch.allclose(coil_sigmas(kspace).double(), true, rtol=0.2)
    assert math.isclose(estimate_sigma(kspace), float(true.square().mean().sqrt()), rel_tol=0.1)


@pytest.mark.parametrize("pattern", ["full", "lines", "disc"])
def test_noise_level_is_found_beside_signal(pattern: str, generator: torch.Generator) -> None:
    sigma = 0.05
    samples = asymmetric_kspace(1, 3, 128, 120)
    noise = torch.randn(samples.shape, dtype=samples.dtype, generator=generator)
    mask = torch.ones(1, 128, 120, dtype=torch.bool)
    if pattern == "lines":
        mask[..., 1::3] = False
    if pattern == "disc":
        rows, columns = torch.linspace(-1, 1, 128)[:, None], torch.linspace(-1, 1, 120)
        mask[0] = rows**2 + columns**2 < 0.8
    data = (samples + sigma * noise) * mask[:, None]
    found = estimate_sigma(KSpace(data, mask), share=0.05)
    # The phantom's sharp edges reach the border of k-space: the stated upward bias.
    assert 0.95 * sigma <= found <= 1.6 * sigma


def test_sigma_scales_with_the_samples(generator: torch.Generator) -> None:
    kspace = noise_only(generator)
    doubled = replace(kspace, data=2 * kspace.data)
    assert math.isclose(estimate_sigma(doubled), 2 * estimate_sigma(kspace), rel_tol=1e-6)


def test_noiseless_border_and_wrong_share_are_refused() -> None:
    data = torch.zeros(1, 1, 16, 16, dtype=torch.complex64)
    data[..., 8, 8] = 1
    kspace = KSpace(data, torch.ones(1, 16, 16, dtype=torch.bool))
    with pytest.raises(RefusedInputError, match="all zero"):
        estimate_sigma(kspace)
    with pytest.raises(RefusedInputError, match=r"\(0, 1\], got 0.0"):
        coil_sigmas(kspace, share=0.0)

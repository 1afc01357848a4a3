"""Thresholding on a moving grid."""

import pytest
import torch

from medconsist.mri.wavelet_prox import ShiftedWaveletProx, shift_of_iteration
from medconsist.operators.wavelet import Wavelet

SHAPES = [(32, 32), (23, 18), (5, 7), (2, 2)]


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("start", [0, 3, 41])
def test_consecutive_shifts_see_every_residue_once(levels: int, start: int) -> None:
    wanted = {(row, column) for row in range(2**levels) for column in range(2**levels)}
    calls = range(start, start + 4**levels)
    assert {shift_of_iteration(call, levels=levels) for call in calls} == wanted


@pytest.mark.parametrize("levels", [1, 3])
def test_coarse_cycles_keep_the_fine_ones(levels: int) -> None:
    shifts = [shift_of_iteration(call, levels=5) for call in range(100, 100 + 4**levels)]
    residues = {(row % 2**levels, column % 2**levels) for row, column in shifts}
    assert len(residues) == 4**levels


@pytest.mark.parametrize("shape", SHAPES)
def test_threshold_zero_changes_nothing(shape: tuple[int, int], generator: torch.Generator) -> None:
    image = torch.randn(2, *shape, dtype=torch.complex128, generator=generator)
    shrink = ShiftedWaveletProx(shape)
    for _ in range(5):
        assert torch.allclose(shrink(image, torch.tensor(0.0)), image, atol=1e-12)


def test_first_call_is_soft_thresholding_of_wavelet_coefficients(
    generator: torch.Generator,
) -> None:
    image = torch.randn(1, 32, 32, dtype=torch.complex128, generator=generator)
    wavelet = Wavelet((32, 32), name="db2", levels=2)
    coefficients = wavelet(image)
    shrunk = torch.polar((coefficients.abs() - 0.7).clamp_min(0), coefficients.angle())
    found = ShiftedWaveletProx((32, 32))(image, torch.tensor(0.7))
    assert torch.allclose(found, wavelet.H(shrunk), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_never_moves_two_images_apart(
    shape: tuple[int, int], generator: torch.Generator
) -> None:
    first, second = torch.randn(2, *shape, dtype=torch.complex128, generator=generator)
    left, right = ShiftedWaveletProx(shape), ShiftedWaveletProx(shape)
    for _ in range(5):
        moved = left(first, torch.tensor(0.5)) - right(second, torch.tensor(0.5))
        # The bound of a proximal map, with room for rounding.
        assert moved.norm() <= (first - second).norm() * (1 + 1e-12)


def test_thresholds_differ_by_slice(generator: torch.Generator) -> None:
    images = torch.randn(2, 1, 32, 32, dtype=torch.complex128, generator=generator)
    thresholds = torch.tensor([0.3, 1.1])
    together = ShiftedWaveletProx((32, 32))(images, thresholds[:, None, None, None])
    for image, threshold, result in zip(images, thresholds, together, strict=True):
        alone = ShiftedWaveletProx((32, 32))(image, threshold)
        assert torch.allclose(result, alone, atol=1e-12)

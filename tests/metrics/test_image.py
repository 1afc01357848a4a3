"""Image metrics against the formulas written out and against fastMRI's own calls."""

import importlib
import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.metrics.image import image_quality, nmse, nrmse_scaled, psnr, ssim

skimage_metrics: Any = importlib.import_module("skimage.metrics")  # has no annotations

EXACT = 1e-6  # float32 inputs, double sums


@pytest.fixture
def pair(generator: Generator) -> tuple[Tensor, Tensor]:
    reference = torch.rand(3, 24, 20, generator=generator) * 5
    return reference + 0.3 * torch.randn(3, 24, 20, generator=generator), reference


def test_nmse_is_the_ratio_of_energies(pair: tuple[Tensor, Tensor]) -> None:
    image, reference = pair
    error = sum((a - b) ** 2 for a, b in zip(image.flatten(), reference.flatten(), strict=True))
    energy = sum(b**2 for b in reference.flatten())
    assert nmse(image, reference) == pytest.approx(float(error / energy), rel=1e-4)


def test_nmse_of_a_region_sees_nothing_else(pair: tuple[Tensor, Tensor]) -> None:
    image, reference = pair
    region = torch.zeros(1, 24, 20, dtype=torch.bool)
    region[:, 5:15] = True
    inside = nmse(image[:, 5:15], reference[:, 5:15])
    image[:, 20:] += 100
    assert nmse(image, reference, region=region) == pytest.approx(inside, rel=EXACT)


def test_psnr_is_its_formula_with_the_peak_of_the_volume(pair: tuple[Tensor, Tensor]) -> None:
    image, reference = pair
    error = float((image.double() - reference.double()).square().mean())
    wanted = 10 * math.log10(float(reference.max()) ** 2 / error)
    assert psnr(image, reference) == pytest.approx(wanted, rel=1e-5)
    assert psnr(reference, reference) == math.inf


def test_metrics_are_those_of_fastmri(pair: tuple[Tensor, Tensor]) -> None:
    image, reference = (volume.numpy() for volume in pair)
    peak = reference.max()
    slices = range(len(reference))
    similarity = skimage_metrics.structural_similarity
    theirs = {
        "ssim": np.mean([similarity(reference[s], image[s], data_range=peak) for s in slices]),
        "psnr": skimage_metrics.peak_signal_noise_ratio(reference, image, data_range=peak),
        "nmse": np.linalg.norm(reference - image) ** 2 / np.linalg.norm(reference) ** 2,
    }
    assert image_quality(*pair) == pytest.approx(theirs, rel=1e-5)


def test_ssim_of_one_window_is_its_formula(generator: Generator) -> None:
    reference = torch.rand(1, 7, 7, generator=generator, dtype=torch.float64)
    image = torch.rand(1, 7, 7, generator=generator, dtype=torch.float64)
    c1, c2 = ((k * float(reference.max())) ** 2 for k in (0.01, 0.03))
    means = image.mean(), reference.mean()
    covariance = torch.cov(torch.stack([image.flatten(), reference.flatten()]))
    wanted = (2 * means[0] * means[1] + c1) * (2 * covariance[0, 1] + c2)
    wanted /= (means[0] ** 2 + means[1] ** 2 + c1) * (covariance.trace() + c2)
    assert ssim(image, reference) == pytest.approx(float(wanted), rel=1e-9)


def test_a_wrong_scale_is_seen(pair: tuple[Tensor, Tensor]) -> None:
    _, reference = pair
    assert nmse(2 * reference, reference) == pytest.approx(1.0, rel=EXACT)
    assert ssim(2 * reference, reference) < 0.95
    assert nrmse_scaled(2 * reference, reference) < EXACT


def test_small_intensities_are_not_floored(pair: tuple[Tensor, Tensor]) -> None:
    image, reference = pair
    small = image_quality(1e-5 * image, 1e-5 * reference)
    assert small == pytest.approx(image_quality(image, reference), rel=1e-4)


def test_scaled_error_is_blind_to_a_complex_factor(generator: Generator) -> None:
    reference = torch.randn(2, 9, 8, dtype=torch.complex64, generator=generator)
    assert nrmse_scaled((0.3 - 2j) * reference, reference) < EXACT
    assert nrmse_scaled(torch.zeros_like(reference), reference) == math.inf


@pytest.mark.bart
def test_scaled_error_is_that_of_bart(bart: str, tmp_path: Path, generator: Generator) -> None:
    arrays = torch.randn(2, 12, 10, dtype=torch.complex64, generator=generator)
    arrays[1] = (0.5 + 1j) * arrays[0] + 0.3 * arrays[1]
    for name, array in zip(("reference", "image"), arrays, strict=True):
        (tmp_path / f"{name}.hdr").write_text("# Dimensions\n12 10" + " 1" * 14 + "\n")
        (tmp_path / f"{name}.cfl").write_bytes(array.T.contiguous().numpy().tobytes())
    command = [bart, "nrmse", "-s", "reference", "image"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    printed = float(said.stdout.split()[-1])
    assert nrmse_scaled(arrays[1], arrays[0]) == pytest.approx(printed, abs=2e-6)  # six digits


@pytest.mark.parametrize("metric", [nmse, psnr, ssim])
def test_unfit_volumes_are_refused(metric: object, pair: tuple[Tensor, Tensor]) -> None:
    assert callable(metric)
    image, reference = pair
    with pytest.raises(ShapeError, match="Add a slice axis"):
        metric(image[0], reference[0])
    with pytest.raises(ShapeError, match="of one shape"):
        metric(image[:, :-1], reference)
    with pytest.raises(RefusedInputError, match=r"pass .abs\(\)"):
        metric(image + 0j, reference)
    with pytest.raises(RefusedInputError, match="NaN or infinite"):
        metric(image, reference * math.nan)
    with pytest.raises(RefusedInputError, match=r"zero everywhere|positive one"):
        metric(image, torch.zeros_like(reference))


def test_planes_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least 7 x 7"):
        ssim(torch.ones(1, 6, 9), torch.ones(1, 6, 9))


def test_a_region_of_another_plane_is_refused() -> None:
    with pytest.raises(ShapeError, match="does not fit"):
        nmse(torch.ones(2, 8, 8), torch.ones(2, 8, 8), region=torch.ones(1, 8, 9) > 0)


def test_mixed_kinds_have_no_scaled_error() -> None:
    with pytest.raises(ShapeError, match="both be real or both complex"):
        nrmse_scaled(torch.ones(2), torch.ones(2) + 0j)
    with pytest.raises(RefusedInputError, match="no scale"):
        nrmse_scaled(torch.ones(2), torch.zeros(2))

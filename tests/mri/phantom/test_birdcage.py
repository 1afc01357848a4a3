"""Coils: fields by Biot and Savart, and the covariance of their noise."""

import math

import pytest
import torch
from torch import Generator

from medconsist.mri.phantom.birdcage import CoilArray


def _grid(n: int, step: float) -> torch.Tensor:
    steps = (torch.arange(n) - n // 2) * step
    y, x = torch.meshgrid(-steps, -steps, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)], dim=-1)[None]


def test_field_on_the_axis_of_a_loop_is_the_textbook_formula() -> None:
    """B = 2 pi R^2 / (R^2 + d^2 + w^2)^(3/2), wire w, per current and mu0 / (4 pi)."""
    array = CoilArray(
        centers_mm=torch.tensor([[150.0, 0.0, 0.0]]),
        normals=torch.tensor([[1.0, 0.0, 0.0]]),
        radius_mm=50.0,
        gains=torch.ones(1, dtype=torch.complex64),
        coupling=torch.eye(1, dtype=torch.complex64),
    )
    maps = array.maps(_grid(65, 3.0))[0, 0, 32]
    x = -(torch.arange(65) - 32) * 3.0
    softened = 50.0**2 + 12.0**2 + (150 - x) ** 2
    wanted = 2 * math.pi * 50.0**2 / softened**1.5
    inner = x.abs() < 75
    # cubic interpolation of a lattice of 6 mm
    torch.testing.assert_close(maps.real[inner], wanted[inner], rtol=0.01, atol=0)
    assert float(maps.imag[inner].abs().max()) < 0.01 * float(wanted[inner].max())


def test_each_coil_is_strongest_on_its_side(generator: Generator) -> None:
    coils = CoilArray.draw(8, generator)
    points = _grid(96, 2.0)
    maps = coils.maps(points)[0].abs()
    for place, one in zip(coils.centers_mm[:, :2], maps, strict=True):
        weights = one**2
        middle = (weights[..., None] * points[0, ..., :2]).sum((0, 1)) / weights.sum()
        assert float(torch.cosine_similarity(middle, place, dim=0)) > 0.9


def test_maps_are_smooth_and_not_normalised(generator: Generator) -> None:
    maps = CoilArray.draw(8, generator).maps(_grid(96, 2.0))[0]
    norm = torch.linalg.vector_norm(maps, dim=0)
    assert float(norm.max() / norm.min()) > 1.2
    assert float((maps[:, 1:] - maps[:, :-1]).abs().max() / maps.abs().max()) < 0.15


@pytest.mark.parametrize("n_coils", [1, 2, 8, 32])
def test_covariance_is_hermitian_and_positive(n_coils: int, generator: Generator) -> None:
    covariance = CoilArray.draw(n_coils, generator).covariance
    torch.testing.assert_close(covariance, covariance.mH)
    assert float(torch.linalg.eigvalsh(covariance).min()) > 0.01

"""Fine and coarse grid: one origin, one scale."""

import pytest
import torch

from medconsist.mri.phantom.fine_grid import FineGrid
from medconsist.operators.fourier import Fourier

GRIDS = [FineGrid((8, 9), 2), FineGrid((7, 10), 3), FineGrid((8, 8), 4)]


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_band_limited_image_is_the_same_on_both_grids(
    grid: FineGrid, generator: torch.Generator
) -> None:
    """Zero-padded k-space gives the fine image; its spectrum's centre is that k-space again."""
    kspace = torch.randn(grid.coarse, dtype=torch.complex128, generator=generator)
    padded = torch.zeros(grid.shape, dtype=torch.complex128)
    rows, columns = (
        slice(fine // 2 - n // 2, fine // 2 - n // 2 + n)
        for fine, n in zip(grid.shape, grid.coarse, strict=True)
    )
    padded[rows, columns] = kspace * grid.oversampling
    fine = Fourier().adjoint(padded)
    torch.testing.assert_close(grid.spectrum(fine), kspace)
    torch.testing.assert_close(grid.sample(fine), Fourier().adjoint(kspace))


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_constant_stays_the_same_constant(grid: FineGrid) -> None:
    image = Fourier().adjoint(grid.spectrum(torch.full(grid.shape, 3 + 1j)))
    torch.testing.assert_close(image, torch.full(grid.coarse, 3 + 1j))
    ones = torch.ones(2, 1, *grid.shape)
    torch.testing.assert_close(grid.average(ones), torch.ones(2, 1, *grid.coarse))


@pytest.mark.parametrize("grid", GRIDS, ids=repr)
def test_average_and_samples_of_a_ramp_agree(grid: FineGrid) -> None:
    """A ramp has its mean at the centre of each pixel, so both see the same value."""
    ramp = torch.arange(grid.shape[1], dtype=torch.float64).expand(1, 1, *grid.shape)
    inner = (..., slice(1, -1), slice(1, -1))  # the border is replicated, not continued
    torch.testing.assert_close(grid.average(ramp)[inner], grid.sample(ramp)[inner])

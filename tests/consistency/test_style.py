"""Style: the reference stays, the mean is shared, the phase is kept, nothing imaginary is lost."""

import pytest
import torch
from torch import Tensor

from medconsist.consistency.style import batch_style
from medconsist.errors import RefusedInputError, ShapeError

SHAPES = [(5, 3, 32, 32), (4, 3, 33, 20), (5, 2, 64), (4, 12, 101)]


def pictures(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    gains = torch.linspace(0.2, 1, shape[0], dtype=torch.float64)
    values = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (values * gains.reshape(-1, *[1] * (len(shape) - 1))).to(dtype)


def spectrum(x: Tensor) -> Tensor:
    return torch.fft.fftn(x.double(), dim=tuple(range(2, x.ndim)))


def low(shape: tuple[int, ...], share: float) -> Tensor:
    """Return the region on the full grid, by its definition."""
    axes = len(shape) - 2
    grids = torch.meshgrid(*(torch.fft.fftfreq(n) for n in shape[2:]), indexing="ij")
    return torch.stack(grids).abs().amax(0) <= share ** (1 / axes) / 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0, 0.02, 0.1, 0.5, 1])
def test_the_reference_stays_as_it_is(shape: tuple[int, ...], share: float) -> None:
    x = pictures(shape)
    # rounding of one transform and its inverse, of values up to 1
    assert torch.allclose(batch_style(x, share, 2)[2], x[2], atol=1e-6, rtol=0)
    exact = x.double()
    assert torch.allclose(batch_style(exact, share, 2)[2], exact[2], atol=1e-14, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0, 0.1, 1])
def test_all_examples_share_the_mean_of_each_channel(shape: tuple[int, ...], share: float) -> None:
    x = pictures(shape)
    means = batch_style(x, share, 1).flatten(2).mean(-1)
    assert torch.allclose(means, x[1].flatten(1).mean(-1).expand_as(means), atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_low_amplitude_is_the_references_and_all_else_is_kept(shape: tuple[int, ...]) -> None:
    x = pictures(shape, torch.float64)
    before, after = spectrum(x), spectrum(batch_style(x, 0.2, 3))
    inside = low(shape, 0.2)
    wanted = before[3].abs().expand_as(before)
    assert torch.allclose(after.abs()[..., inside], wanted[..., inside])
    assert torch.allclose(after[..., ~inside], before[..., ~inside])
    assert torch.allclose(after / after.abs(), before / before.abs())


def test_the_spectrum_stays_symmetric_so_that_nothing_imaginary_is_dropped() -> None:
    """The corner slice of FDA, in the same place, drops 0.03 of it."""
    x = pictures((4, 3, 32, 32), torch.float64)
    inside = low(x.shape, 0.05)

    def imaginary(region: Tensor) -> float:
        f = spectrum(x)
        swapped = torch.where(region, f / f.abs() * f[0].abs(), f)
        return float(torch.fft.ifftn(swapped, dim=(2, 3)).imag.abs().max())

    corner = torch.zeros(32, 32, dtype=torch.bool)
    for rows in (slice(None, 4), slice(-4, None)):
        for columns in (slice(None, 4), slice(-4, None)):
            corner[rows, columns] = True
    assert imaginary(inside) < 1e-12
    assert imaginary(corner) > 1e-3
    f = spectrum(x)
    full = torch.fft.ifftn(torch.where(inside, f / f.abs() * f[0].abs(), f), dim=(2, 3)).real
    assert torch.allclose(batch_style(x, 0.05, 0), full)


def test_values_leave_the_range_unless_clamped() -> None:
    x = pictures((4, 3, 16, 16))
    free = batch_style(x, 0.5, 3)
    assert float(free.min()) < 0
    assert torch.equal(batch_style(x, 0.5, 3, clamp=(0, 1)), free.clamp(0, 1))


def test_an_example_of_zeros_takes_the_style_without_a_nan() -> None:
    x = pictures((3, 1, 16))
    x[1] = 0
    styled = batch_style(x, 0.3, 0)
    assert bool(styled.isfinite().all())
    assert float(styled[1].mean()) == pytest.approx(float(x[0].mean()), abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_transformed_in_float32(dtype: torch.dtype) -> None:
    x = pictures((3, 2, 16), dtype)
    styled = batch_style(x, 0.3, 0)
    assert styled.dtype == dtype
    assert torch.equal(styled, batch_style(x.float(), 0.3, 0).to(dtype))


def test_unfit_input_is_refused() -> None:
    x = pictures((3, 2, 16))
    with pytest.raises(ShapeError, match=r"x has the shape \(3, 32\)"):
        batch_style(x.flatten(1), 0.1, 0)
    with pytest.raises(RefusedInputError, match=r"share and reference got 1.5 and 0"):
        batch_style(x, 1.5, 0)
    with pytest.raises(RefusedInputError, match="one of the 3 examples"):
        batch_style(x, 0.1, 3)
    with pytest.raises(RefusedInputError, match=r"clamp got \(1, 0\)"):
        batch_style(x, 0.1, 0, clamp=(1, 0))

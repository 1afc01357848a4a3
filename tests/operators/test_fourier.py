"""The centred orthonormal Fourier transform against numpy and against its formula."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from medconsist.operators.fourier import Fourier

shapes = pytest.mark.parametrize("shape", [(6, 8), (5, 8), (7, 5), (1, 4)])


@shapes
def test_forward_equals_numpy_with_both_shifts(
    shape: tuple[int, int], draw: Callable[..., Tensor]
) -> None:
    x = draw(3, *shape)
    axes = (-2, -1)
    wanted = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(x.numpy(), axes=axes), axes=axes, norm="ortho"), axes=axes
    )
    torch.testing.assert_close(Fourier()(x), torch.from_numpy(wanted))


@pytest.mark.parametrize("length", [1, 4, 7])
def test_forward_is_the_sum_of_its_docstring(length: int, draw: Callable[..., Tensor]) -> None:
    x = draw(length)
    index = torch.arange(length, dtype=torch.float64) - length // 2
    kernel = torch.exp(-2j * torch.pi * index[:, None] * index / length) / length**0.5
    torch.testing.assert_close(Fourier(dims=(-1,))(x), kernel @ x)


@shapes
def test_adjoint_is_the_inverse(shape: tuple[int, int], draw: Callable[..., Tensor]) -> None:
    x = draw(2, *shape)
    torch.testing.assert_close(Fourier().H(Fourier()(x)), x)
    torch.testing.assert_close(Fourier()(Fourier().H(x)), x)


@shapes
def test_energy_is_kept(shape: tuple[int, int], draw: Callable[..., Tensor]) -> None:
    x = draw(*shape)
    torch.testing.assert_close(Fourier()(x).norm(), x.norm())


@shapes
def test_point_at_the_centre_gives_a_constant_and_back(shape: tuple[int, int]) -> None:
    x = torch.zeros(shape, dtype=torch.complex128)
    x[shape[0] // 2, shape[1] // 2] = 1
    flat = torch.full(shape, x.numel() ** -0.5, dtype=torch.complex128)
    torch.testing.assert_close(Fourier()(x), flat)
    torch.testing.assert_close(Fourier()(flat), x)

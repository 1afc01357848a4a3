"""The wavelet transform against PyWavelets, and as an isometry for any size."""

from collections.abc import Callable
from typing import Literal

import pytest
import pywt
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medconsist.errors import ShapeError
from medconsist.operators.wavelet import Wavelet

Name = Literal["haar", "db2"]
names = pytest.mark.parametrize("name", ["haar", "db2"])


@names
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_forward_equals_pywavelets_with_periodization(
    name: Name, levels: int, draw: Callable[..., Tensor]
) -> None:
    x = draw(32, 24)
    wanted, _ = pywt.coeffs_to_array(
        pywt.wavedec2(x.numpy(), name, mode="periodization", level=levels)
    )
    got = Wavelet((32, 24), name=name, levels=levels)(x)
    torch.testing.assert_close(got, torch.from_numpy(wanted))


@names
def test_forward_of_one_axis_equals_pywavelets(name: Name, draw: Callable[..., Tensor]) -> None:
    x = draw(3, 40)
    wanted = pywt.wavedec(x.numpy(), name, mode="periodization", level=3, axis=-1)
    got = Wavelet((40,), name=name, levels=3, dims=(-1,))(x)
    torch.testing.assert_close(got, torch.cat([torch.from_numpy(band) for band in wanted], -1))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(2, 21), st.integers(2, 21)),
    name=st.sampled_from(["haar", "db2"]),
    data=st.data(),
)
def test_transform_is_an_isometry_for_any_size(
    shape: tuple[int, int], name: Name, data: st.DataObject
) -> None:
    levels = data.draw(st.integers(1, min(shape).bit_length() - 1))
    wavelet = Wavelet(shape, name=name, levels=levels)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(*shape, dtype=torch.complex128, generator=generator)
    torch.testing.assert_close(wavelet.H(wavelet(x)), x)
    torch.testing.assert_close(wavelet(x).norm(), x.norm())


def test_transform_is_unitary_where_nothing_is_padded(draw: Callable[..., Tensor]) -> None:
    wavelet, y = Wavelet((16, 24), levels=3), draw(16, 24)
    torch.testing.assert_close(wavelet(wavelet.H(y)), y)


def test_padded_transform_projects_on_its_range(draw: Callable[..., Tensor]) -> None:
    wavelet = Wavelet((7, 10), levels=2)
    y = draw(*wavelet.coefficient_shape)
    once = wavelet(wavelet.H(y))
    torch.testing.assert_close(wavelet(wavelet.H(once)), once)
    assert float(once.norm()) < float(y.norm())


@names
def test_details_of_a_constant_image_are_zero(name: Name) -> None:
    wavelet = Wavelet((16, 32), name=name, levels=2)
    y = wavelet(torch.ones(16, 32, dtype=torch.float64))
    rows, columns = wavelet.coarse_shape
    torch.testing.assert_close(y[:rows, :columns], torch.full_like(y[:rows, :columns], 4.0))
    y[:rows, :columns] = 0
    assert float(y.abs().max()) < 1e-14  # a few epsilons of the coarse value 4


def test_details_of_a_ramp_are_zero_away_from_the_seam() -> None:
    y = Wavelet((32,), levels=1, dims=(-1,))(torch.arange(32, dtype=torch.float64))
    assert float(y[17:31].abs().max()) < 1e-13  # two vanishing moments; values up to 31
    assert float(y[16:].abs().max()) > 1


@pytest.mark.parametrize(
    ("shape", "levels"),
    [((2, 2), 1), ((31, 64), 1), ((64, 32), 1), ((230, 180), 3), ((256, 256), 4)],
)
def test_default_levels_leave_the_coarse_band_sixteen_long(
    shape: tuple[int, int], levels: int
) -> None:
    assert Wavelet(shape).levels == levels


def test_shape_of_the_coefficients_is_the_next_multiple() -> None:
    wavelet = Wavelet((230, 180), levels=3)
    assert wavelet.coefficient_shape == (232, 184)
    assert wavelet.coarse_shape == (29, 23)


@pytest.mark.parametrize("levels", [0, 4, -1])
def test_levels_that_the_shape_does_not_allow_are_refused(levels: int) -> None:
    with pytest.raises(ShapeError, match=rf"levels must lie in 1 ... 3 .* got {levels}"):
        Wavelet((8, 12), levels=levels)


@pytest.mark.parametrize("shape", [(8,), (1, 8)])
def test_shape_that_does_not_fit_the_axes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="must be equally many, with lengths >= 2"):
        Wavelet(shape)


@pytest.mark.parametrize("shape", [(8, 8), (8,)])
def test_input_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"must have the lengths \(7, 8\)"):
        Wavelet((7, 8))(torch.ones(shape))

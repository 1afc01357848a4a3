"""The centre of k-space is found along one axis, and no pixel leaves its place."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medconsist.mri.centring import centre_axis
from medconsist.operators.fourier import Fourier

# Transform there, ramp, transform back: rounding of complex64 relative to the largest pixel.
IN_PLACE = 5e-6


def body(n: int, generator: torch.Generator) -> Tensor:
    """Return complex lines of n pixels, an off-centre body with smooth phase inside the field."""
    position = (torch.arange(n) - n // 2) / n
    inside = (position - 0.06).abs() < 0.27
    texture = 1 + 0.3 * torch.rand(3, n, generator=generator)
    return inside * texture * torch.exp(1j * (0.4 + position))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(12, 90), seed=st.integers(0, 99), origin=st.sampled_from(["centre", "first"]))
def test_plain_transform_is_recognised_and_pixels_stay(n: int, seed: int, origin: str) -> None:
    image = body(n, torch.Generator().manual_seed(seed))
    stored = torch.fft.ifftshift(image, dim=-1) if origin == "centre" else image
    moved, notes = centre_axis(torch.fft.fft(stored, norm="ortho"), axis=1, name="width")
    back = Fourier(dims=(-1,)).adjoint(moved)
    assert (back - image).abs().max() <= IN_PLACE * image.abs().max()
    assert len(notes) == (1 if origin == "centre" else 2)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(4, 90), seed=st.integers(0, 99))
def test_centred_kspace_is_returned_as_it_is(n: int, seed: int) -> None:
    samples = Fourier(dims=(-1,))(body(n, torch.Generator().manual_seed(seed)))
    moved, _ = centre_axis(samples, axis=-1, name="width")
    assert moved is samples


@pytest.mark.parametrize("kept", [slice(None, None, 2), slice(0, 40), slice(24, None)])
def test_undersampled_centred_kspace_is_not_moved(kept: slice, generator: torch.Generator) -> None:
    mask = torch.zeros(64, dtype=torch.bool)
    mask[kept] = True
    samples = Fourier(dims=(-1,))(body(64, generator)) * mask
    moved, notes = centre_axis(samples, axis=-1, name="width")
    assert moved is samples
    assert notes == ()

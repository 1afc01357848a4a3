"""The U-Net: its normalisation, its parts against MONAI's, and planes of every size."""

import pytest
import torch
from monai.apps.reconstruction.networks.nets.utils import complex_normalize
from monai.networks.nets.basic_unet import TwoConv
from torch import Tensor, nn

from medconsist.mri.comparators.norm_unet import NormUnet


def images(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=generator)


def test_a_level_is_the_two_convolutions_of_monai(generator: torch.Generator) -> None:
    ours = NormUnet(1, 1, features=4, pools=1, generator=generator).first
    theirs = TwoConv(2, 2, 4, ("LeakyReLU", {"negative_slope": 0.2}), "instance", bias=False)
    weights = list(ours.parameters())
    for mine, other in zip(weights, theirs.parameters(), strict=True):
        other.data.copy_(mine.data)
    x = torch.randn(2, 2, 9, 8, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))


def test_the_u_net_sees_what_monai_normalises(
    generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the unbiased variance, which fastMRI divides by."""
    unet = NormUnet(3, 3, features=4, pools=1, generator=generator)
    seen: list[Tensor] = []

    def nothing(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    monkeypatch.setattr(unet, "_unet", nothing)
    x = 5 * images(generator, 2, 3, 8, 6) + (2 - 1j)
    back = unet(x)
    wanted, _, _ = complex_normalize(torch.cat([x.real, x.imag], 1))
    n = 3 * 8 * 6
    torch.testing.assert_close(seen[0], wanted * ((n - 1) / n) ** 0.5)
    torch.testing.assert_close(back, x)


@pytest.mark.parametrize("pools", [1, 2, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (16, 16), (17, 31)])
def test_every_plane_goes_through(
    shape: tuple[int, int], pools: int, generator: torch.Generator
) -> None:
    unet = NormUnet(2, 1, features=2, pools=pools, generator=generator)
    assert unet(images(generator, 1, 2, *shape)).shape == (1, 1, *shape)


def test_an_empty_image_stays_empty_and_has_a_gradient(generator: torch.Generator) -> None:
    unet = NormUnet(1, 1, features=2, pools=1, generator=generator)
    x = torch.zeros(2, 1, 8, 8, dtype=torch.complex64)
    x[1] = images(generator, 1, 8, 8)
    x.requires_grad_()
    found = unet(x)
    found.abs().square().sum().backward()
    assert found[0].abs().max() < 1e-6  # of images of order one
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("adds", [False, True])
def test_the_u_net_is_its_formula(generator: torch.Generator, *, adds: bool) -> None:
    """Two halvings of a plane that is padded by 1, 1 and 1, 2 pixels; one complex channel."""
    unet = NormUnet(1, 1, features=3, pools=2, adds=adds, generator=generator)
    x = 3 * images(generator, 2, 1, 10, 13) + (2 - 1j)
    parts = torch.cat([x.real, x.imag], 1)
    spread, mean = torch.std_mean(parts, dim=(2, 3), keepdim=True)
    padded = torch.zeros(2, 2, 12, 16)
    padded[..., 1:11, 1:14] = (parts - mean) / spread
    fine = unet.first(padded)
    middle = unet.down[0](fine.unflatten(3, (8, 2)).unflatten(2, (6, 2)).mean((3, 5)))
    coarse = unet.down[1](middle.unflatten(3, (4, 2)).unflatten(2, (3, 2)).mean((3, 5)))
    middle = unet.up[0](torch.cat([unet.enlarge[0](coarse), middle], 1))
    fine = unet.up[1](torch.cat([unet.enlarge[1](middle), fine], 1))
    made = unet.head(fine)[..., 1:11, 1:14] * spread + (0 if adds else mean)
    wanted = torch.complex(made[:, :1], made[:, 1:])
    torch.testing.assert_close(unet(x), wanted, atol=1e-5, rtol=1e-5)


def test_features_double_at_each_halving() -> None:
    unet = NormUnet(1, 1, features=4, pools=3)
    widths = [
        module.out_channels for module in unet.down.modules() if isinstance(module, nn.Conv2d)
    ]
    assert widths == [8, 8, 16, 16, 32, 32]

"""E2E-VarNet against MONAI's blocks, and its learnt maps."""

from typing import Any, cast

import pytest
import torch
from monai.apps.reconstruction.networks.blocks.varnetblock import VarNetBlock
from monai.apps.reconstruction.networks.nets.coil_sensitivity_model import CoilSensitivityModel
from torch import Tensor, nn

from medconsist.errors import CalibrationError
from medconsist.mri.comparators.refinement import Refinement
from medconsist.mri.comparators.scan import Scan
from medconsist.mri.comparators.sensitivity_net import SensitivityNet
from medconsist.mri.comparators.var_net import VarNet, VarNetConfig
from medconsist.mri.data_gradient import DataGradient
from medconsist.mri.forward import Measurement
from tests.mri.cirim.random_scan import arguments
from tests.mri.comparators.family import LEARNT, VARNET, calibrated, largest_difference

EXACT = 1e-5  # of the largest value: rounding of float32


class Doubled(nn.Module):
    """A network on complex images, as MONAI calls it: real and imaginary part in a last axis."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.probe = nn.Parameter(torch.ones(1, 2))  # MONAI asks the first parameter for channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.view_as_real(self.net(torch.view_as_complex(x.contiguous())))


def test_a_cascade_in_k_space_is_that_of_monai(generator: torch.Generator) -> None:
    network = VarNet(VARNET, generator=generator)
    scan = calibrated(generator, shape=(16, 12))
    part = cast("Refinement", network.cascades[0])
    block = VarNetBlock(Doubled(part.net))
    for weight in (part.dc_weight, block.dc_weight):
        nn.init.constant_(weight, 0.7)
    kspace = torch.randn(scan.samples.shape, dtype=torch.complex64, generator=generator)
    with torch.no_grad():
        wanted = block(
            torch.view_as_real(kspace),
            torch.view_as_real(scan.samples),
            scan.mask[:, None, :, :, None],
            torch.view_as_real(scan.maps[:, 0]),
        )
        from_scan = Scan(scan.samples, scan.mask, scan.maps)
        image = from_scan.coils.H(kspace)
        _, found = network._iterate(from_scan, part, image, kspace)
    assert largest_difference(found, torch.view_as_complex(wanted)) < EXACT


def lines(generator: torch.Generator, slices: int = 1) -> Measurement:
    """Return a scan whose five central columns are fully sampled, and whose next are not."""
    scan = calibrated(generator, slices=slices, coils=4, shape=(18, 21))
    mask = torch.zeros(slices, 18, 21, dtype=torch.bool)
    mask[:, :, 8:13] = True
    mask[:, :, [1, 4, 19]] = True
    samples = torch.randn(slices, 4, 18, 21, dtype=torch.complex64, generator=generator)
    return Measurement(torch.where(mask[:, None], samples, 0), mask, scan.maps, 0.1)


def test_learnt_maps_are_those_of_monai(generator: torch.Generator) -> None:
    """Before the division: MONAI 1.6.1 divides real and imaginary parts by norms of their own."""
    network = SensitivityNet(features=4, pools=2, generator=generator)
    scan = lines(generator, slices=2)
    theirs = CoilSensitivityModel(conv_net=Doubled(network.unet))
    made: list[Tensor] = []
    theirs.conv_net.register_forward_hook(lambda *called: made.append(called[-1]))
    with torch.no_grad():
        theirs(torch.view_as_real(scan.samples), scan.mask[:1, :1, :, None][None])
        found = network(scan.samples, scan.mask)[:, 0]
    wanted = torch.view_as_complex(made[0]).reshape(found.shape)
    wanted = wanted / torch.linalg.vector_norm(wanted, dim=1, keepdim=True)
    assert largest_difference(found, wanted) < EXACT


def test_learnt_maps_have_unit_norm_and_look_at_the_centre_alone(
    generator: torch.Generator,
) -> None:
    network = SensitivityNet(features=4, pools=2, generator=generator)
    scan = lines(generator)
    other = scan.samples.clone()
    other[..., [1, 4, 19]] += 1
    with torch.no_grad():
        maps = network(scan.samples, scan.mask)
        assert torch.equal(network(other, scan.mask), maps)
    torch.testing.assert_close(maps.abs().square().sum(2), torch.ones(1, 1, 18, 21))


def test_without_a_calibration_region_learnt_maps_are_refused(generator: torch.Generator) -> None:
    scan = lines(generator, slices=2)
    scan.mask[1, 9, 10] = False
    with pytest.raises(CalibrationError, match=r"centre of 4 x 4 samples, which the mask of slice"):
        VarNet(LEARNT, generator=generator)(*arguments(scan))
    scan.mask[:] = False
    scan.mask[:, :, 9:12] = True
    with pytest.raises(CalibrationError, match="the mask of slice 0 has not"):
        VarNet(LEARNT, generator=generator)(*arguments(scan))


def test_images_of_learnt_maps_are_those_of_the_given_maps(generator: torch.Generator) -> None:
    """The same coil k-space, seen through maps of half the size, is half the image."""
    network = VarNet(LEARNT, generator=generator)
    samples, mask, maps, sigma = arguments(lines(generator))
    with torch.no_grad():
        found, half = (network(samples, mask, share * maps, sigma) for share in (1, 0.5))
    torch.testing.assert_close(half, 0.5 * found)


@pytest.mark.parametrize("consistency", ["kspace", "varnet", "explicit", "implicit", "none"])
def test_each_consistency_is_its_formula(consistency: Any, generator: torch.Generator) -> None:
    """One cascade from the zero-filled image; maps of unit norm everywhere."""
    config = VarNetConfig(cascades=1, features=2, pools=1, consistency=consistency)
    network = VarNet(config, generator=generator)
    scan = calibrated(generator, coils=1)
    x = scan.operator.H(scan.samples)
    gradient = DataGradient(scan.samples, scan.mask, scan.maps)
    part = cast("Refinement", network.cascades[0])
    w = 0.7
    with torch.no_grad():
        if hasattr(part, "dc_weight"):
            part.dc_weight.fill_(w)
        seen = torch.cat([x, gradient(x)], 1) if consistency == "implicit" else x
        g = part.net(seen)
        wanted = {
            "kspace": x - w * gradient(x) - g,  # for one coil the same as in image space
            "varnet": x - w * gradient(x) - g,
            "explicit": x + g - w * gradient(x + g),
            "implicit": x + g,
            "none": g,
        }[consistency]
        found = network(*arguments(scan))[-1, -1]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)

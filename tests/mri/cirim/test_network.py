"""The network: sizes, gradients, memory, consistency, independence of slices and sets."""

import inspect
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.mri.cirim.config import PRESETS, CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.data_gradient import DataGradient
from medconsist.mri.forward import Measurement
from tests.mri.cirim.live_bytes import peak_bytes
from tests.mri.cirim.random_scan import arguments, random_scan

SMALL = CirimConfig(cascades=2, steps=3, features=6)


def lively(config: CirimConfig, generator: torch.Generator) -> Cirim:
    """A network whose recurrent weights are large enough to be seen in the output."""
    network = Cirim(config, generator=generator)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".unit" in name or name.endswith("bias"):
                spread = 1 / parameter[0].numel() ** 0.5 if parameter.ndim == 4 else 0.1
                parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return network


def gradient_of(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (PRESETS["cirim"], 264_960),
        (PRESETS["rim"], 94_080),
        (PRESETS["irim"], 52_992),
        (CirimConfig(features=128), 980_480),
        (CirimConfig(consistency="explicit"), 264_965),
        (CirimConfig(consistency="varnet"), 264_965),
        (CirimConfig(noise_input=True), 264_960 + 5 * 25 * 64),
    ],
    ids=repr,
)
def test_number_of_parameters(config: CirimConfig, parameters: int) -> None:
    with torch.device("meta"):
        network = Cirim(config)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_start_values_come_from_the_generator() -> None:
    first, second = (
        Cirim(SMALL, generator=torch.Generator().manual_seed(1)).state_dict() for _ in range(2)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["cascades.0.conv1.weight"], first["cascades.1.conv1.weight"])


@pytest.mark.parametrize("sets", [1, 2])
def test_data_gradient_is_that_of_half_the_squared_residual(
    sets: int, generator: torch.Generator
) -> None:
    scan = random_scan(generator, slices=2, sets=sets)
    x = torch.randn(2, sets, 12, 9, dtype=torch.complex64, generator=generator).requires_grad_()
    residual = scan.operator(x) - scan.samples
    (wanted,) = torch.autograd.grad(residual.abs().square().sum() / 2, x)
    found = DataGradient(scan.samples, scan.mask, scan.maps)(x.detach())
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_backward_of_the_data_gradient_is_exact(generator: torch.Generator) -> None:
    scan = random_scan(generator, sets=2, shape=(4, 3))
    wide = [value.to(torch.complex128) for value in (scan.samples, scan.maps)]
    gradient = DataGradient(wide[0], scan.mask, wide[1])
    x = torch.randn(1, 2, 4, 3, dtype=torch.complex128, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(gradient, x)


def test_maps_that_require_a_gradient_are_refused(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    with pytest.raises(RefusedInputError, match=r"maps require a gradient.*maps\.detach"):
        DataGradient(scan.samples, scan.mask, scan.maps.requires_grad_())


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, unit="gru", consistency="explicit")])
def test_slices_do_not_know_each_other(config: CirimConfig, generator: torch.Generator) -> None:
    network = lively(config, generator)
    samples, mask, maps, sigma = arguments(random_scan(generator, slices=3))
    with torch.no_grad():
        together = network(samples, mask, maps, sigma)
        for one in (slice(index, index + 1) for index in range(3)):
            alone = network(samples[one], mask[one], maps[one], sigma[one])
            torch.testing.assert_close(together[:, :, one], alone)


def test_one_mask_serves_all_slices(generator: torch.Generator) -> None:
    network = lively(SMALL, generator)
    samples, mask, maps, sigma = arguments(random_scan(generator, slices=2))
    one = mask[:1]
    samples = torch.where(one[:, None], samples, 0)
    with torch.no_grad():
        found = network(samples, one, maps, sigma)
        torch.testing.assert_close(found, network(samples, one.expand(2, -1, -1), maps, sigma))


def test_an_empty_second_map_set_changes_nothing(generator: torch.Generator) -> None:
    """Sets are updated by the same weights, and meet in the data gradient alone."""
    network = lively(SMALL, generator)
    samples, mask, maps, sigma = arguments(random_scan(generator))
    with torch.no_grad():
        alone = network(samples, mask, maps, sigma)
        both = network(samples, mask, torch.cat([maps, torch.zeros_like(maps)], 1), sigma)
    torch.testing.assert_close(both[:, :, :, 0], alone[:, :, :, 0])


def test_the_noise_level_is_seen_where_it_is_an_input(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    samples, mask, maps, sigma = arguments(scan)
    for noise_input in (False, True):
        network = lively(replace(SMALL, noise_input=noise_input), generator)
        with torch.no_grad():
            same = torch.equal(
                network(samples, mask, maps, sigma), network(samples, mask, maps, 3 * sigma)
            )
        assert same is not noise_input


def test_the_start_is_zero_filled_unless_given(generator: torch.Generator) -> None:
    network = lively(SMALL, generator)
    scan = random_scan(generator)
    zerofilled = scan.operator.H(scan.samples)
    with torch.no_grad():
        found = network(*arguments(scan))
        torch.testing.assert_close(network(*arguments(scan), initial=zerofilled), found)
        assert not torch.allclose(network(*arguments(scan), initial=0 * zerofilled), found)


def test_a_start_of_another_shape_is_refused(generator: torch.Generator) -> None:
    """Behind the shape checker, which refuses it first in the tests."""
    forward = inspect.unwrap(Cirim.forward)
    start = torch.zeros(1, 1, 9, 12, dtype=torch.complex64)
    with pytest.raises(ShapeError, match=r"\(1, 1, 9, 12\); allowed: \(1, 1, 12, 9\)"):
        forward(lively(SMALL, generator), *arguments(random_scan(generator)), initial=start)


@pytest.mark.parametrize("consistency", ["explicit", "varnet"])
@pytest.mark.parametrize("cascades", [1, 2, 5])
def test_explicit_consistency_runs_and_is_trained(
    cascades: int, consistency: Any, generator: torch.Generator
) -> None:
    config = replace(SMALL, cascades=cascades, consistency=consistency)
    network = lively(config, generator)
    network(*arguments(random_scan(generator))).abs().sum().backward()
    for cascade in range(cascades):
        assert gradient_of(network.get_parameter(f"cascades.{cascade}.dc_weight")).abs() > 0


@pytest.mark.parametrize("cascades", [1, 2, 5])
def test_explicit_consistency_of_weight_one_gives_back_the_samples_of_one_coil(
    cascades: int, generator: torch.Generator
) -> None:
    network = lively(replace(SMALL, cascades=cascades, consistency="explicit"), generator)
    scan = random_scan(generator, coils=1)
    with torch.no_grad():
        image = network(*arguments(scan))[-1, -1]
    predicted = scan.operator(image)
    # 1e-5 of the largest sample: rounding of float32 transforms
    assert (predicted - scan.samples).abs().max() < 1e-5 * scan.samples.abs().max()
    implicit = lively(replace(SMALL, cascades=cascades), generator)
    with torch.no_grad():
        image = implicit(*arguments(scan))[-1, -1]
    assert (scan.operator(image) - scan.samples).abs().max() > 0.1 * scan.samples.abs().max()


def test_varnet_consistency_is_its_formula(generator: torch.Generator) -> None:
    """x_1 = x_0 - w A^H (A x_0 - y) + (x - x_0)."""
    config = replace(SMALL, cascades=1, consistency="varnet")
    network = lively(config, generator)
    scan = random_scan(generator)
    start = torch.randn(1, 1, 12, 9, dtype=torch.complex64, generator=generator)
    implicit = Cirim(replace(config, consistency="implicit"))
    implicit.load_state_dict(
        {name: w for name, w in network.state_dict().items() if "dc_weight" not in name}
    )
    with torch.no_grad():
        network.get_parameter("cascades.0.dc_weight").fill_(0.7)
        x = implicit(*arguments(scan), initial=start)[-1, -1]
        step = scan.operator.H(scan.operator(start) - scan.samples)
        found = network(*arguments(scan), initial=start)[-1, -1]
    torch.testing.assert_close(found, start - 0.7 * step + (x - start), atol=1e-5, rtol=1e-5)


def gradients(network: Cirim, scan: Measurement, **how: bool) -> dict[str, Tensor]:
    network.zero_grad()
    predictions = network(*arguments(scan), **how)
    (predictions.abs() * torch.linspace(0, 1, predictions.shape[-1])).square().sum().backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in network.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("hidden", ["carried", "reset"])
@pytest.mark.parametrize("consistency", ["implicit", "explicit", "varnet"])
@pytest.mark.parametrize("unit", ["indrnn", "gru", "mgu"])
def test_gradients_are_the_same_in_low_memory(
    unit: Any, consistency: Any, hidden: Any, generator: torch.Generator
) -> None:
    config = replace(SMALL, unit=unit, consistency=consistency, hidden=hidden)
    network = lively(config, generator)
    scan = random_scan(generator, slices=2)
    plain, low = gradients(network, scan), gradients(network, scan, low_memory=True)
    assert plain.keys() == low.keys() == dict(network.named_parameters()).keys()
    for name, wanted in plain.items():
        assert (low[name] - wanted).abs().max() <= 1e-5 * wanted.abs().max(), name


def test_low_memory_keeps_a_seventh_of_the_bytes(generator: torch.Generator) -> None:
    """K = 5, T = 8, F = 64: 70 kB a pixel against 8.8, all that lives in either pass counted."""
    network = Cirim(PRESETS["cirim"], generator=generator)
    scan = arguments(random_scan(generator, coils=1, shape=(16, 16)))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    known = [*scan, *network.parameters(), *map(gradient_of, network.parameters())]

    def peak(*, low_memory: bool) -> int:
        return peak_bytes(
            lambda: network(*scan, low_memory=low_memory).abs().sum().backward(), known=known
        )

    assert peak(low_memory=True) <= peak(low_memory=False) / 7


def first_cascade_gradient(config: CirimConfig, generator: torch.Generator) -> float:
    network = lively(config, generator)
    network(*arguments(random_scan(generator)))[-1].abs().sum().backward()
    return float(gradient_of(network.get_parameter("cascades.0.conv1.weight")).abs().max())


@pytest.mark.parametrize("consistency", ["implicit", "explicit", "varnet"])
def test_detached_cascades_pass_no_gradient(consistency: Any, generator: torch.Generator) -> None:
    config = replace(SMALL, consistency=consistency)
    assert first_cascade_gradient(config, generator) > 0
    assert first_cascade_gradient(replace(config, detach_cascades=True), generator) == 0


def test_detached_cascades_have_the_same_output(generator: torch.Generator) -> None:
    network = lively(SMALL, generator)
    scan = random_scan(generator)
    detached = Cirim(replace(SMALL, detach_cascades=True))
    detached.load_state_dict(network.state_dict())
    torch.testing.assert_close(detached(*arguments(scan)), network(*arguments(scan)))


def test_double_precision_stays(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    network = lively(SMALL, generator)
    samples, mask, maps, sigma = arguments(scan)
    with torch.no_grad():
        single = network(samples, mask, maps, sigma)
        double = network.double()(
            samples.to(torch.complex128), mask, maps.to(torch.complex128), sigma
        )
    assert double.dtype == torch.complex128
    torch.testing.assert_close(double.to(torch.complex64), single, atol=1e-5, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("unit", ["indrnn", "gru", "mgu"])
def test_images_on_cuda_equal_those_on_cpu(unit: Any, generator: torch.Generator) -> None:
    network = lively(replace(SMALL, unit=unit), generator)
    scan = arguments(random_scan(generator, slices=2))
    with torch.no_grad():
        wanted = network(*scan)
        # TF32 kernels would give 1e-3
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found = network.cuda()(*(value.cuda() for value in scan))
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("consistency", ["implicit", "explicit"])
def test_double_samples_stay_double(consistency: Any, generator: torch.Generator) -> None:
    network = lively(replace(SMALL, consistency=consistency, noise_input=True), generator)
    samples, mask, maps, sigma = arguments(random_scan(generator))
    with torch.no_grad():
        single = network(samples, mask, maps, sigma)
        double = network(samples.to(torch.complex128), mask, maps.to(torch.complex128), sigma)
    assert double.dtype == torch.complex128
    torch.testing.assert_close(double.to(torch.complex64), single, atol=1e-4, rtol=1e-4)

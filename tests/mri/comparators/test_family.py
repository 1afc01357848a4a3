"""What every network that reconstructs must do: one list, one contract."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from medconsist.mri.learned.model import load_model
from medconsist.mri.learned.networks import KINDS, architecture_from, stored_architecture
from medconsist.mri.learned.supervised import Supervised, SupervisedConfig
from medconsist.mri.scan_pool import PoolConfig, ScanPool
from medconsist.training.weights import save_weights
from tests.mri.cirim.random_scan import arguments
from tests.mri.comparators.family import (
    FAMILY,
    calibrated,
    largest_difference,
    network_of,
    storages,
)

EXACT = 1e-5  # of the largest value: rounding of float32 transforms and convolutions
AMPLIFIED = 1e-4  # instance norms of few pixels divide by small spreads

every_network = pytest.mark.parametrize("name", FAMILY)


def test_every_kind_is_in_the_family() -> None:
    assert {member.config.kind for member in FAMILY.values()} == set(KINDS)


@every_network
@pytest.mark.parametrize(
    ("coils", "sets", "shape"), [(1, 1, (20, 17)), (3, 2, (13, 22)), (8, 1, (7, 31))]
)
def test_any_number_of_coils_and_any_size(
    name: str, coils: int, sets: int, shape: tuple[int, int], generator: torch.Generator
) -> None:
    network = network_of(FAMILY[name].config)
    scan = calibrated(generator, coils=coils, sets=sets, shape=shape)
    with torch.no_grad():
        found = network(*arguments(scan))
    assert found.shape[2:] == (1, sets, *shape)
    assert found.isfinite().all()


@every_network
def test_the_gradient_reaches_every_parameter(name: str, generator: torch.Generator) -> None:
    network = network_of(FAMILY[name].config)
    found = network(*arguments(calibrated(generator)))[-1, -1]
    (found.abs() * torch.linspace(0, 1, found.shape[-1])).square().sum().backward()
    reached = {
        name: parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
        for name, parameter in network.named_parameters()
    }
    assert [one for one, is_reached in reached.items() if not is_reached] == list(
        FAMILY[name].still
    )


@every_network
def test_the_first_weights_come_from_the_generator(name: str) -> None:
    config = FAMILY[name].config
    first, second, other = (network_of(config, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    drawn = [key for key in first if key.endswith("weight") and first[key].ndim == 4]
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


@every_network
def test_two_calls_are_equal(name: str, generator: torch.Generator) -> None:
    network = network_of(FAMILY[name].config)
    scan = arguments(calibrated(generator))
    with torch.no_grad():
        assert torch.equal(network(*scan), network(*scan))


@every_network
def test_slices_do_not_know_each_other(name: str, generator: torch.Generator) -> None:
    network = network_of(FAMILY[name].config)
    samples, mask, maps, sigma = arguments(calibrated(generator, slices=3))
    with torch.no_grad():
        together = network(samples, mask, maps, sigma)
        for one in (slice(index, index + 1) for index in range(3)):
            alone = network(samples[one], mask[one], maps[one], sigma[one])
            assert largest_difference(together[:, :, one], alone) < AMPLIFIED


@every_network
def test_one_mask_serves_all_slices(name: str, generator: torch.Generator) -> None:
    network = network_of(FAMILY[name].config)
    samples, mask, maps, sigma = arguments(calibrated(generator, slices=2))
    one = mask[:1]
    samples = torch.where(one[:, None], samples, 0)
    with torch.no_grad():
        found = network(samples, one, maps, sigma)
        wanted = network(samples, one.expand(2, -1, -1), maps, sigma)
    assert largest_difference(found, wanted) < EXACT


@every_network
def test_an_empty_second_map_set_changes_nothing(name: str, generator: torch.Generator) -> None:
    """Sets are worked on by the same weights, and meet in coil k-space alone."""
    network = network_of(FAMILY[name].config)
    samples, mask, maps, sigma = arguments(calibrated(generator))
    with torch.no_grad():
        alone = network(samples, mask, maps, sigma)
        both = network(samples, mask, torch.cat([maps, torch.zeros_like(maps)], 1), sigma)
    assert largest_difference(both[:, :, :, :1], alone) < AMPLIFIED


@every_network
def test_low_memory_gives_the_same_image_and_gradients(
    name: str, generator: torch.Generator
) -> None:
    network = network_of(FAMILY[name].config)
    scan = arguments(calibrated(generator, slices=2))

    def both(*, low_memory: bool) -> list[Tensor]:
        network.zero_grad()
        found = network(*scan, low_memory=low_memory)
        found.abs().sum().backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        return [found.detach(), *(gradient.clone() for gradient in gradients)]

    for plain, low in zip(both(low_memory=False), both(low_memory=True), strict=True):
        assert (low - plain).abs().max() <= EXACT * plain.abs().max()


def image_of(name: str, samples: Tensor, mask: Tensor, maps: Tensor, sigma: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = network_of(FAMILY[name].config)(samples, mask, maps, sigma)[-1, -1]
    return found


@every_network
def test_a_phase_of_the_data_is_one_of_the_image_where_it_is_said(
    name: str, generator: torch.Generator
) -> None:
    samples, *rest = arguments(calibrated(generator))
    turn = torch.polar(torch.tensor(1.0), torch.tensor(0.7))
    wanted = turn * image_of(name, samples, *rest)
    difference = largest_difference(image_of(name, turn * samples, *rest), wanted)
    assert (difference < AMPLIFIED) is FAMILY[name].phase


@every_network
def test_a_scale_of_the_data_is_one_of_the_image_where_it_is_said(
    name: str, generator: torch.Generator
) -> None:
    samples, mask, maps, sigma = arguments(calibrated(generator))
    wanted = 3 * image_of(name, samples, mask, maps, sigma)
    found = image_of(name, 3 * samples, mask, maps, 3 * sigma)
    assert (largest_difference(found, wanted) < AMPLIFIED) is FAMILY[name].scale


@every_network
def test_a_unitary_mix_of_coils_gives_the_same_image_where_it_is_said(
    name: str, generator: torch.Generator
) -> None:
    samples, mask, maps, sigma = arguments(calibrated(generator, coils=4))
    mix, _ = torch.linalg.qr(torch.randn(4, 4, dtype=torch.complex64, generator=generator))
    wanted = image_of(name, samples, mask, maps, sigma)
    mixed = torch.einsum("dc,ncij->ndij", mix, samples)
    mixed_maps = torch.einsum("dc,nscij->nsdij", mix, maps)
    found = image_of(name, mixed, mask, mixed_maps, sigma)
    assert (largest_difference(found, wanted) < AMPLIFIED) is FAMILY[name].coil_mix
    order = [2, 0, 3, 1]
    found = image_of(name, samples[:, order], mask, maps[:, :, order], sigma)
    assert largest_difference(found, wanted) < AMPLIFIED


@pytest.mark.parametrize("name", [name for name, member in FAMILY.items() if member.hard])
def test_a_weight_of_one_gives_back_the_samples_of_one_coil(
    name: str, generator: torch.Generator
) -> None:
    scan = calibrated(generator, coils=1)
    predicted = scan.operator(image_of(name, *arguments(scan)))
    assert largest_difference(predicted, scan.samples) < EXACT


@every_network
def test_a_weight_file_gives_the_same_network(
    name: str, tmp_path: Path, generator: torch.Generator
) -> None:
    config = FAMILY[name].config
    network = network_of(config)
    stored = stored_architecture(config)
    assert architecture_from(stored, "a file") == config
    path = tmp_path / "a.safetensors"
    save_weights(path, network.state_dict(), architecture=stored, about={})
    loaded = load_model(path).network
    scan = arguments(calibrated(generator))
    with torch.no_grad():
        assert torch.equal(loaded(*scan), network(*scan))


@every_network
def test_no_two_names_share_a_weight(name: str) -> None:
    """What is shared on purpose is there once, and is used several times."""
    places = storages(network_of(FAMILY[name].config))
    assert len(places) == len(set(places))


@every_network
def test_double_samples_stay_double(name: str, generator: torch.Generator) -> None:
    network = network_of(FAMILY[name].config)
    samples, mask, maps, sigma = arguments(calibrated(generator))
    with torch.no_grad():
        single = network(samples, mask, maps, sigma)
        double = network(samples.to(torch.complex128), mask, maps.to(torch.complex128), sigma)
    assert double.dtype == torch.complex128
    assert largest_difference(double.to(torch.complex64), single) < AMPLIFIED


@pytest.fixture(scope="module")
def pool() -> ScanPool:
    """Return one slice of the simulator."""
    return ScanPool.simulate(PoolConfig(scans=1, slices=1, size=32, coils=2))


@pytest.mark.parametrize("name", [name for name in FAMILY if " " not in name or "learnt" in name])
def test_the_loss_falls(name: str, pool: ScanPool) -> None:
    task = Supervised(SupervisedConfig(network=FAMILY[name].config, distance="l1"), pool)
    network = task.build(torch.Generator().manual_seed(0))
    batch = task.draw(torch.Generator().manual_seed(1), 0)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = task.losses(network, batch)["loss"]
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.97 * losses[0]

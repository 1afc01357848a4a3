"""Our network with ATOMMIC's weights against the papers' equations, written out naively.

Largest difference anywhere over the largest intensity, float32 against double precision.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medconsist.mri.cirim.importers import from_atommic, from_direct
from medconsist.mri.cirim.network import Cirim
from tests.parity.naive_cirim import (
    Naive,
    State,
    adjoint,
    convolution,
    gradient,
    indrnn,
    random_state,
    reconstruct,
    relu,
)

TOLERANCE = 1e-5  # the issue's; float32 gives about 1e-6
FEATURES = 6
Scan = tuple[Tensor, Tensor, Tensor]


def random_scan(
    generator: torch.Generator, coils: int = 3, shape: tuple[int, int] = (12, 10)
) -> Scan:
    """Masked samples of a random object through random maps of unit norm, no symmetry anywhere."""
    maps = torch.randn(coils, *shape, dtype=torch.complex64, generator=generator)
    maps = maps / torch.linalg.vector_norm(maps, dim=0)
    mask = torch.rand(shape, generator=generator) < 0.4
    samples = torch.randn(coils, *shape, dtype=torch.complex64, generator=generator)
    return torch.where(mask, samples, 0), mask, maps


def ours(network: Cirim, scan: Scan, sigma: float) -> Tensor:
    samples, mask, maps = scan
    with torch.no_grad():
        images = network(samples[None], mask[None], maps[None, None], torch.tensor([sigma]))
    return images[:, :, 0, 0]


def with_changes(network: Cirim, **changes: Any) -> Cirim:
    """The same weights under settings that no weights tell."""
    changed = Cirim(replace(network.config, **changes), generator=torch.Generator())
    changed.load_state_dict(network.state_dict())
    return changed


def assert_equal(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max() / wanted.abs().max()) < TOLERANCE


@pytest.mark.parametrize("explicit", [False, True], ids=["implicit", "explicit"])
@pytest.mark.parametrize("cascades", [1, 2, 5])
@pytest.mark.parametrize("unit", ["indrnn", "gru", "mgu"])
def test_output_is_that_of_the_equations(
    unit: Any, cascades: int, explicit: bool, generator: torch.Generator
) -> None:
    naive = Naive(cascades=cascades, steps=3, unit=unit, explicit=explicit)
    state = random_state(naive, FEATURES, generator)
    scan = random_scan(generator)
    network = from_atommic(state, steps=3)
    assert (network.config.unit, network.config.cascades) == (unit, cascades)
    assert_equal(ours(network, scan, 1.0), reconstruct(naive, state, *scan, 1.0))


@pytest.mark.parametrize("steps", [1, 5, 8])
def test_steps_are_as_many_as_asked(steps: int, generator: torch.Generator) -> None:
    """ATOMMIC rounds 5 up to 8."""
    naive = Naive(cascades=2, steps=steps)
    state = random_state(naive, FEATURES, generator)
    scan = random_scan(generator)
    found = ours(from_atommic(state, steps=steps), scan, 1.0)
    assert found.shape[:2] == (2, steps)
    assert_equal(found, reconstruct(naive, state, *scan, 1.0))


@pytest.mark.parametrize("shape", [(9, 12), (12, 7), (11, 13)])
@pytest.mark.parametrize("coils", [1, 3, 8])
def test_any_coils_and_any_size(
    coils: int, shape: tuple[int, int], generator: torch.Generator
) -> None:
    naive = Naive(cascades=2, steps=2, explicit=True)
    state = random_state(naive, FEATURES, generator)
    scan = random_scan(generator, coils, shape)
    assert_equal(ours(from_atommic(state, steps=2), scan, 1.0), reconstruct(naive, state, *scan, 1))


@pytest.mark.parametrize("sigma", [0.5, 2.0])
@pytest.mark.parametrize("scale", ["unit", "inverse_variance", "clamped_sigma"])
def test_gradient_scales(scale: Any, sigma: float, generator: torch.Generator) -> None:
    naive = Naive(cascades=2, steps=2, gradient_scale=scale)
    state = random_state(naive, FEATURES, generator)
    scan = random_scan(generator)
    network = with_changes(from_atommic(state, steps=2), gradient_scale=scale)
    assert_equal(ours(network, scan, sigma), reconstruct(naive, state, *scan, sigma))


@pytest.mark.parametrize("unit", ["indrnn", "gru"])
def test_hidden_states_that_start_anew_in_each_cascade(
    unit: Any, generator: torch.Generator
) -> None:
    naive = Naive(cascades=3, steps=2, unit=unit, carried=False)
    state = random_state(naive, FEATURES, generator)
    scan = random_scan(generator)
    network = from_atommic(state, steps=2)
    wanted = reconstruct(naive, state, *scan, 1.0)
    assert_equal(ours(with_changes(network, hidden="reset"), scan, 1.0), wanted)
    assert (ours(network, scan, 1.0)[1:] - wanted[1:]).abs().max() > 0.01  # the choice is seen


def test_steps_without_a_gradient_are_those_of_training(generator: torch.Generator) -> None:
    naive = Naive(cascades=2, steps=3, unit="gru", explicit=True)
    state = random_state(naive, FEATURES, generator)
    samples, mask, maps = random_scan(generator)
    network = from_atommic(state, steps=3)
    wanted = reconstruct(naive, state, samples, mask, maps, 1.0)
    for low_memory in (False, True):
        found = network(
            samples[None], mask[None], maps[None, None], torch.ones(1), low_memory=low_memory
        )
        assert_equal(found.detach()[:, :, 0, 0], wanted)


def direct_state(atommic: State) -> State:
    """The same numbers under DIRECT's names, with its unused scalar."""
    state = {
        name.replace("reconstruction_module.", "block_list.").replace(".rnn.", ".recurrent."): value
        for name, value in atommic.items()
    }
    return {**state, "dc_weight": torch.full((1,), 7.0)}


def direct_reconstruct(state: State, cascades: int, steps: int, scan: Scan) -> Tensor:
    """What `direct/nn/cirim/cirim.py` computes with ``no_parameter_sharing=True``."""
    wide = {name: value.double() for name, value in state.items()}
    samples, mask, maps = scan[0].to(torch.complex128), scan[1], scan[2].to(torch.complex128)
    x, images = adjoint(samples, mask, maps), []
    for cascade in range(cascades):
        mark = f"block_list.{cascade}."
        block = {
            name.removeprefix(mark).replace("recurrent.", "rnn."): value
            for name, value in wide.items()
            if name.startswith(mark)
        }
        start, hidden = x, list[Tensor | None]([None, None])
        g = gradient(start, samples, mask, maps)
        of_steps = []
        for _ in range(steps):
            features = torch.stack([g.real, g.imag, start.real, start.imag])
            for layer in (0, 1):
                head = f"layers.{layer}."
                u = convolution(features, block[f"{head}convs.conv_layer.weight"], layer + 1)
                u = relu(u + block[f"{head}convs.conv_layer.bias"][:, None, None])
                features = hidden[layer] = indrnn(block, f"{head}rnn.", u, hidden[layer])
            update = relu(convolution(features, block["final_layer.0.conv_layer.weight"], 1))
            x = start + torch.complex(update[0], update[1])
            of_steps.append(x)
        images.append(torch.stack(of_steps))
    return torch.stack(images)


@pytest.mark.parametrize("cascades", [1, 3])
def test_weights_of_direct_compute_what_its_code_does(
    cascades: int, generator: torch.Generator
) -> None:
    state = direct_state(random_state(Naive(cascades=cascades, steps=4), FEATURES, generator))
    scan = random_scan(generator)
    wanted = direct_reconstruct(state, cascades, 4, scan)
    assert_equal(ours(from_direct(state, steps=4), scan, 1.0), wanted)


def test_the_naive_convolution_is_the_released_one(generator: torch.Generator) -> None:
    """Replication pad, then a dilated convolution without padding."""
    state = random_state(Naive(cascades=1, steps=1), FEATURES, generator)
    weight = state["reconstruction_module.0.layers.1.convs.conv_layer.weight"]
    features = torch.randn(FEATURES, 9, 7, generator=generator)
    padded = nn.ReplicationPad2d(2)(features)
    wanted = nn.functional.conv2d(padded[None], weight, dilation=2)[0]
    assert_equal(convolution(features, weight, 2), wanted)

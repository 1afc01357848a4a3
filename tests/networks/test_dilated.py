"""The dilated encoder equals TS2Vec's for every length, without the taps that see padding."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.dilated import DilatedConfig, DilatedEncoder

EXACT = 1e-6  # float32 sums in another order; measured 5e-7
SMALL = DilatedConfig(channels=3, hidden=8, dim=12, depth=4, dropout=0)


def encoder(config: DilatedConfig, seed: int = 0) -> DilatedEncoder:
    return DilatedEncoder(config, generator=torch.Generator().manual_seed(seed))


def full(network: DilatedEncoder, signals: Tensor, mask: Tensor | None = None) -> Tensor:
    """The same by padded convolutions, every tap included."""
    x = functional.linear(signals, network.input.weight, network.input.bias)
    if mask is not None:
        x = x * (mask if mask.ndim == 3 else mask[..., None])
    x = x.transpose(1, 2)
    block: Any
    for i, block in enumerate(network.blocks):
        hidden = x
        for conv in (block.conv1, block.conv2):
            hidden = functional.conv1d(
                functional.gelu(hidden), conv.weight, conv.bias, padding=2**i, dilation=2**i
            )
        last = i == network.config.depth
        skip = block.skip.weight[..., None] if last else None
        x = hidden + (x if skip is None else functional.conv1d(x, skip, block.skip.bias))
    return x.transpose(1, 2)


@pytest.mark.parametrize("time", [100, 128, 256, 300])
def test_pruned_encoder_equals_the_full_one_at_every_length(
    time: int, generator: torch.Generator
) -> None:
    network = encoder(DilatedConfig(channels=4, dropout=0))
    signals = torch.randn(2, time, 4, generator=generator)
    mask = torch.rand(2, time, generator=generator) < 0.5
    assert (network(signals, mask) - full(network, signals, mask)).abs().max() < EXACT


@pytest.mark.parametrize("time", [1, 5, 16, 33])
@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_are_those_of_padded_convolutions(
    time: int, recompute: bool, generator: torch.Generator
) -> None:
    network = encoder(replace(SMALL, recompute=recompute)).double()
    signals = torch.randn(3, time, 3, generator=generator, dtype=torch.float64).requires_grad_()
    weights = [signals, *network.parameters()]
    wanted = torch.randn(3, time, 12, generator=generator, dtype=torch.float64)
    ours = torch.autograd.grad((network(signals) * wanted).sum(), weights)
    theirs = torch.autograd.grad((full(network, signals) * wanted).sum(), weights)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_side_taps_that_reach_beyond_the_signal_have_exactly_no_gradient() -> None:
    network = encoder(SMALL)
    network(torch.ones(2, 8, 3)).sum().backward()
    block: Any
    for i, block in enumerate(network.blocks):
        for conv in (block.conv1, block.conv2):
            sides = conv.weight.grad[..., [0, 2]]
            assert bool((sides == 0).all()) == (2**i >= 8)


def test_default_encoder_has_the_published_number_of_weights() -> None:
    sizes = [p.numel() for p in DilatedEncoder(DilatedConfig(channels=16)).parameters()]
    assert sum(sizes) == 638_208


def test_one_window_does_not_depend_on_its_batch_mates(generator: torch.Generator) -> None:
    network = encoder(SMALL).eval()
    signals = torch.randn(5, 40, 3, generator=generator)
    torch.testing.assert_close(network(signals)[2:3], network(signals[2:3]), rtol=0, atol=EXACT)


def test_mask_of_hidden_features_and_mask_of_steps_zero_what_they_say(
    generator: torch.Generator,
) -> None:
    network = encoder(SMALL)
    signals = torch.randn(2, 20, 3, generator=generator)
    mask = torch.rand(2, 20, 8, generator=generator) < 0.5
    torch.testing.assert_close(
        network(signals, mask), full(network, signals, mask), rtol=0, atol=EXACT
    )
    steps = mask[..., 0]
    wide = steps[..., None].expand(-1, -1, 8)
    assert torch.equal(network(signals, steps), network(signals, wide))


def test_steps_with_nan_are_masked(generator: torch.Generator) -> None:
    network = encoder(SMALL)
    signals = torch.randn(2, 20, 3, generator=generator)
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[1, 4:7] = False
    holes = signals.clone()
    holes[1, 4:7, 1] = torch.nan
    assert torch.equal(network(holes), network(signals, mask))


def test_autocast_runs_in_half_precision_and_trains_float32_weights(
    generator: torch.Generator,
) -> None:
    network = encoder(SMALL)
    signals = torch.randn(2, 64, 3, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(signals)
    out.float().square().mean().backward()
    assert out.dtype == torch.bfloat16
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())
    # bfloat16 keeps 8 bits; errors of ten convolutions add up
    torch.testing.assert_close(out.float(), network(signals), rtol=0.05, atol=0.02)


def test_dropout_acts_in_training_alone() -> None:
    network = encoder(replace(SMALL, dropout=0.5))
    signals = torch.ones(1, 30, 3)
    assert bool((network(signals) == 0).any())
    assert torch.equal(network.eval()(signals), network.features(signals))


def test_equal_generators_draw_equal_weights() -> None:
    for a, b in zip(encoder(SMALL).parameters(), encoder(SMALL).parameters(), strict=True):
        assert torch.equal(a, b)


def test_sizes_and_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="sizes of at least 1"):
        DilatedConfig(channels=0)
    with pytest.raises(RefusedInputError, match="dropout < 1"):
        DilatedConfig(channels=1, dropout=1.0)
    with pytest.raises(ShapeError, match=r"allowed: \(batch, time, 3\)"):
        encoder(SMALL)(torch.zeros(2, 9, 4))
    with pytest.raises(ShapeError, match=r"mask \(2, 8\)"):
        encoder(SMALL)(torch.zeros(2, 9, 3), torch.ones(2, 8, dtype=torch.bool))

"""The recurrent units: sizes, start values, first step, range."""

import math

import pytest
import torch

from medconsist.mri.cirim.units import ConvGRU, ConvMGU, IndRNN, unit_named

FEATURES = 64
UNITS = {"indrnn": IndRNN, "gru": ConvGRU, "mgu": ConvMGU}


@pytest.mark.parametrize(("name", "kind"), UNITS.items())
def test_a_unit_is_found_by_its_name(name: str, kind: type) -> None:
    assert type(unit_named(name, 4)) is kind


@pytest.mark.parametrize(("name", "parameters"), [("indrnn", 4224), ("gru", 24768), ("mgu", 16512)])
def test_number_of_parameters(name: str, parameters: int) -> None:
    """F F + 2 F of IndRNN; 2 g F F + g F of g gates."""
    assert sum(p.numel() for p in unit_named(name, FEATURES).parameters()) == parameters


@pytest.mark.parametrize("name", UNITS)
def test_no_hidden_state_counts_as_zero(name: str, generator: torch.Generator) -> None:
    unit = unit_named(name, 5, generator)
    u = torch.randn(2, 5, 4, 3, generator=generator)
    assert torch.equal(unit(u, None), unit(u, torch.zeros_like(u)))


@pytest.mark.parametrize("name", UNITS)
def test_a_hidden_state_is_remembered(name: str, generator: torch.Generator) -> None:
    unit = unit_named(name, 5, generator)
    u = torch.randn(1, 5, 4, 3, generator=generator)
    assert not torch.equal(unit(u, torch.ones_like(u)), unit(u, None))


@pytest.mark.parametrize("name", UNITS)
def test_pixels_do_not_mix(name: str, generator: torch.Generator) -> None:
    unit = unit_named(name, 5, generator)
    u = torch.randn(1, 5, 4, 3, generator=generator)
    h = torch.randn(1, 5, 4, 3, generator=generator)
    torch.testing.assert_close(unit(u.mT, h.mT), unit(u, h).mT)


@pytest.mark.parametrize("name", UNITS)
def test_start_values_come_from_the_generator(name: str) -> None:
    first, second = (
        unit_named(name, 8, torch.Generator().manual_seed(3)).state_dict() for _ in range(2)
    )
    other = unit_named(name, 8, torch.Generator().manual_seed(4)).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["input.weight"], other["input.weight"])
    assert not first["input.bias"].any()


def test_indrnn_starts_with_the_released_spread(generator: torch.Generator) -> None:
    """1 / (F (1 + k^2)) is the standard deviation, k = 1."""
    unit = IndRNN(FEATURES, generator)
    wanted = 1 / (2 * FEATURES)
    # 4096 draws: one standard error is 1.1 %; 64 draws: 9 %
    assert float(unit.input.weight.detach().std()) == pytest.approx(wanted, rel=0.05)
    assert float(unit.recurrent.detach().std()) == pytest.approx(wanted, rel=0.3)


def test_gru_starts_orthogonal(generator: torch.Generator) -> None:
    unit = ConvGRU(16, generator)
    for conv in (unit.input, unit.recurrent):
        weight = conv.weight.flatten(1)
        torch.testing.assert_close(weight.T @ weight, torch.eye(16), atol=1e-5, rtol=0)


def test_mgu_starts_xavier_uniform_with_the_gain_of_relu_for_the_input(
    generator: torch.Generator,
) -> None:
    unit = ConvMGU(FEATURES, generator)
    bound = math.sqrt(6 / (FEATURES + 2 * FEATURES))
    for conv, gain in ((unit.input, math.sqrt(2)), (unit.recurrent, 1.0)):
        largest = float(conv.weight.detach().abs().max())
        assert 0.99 * gain * bound < largest <= gain * bound


def test_hidden_states_of_gated_units_stay_within_one(generator: torch.Generator) -> None:
    for name in ("gru", "mgu"):
        unit, hidden = unit_named(name, 5, generator), None
        for _ in range(20):
            hidden = unit(100 * torch.randn(1, 5, 4, 3, generator=generator), hidden)
        assert hidden is not None
        assert float(hidden.detach().abs().max()) <= 1

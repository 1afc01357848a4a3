"""The spread of the steps of one forward pass."""

from dataclasses import replace

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.learned.adaptation import Adaptation
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import LearnedModel
from medconsist.mri.learned.zero_shot import AdaptedMethod
from medconsist.mri.methods import CgSense
from medconsist.mri.uncertainty.step_spread import spread_of_steps, step_images, steps_of_method
from tests.mri.cirim.random_scan import random_scan

CONFIG = CirimConfig(cascades=2, steps=3, features=4, noise_input=True)


@pytest.fixture
def method(generator: torch.Generator) -> LearnedMethod:
    network = Cirim(CONFIG, generator=generator)
    return LearnedMethod(LearnedModel(network.eval(), "small", "0" * 64, {}))


@pytest.mark.parametrize("last", [1, 4, None])
def test_spread_is_the_distance_of_earlier_images_in_a_window(
    last: int | None, generator: torch.Generator
) -> None:
    found = torch.randn(2, 3, 1, 1, 11, 12, dtype=torch.complex64, generator=generator)
    spread = spread_of_steps(found, last=last)
    sizes = found[:, :, 0, 0].abs().flatten(0, 1)
    squares = (sizes[-1 - (last or 5) : -1] - sizes[-1]).square().mean(0)
    for row, column in ((0, 0), (5, 6), (10, 3)):
        window = squares[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
        assert float(spread[0, row, column]) == pytest.approx(float(window.mean().sqrt()), rel=1e-5)


def test_steps_that_agree_have_no_spread() -> None:
    assert float(spread_of_steps(torch.ones(2, 2, 1, 1, 9, 9) + 0j).max()) == 0.0


def test_the_image_is_that_of_the_method(method: LearnedMethod, generator: torch.Generator) -> None:
    scan = random_scan(generator, slices=2, sets=2)
    fixed = method.fixed(scan)
    assert fixed.scale is not None
    made = step_images(method.model.network, scan, scale=fixed.scale)
    torch.testing.assert_close(made.image, fixed(scan))
    torch.testing.assert_close(made.spread, steps_of_method(method, scan))
    assert float(made.spread.min()) > 0


def test_steps_of_an_adapted_network_are_those_of_the_image_that_is_shown(
    method: LearnedMethod, generator: torch.Generator
) -> None:
    scan = random_scan(generator, slices=2, sets=2)
    scan.maps[:, :, :, -1] = 0
    done = Adaptation(gamma=(0.3, 0.2), steps=1, kept_step=1, seconds=0.0)
    own = LearnedModel(Cirim(CONFIG, generator=generator), "own", "1" * 64, {})
    adapted = AdaptedMethod(own, 1.5, adaptation=done, origin={}, start=method.model)
    for level in (None, 0.5):
        fixed = replace(adapted, signal_level=level)
        made = step_images(own.network, scan, scale=1.5, blend=fixed.blend_of(scan))
        torch.testing.assert_close(made.image, fixed(scan))
        torch.testing.assert_close(made.spread, steps_of_method(fixed, scan))
    kept = replace(adapted, signal_level=1e9)  # nowhere is so much signal: the start is shown
    assert float(steps_of_method(kept, scan).max()) < 1e-6 * float(made.spread.max())


def test_the_spread_is_in_units_of_the_samples(
    method: LearnedMethod, generator: torch.Generator
) -> None:
    scan = random_scan(generator)
    twice = steps_of_method(method, replace(scan, samples=2 * scan.samples, sigma=2 * scan.sigma))
    torch.testing.assert_close(twice, 2 * steps_of_method(method, scan))


def test_a_method_without_steps_is_refused(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    with pytest.raises(RefusedInputError, match="cgsense has no steps of a network"):
        steps_of_method(CgSense(), scan)
    with pytest.raises(RefusedInputError, match="got 1 images of one pass"):
        spread_of_steps(torch.ones(1, 1, 1, 1, 9, 9) + 0j)
    with pytest.raises(RefusedInputError, match="last=2; allowed: at least 2 images and 1 to 1"):
        spread_of_steps(torch.ones(1, 2, 1, 1, 9, 9) + 0j, last=2)

"""The spread of the steps of one forward pass."""

import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.mri.cirim.config import CirimConfig
from medconsist.mri.cirim.network import Cirim
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import LearnedModel
from medconsist.mri.methods import CgSense
from medconsist.mri.uncertainty.step_spread import spread_of_steps, step_images, steps_of_method
from tests.mri.cirim.random_scan import random_scan


@pytest.fixture
def method(generator: torch.Generator) -> LearnedMethod:
    network = Cirim(CirimConfig(cascades=2, steps=3, features=4), generator=generator)
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


def test_the_spread_is_in_units_of_the_samples(
    method: LearnedMethod, generator: torch.Generator
) -> None:
    scan = random_scan(generator)
    twice = steps_of_method(method, scan.with_samples(2 * scan.samples))
    torch.testing.assert_close(twice, 2 * steps_of_method(method, scan))


def test_a_method_without_steps_is_refused(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    with pytest.raises(RefusedInputError, match="cgsense has no steps of a network"):
        steps_of_method(CgSense(), scan)
    with pytest.raises(RefusedInputError, match="got 1 images of one pass"):
        spread_of_steps(torch.ones(1, 1, 1, 1, 9, 9) + 0j)
    with pytest.raises(RefusedInputError, match="last=2; allowed: at least 2 images and 1 to 1"):
        spread_of_steps(torch.ones(1, 2, 1, 1, 9, 9) + 0j, last=2)

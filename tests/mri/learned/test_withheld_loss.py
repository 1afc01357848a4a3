"""The losses of self-supervision beside naive loops, and what they must not look at."""

import inspect
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from medconsist.consistency.agreement import mad_scale
from medconsist.errors import RefusedInputError
from medconsist.mri.forward import sense_operator
from medconsist.mri.learned.loss import Weighting, step_weights
from medconsist.mri.learned.withheld_loss import WithheldLoss, withheld_loss
from tests.mri.cirim.random_scan import random_scan

NAMES = get_args(WithheldLoss)
ROUNDING = 1e-5  # float32 sums of a few hundred terms


def residuals(x: Tensor, y: Tensor, maps: Tensor, hold: Tensor) -> list[tuple[complex, complex]]:
    """Pairs (predicted, measured) on Lambda, sample by sample."""
    predicted = sense_operator(hold[None], maps[None])(x[None])[0]
    return [
        (complex(predicted[c, i, j]), complex(y[c, i, j]))
        for c in range(len(y))
        for i in range(hold.shape[0])
        for j in range(hold.shape[1])
        if hold[i, j]
    ]


def naive(name: str, pairs: list[tuple[complex, complex]], c: float) -> float:
    r = [abs(a - b) for a, b in pairs]
    u = [abs(b) for _, b in pairs]
    n, squares = len(r), sum(v**2 for v in r)
    match name:
        case "ssdu":
            l2 = math.sqrt(squares / sum(v**2 for v in u))
            return 0.5 * l2 + 0.5 * sum(r) / sum(u)
        case "mse":
            return squares / n
        case "pseudo_huber":
            return sum(math.sqrt(v**2 + c**2) - c for v in r) / n
        case "cauchy":
            return sum(math.log(1 + v**2 / (2 * c**2)) for v in r) / n
        case "pseudo_huber_scan":
            return math.sqrt(squares + n * c**2) - math.sqrt(n) * c
        case _:
            return math.log(1 + squares / (2 * n * c**2))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighting", ["last", "logspace"])
def test_each_loss_is_what_a_loop_over_the_samples_gives(
    name: WithheldLoss, weighting: Weighting, generator: torch.Generator
) -> None:
    scan = random_scan(generator, slices=2, sets=2)
    images = torch.randn(2, 3, 2, 2, 12, 9, dtype=torch.complex64, generator=generator)
    hold = scan.mask & (torch.rand(scan.mask.shape, generator=generator) < 0.4)
    found = withheld_loss(
        images,
        scan.samples,
        scan.maps,
        hold=hold,
        loss=name,
        scale=0.3,
        weighting=weighting,
    )
    weights = step_weights(weighting, 2, 3)
    wanted = sum(
        float(weights[k, t])
        * naive(name, residuals(images[k, t, s], scan.samples[s], scan.maps[s], hold[s]), 0.3)
        / 2
        for k in range(2)
        for t in range(3)
        for s in range(2)
    )
    assert float(found) == pytest.approx(wanted, rel=ROUNDING)


@pytest.mark.parametrize("name", NAMES)
def test_samples_outside_lambda_do_not_count(
    name: WithheldLoss, generator: torch.Generator
) -> None:
    scan = random_scan(generator)
    images = torch.randn(1, 1, 1, 1, 12, 9, dtype=torch.complex64, generator=generator)
    hold = scan.mask & (torch.rand(scan.mask.shape, generator=generator) < 0.4)
    other = torch.where(hold[:, None], scan.samples, 1e6)
    first, second = (
        withheld_loss(images, samples, scan.maps, hold=hold, loss=name)
        for samples in (scan.samples, other)
    )
    assert torch.equal(first, second)


def test_the_scale_that_is_not_given_is_that_of_the_residuals(generator: torch.Generator) -> None:
    scan = random_scan(generator)
    images = torch.randn(1, 2, 1, 1, 12, 9, dtype=torch.complex64, generator=generator)
    hold = scan.mask
    predicted = sense_operator(hold, scan.maps)(images[0, -1])
    c = mad_scale((predicted - scan.samples)[0][:, hold[0]])
    found, wanted = (
        withheld_loss(images, scan.samples, scan.maps, hold=hold, loss="cauchy", scale=scale)
        for scale in (None, float(c))
    )
    assert float(found) == pytest.approx(float(wanted), rel=ROUNDING)


def test_one_gross_sample_moves_the_gradient_of_mse_and_not_that_of_cauchy(
    generator: torch.Generator,
) -> None:
    scan = random_scan(generator)
    spiked = scan.samples.clone()
    row, column = (int(i) for i in scan.mask[0].nonzero()[0])
    spiked[0, 0, row, column] += 1e3

    def gradient(samples: Tensor, loss: WithheldLoss) -> Tensor:
        images = torch.zeros(1, 1, 1, 1, 12, 9, dtype=torch.complex64, requires_grad=True)
        value = withheld_loss(images, samples, scan.maps, hold=scan.mask, loss=loss, scale=1.0)
        return torch.autograd.grad(value, images)[0]

    def moved(loss: WithheldLoss) -> float:
        clean, other = gradient(scan.samples, loss), gradient(spiked, loss)
        return float((other - clean).norm() / clean.norm())

    assert moved("mse") > 10
    assert moved("cauchy") < 0.5


def test_an_unknown_loss_is_refused(generator: torch.Generator) -> None:
    """Behind the type checker, which refuses it first in the tests."""
    scan = random_scan(generator)
    images = torch.zeros(1, 1, 1, 1, 12, 9, dtype=torch.complex64)
    wrong: Any = "l3"
    with pytest.raises(RefusedInputError, match="loss got 'l3'; allowed: 'ssdu', 'mse'"):
        inspect.unwrap(withheld_loss)(images, scan.samples, scan.maps, hold=scan.mask, loss=wrong)

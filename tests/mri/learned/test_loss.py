"""The training loss against naive loops, and its weights against both released codes."""

import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from medconsist._extras import require
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.metrics.image import ssim
from medconsist.mri.learned.loss import _distance, magnitudes, step_weights, supervised_loss

TOLERANCE = 1e-5  # float32 sums in another order
DISTANCES = ["l1", "mse", "pseudo_huber", "cauchy", "ssim", "l1_ssim"]


def predictions_and_reference(
    generator: torch.Generator, cascades: int = 2, steps: int = 3
) -> tuple[Tensor, Tensor]:
    predictions = torch.randn(
        cascades, steps, 2, 2, 12, 11, dtype=torch.complex64, generator=generator
    )
    return predictions, 1 + torch.rand(2, 12, 11, generator=generator)


def naive_logspace(n: int) -> list[float]:
    return [10 ** (-(n - t) / (n - 1)) if n > 1 else 1.0 for t in range(1, n + 1)]


@pytest.mark.parametrize("cascades", [1, 2, 5])
@pytest.mark.parametrize("steps", [1, 5, 8])
def test_logspace_weights_are_atommics(cascades: int, steps: int) -> None:
    """sum(x * w) / T for each cascade, sum(x * v) / K over cascades."""
    found = step_weights("logspace", cascades, steps)
    for k, v in enumerate(naive_logspace(cascades)):
        for t, w in enumerate(naive_logspace(steps)):
            assert float(found[k, t]) == pytest.approx(v * w / (cascades * steps), rel=TOLERANCE)


def test_uniform_weights_are_what_mridc_computes() -> None:
    """Its list comprehension multiplies each loss by all weights: (sum_t l_t)(sum_j w_j) / T."""
    losses = torch.linspace(1, 2, 8)
    released = sum(sum(x * torch.logspace(-1, 0, 8) for x in losses)) / 8
    weights = step_weights("uniform", 1, 8)
    assert float((weights[0] * losses).sum()) == pytest.approx(float(released), rel=TOLERANCE)
    assert float(weights[0, 3]) == pytest.approx(3.31 / 8, rel=1e-3)  # of the spec, two decimals
    assert torch.equal(weights, weights[0, 0].expand(1, 8))


def test_cascades_count_alike_in_mridcs_mean() -> None:
    alone, five = step_weights("uniform", 1, 8), step_weights("uniform", 5, 8)
    torch.testing.assert_close(five, (alone / 5).expand(5, 8))


def test_last_weights_see_the_reconstruction_alone() -> None:
    found = step_weights("last", 3, 4)
    assert found[-1, -1] == 1
    assert found.count_nonzero() == 1


@pytest.mark.parametrize("cascades", [1, 2])
@pytest.mark.parametrize("weighting", ["logspace", "uniform", "last"])
@pytest.mark.parametrize("distance", ["l1", "mse"])
def test_loss_is_the_weighted_sum(
    distance: Any, weighting: Any, cascades: int, generator: torch.Generator
) -> None:
    predictions, reference = predictions_and_reference(generator, cascades)
    weights = step_weights(weighting, cascades, 3)
    wanted = 0.0
    for k in range(cascades):
        for t in range(3):
            for one in range(2):
                largest = reference[one].max()
                sets = predictions[k, t, one].abs().square().sum(0).sqrt()
                error = (sets - reference[one]) / largest
                value = error.abs() if distance == "l1" else error.square()
                wanted += float(weights[k, t] * value.mean() / 2)
    found = supervised_loss(predictions, reference, distance=distance, weighting=weighting)
    assert float(found) == pytest.approx(wanted, rel=TOLERANCE)


def test_robust_distances_bend_at_a_twentieth_of_the_largest_intensity(
    generator: torch.Generator,
) -> None:
    reference = torch.ones(1, 12, 11)

    def loss(distance: Any, error: float) -> float:
        predictions = (reference + error + 0j)[None, None, :, None]
        return float(supervised_loss(predictions, reference, distance=distance, weighting="last"))

    for distance in ("pseudo_huber", "cauchy"):
        small = [loss(distance, error) / loss("mse", error) for error in (0.001, 0.002)]
        assert small[1] == pytest.approx(small[0], rel=0.01)  # quadratic far below the bend
        assert loss(distance, 0.8) < 0.5 * small[0] * loss("mse", 0.8)  # slower far above


def test_a_perfect_prediction_costs_nothing(generator: torch.Generator) -> None:
    _, reference = predictions_and_reference(generator)
    predictions = (reference + 0j)[None, None, :, None]
    for distance in DISTANCES:
        chosen: Any = distance
        assert abs(float(supervised_loss(predictions, reference, distance=chosen))) < TOLERANCE


def test_phase_and_units_do_not_matter(generator: torch.Generator) -> None:
    predictions, reference = predictions_and_reference(generator)
    found = supervised_loss(predictions, reference, distance="l1_ssim")
    turned = supervised_loss(1000j * predictions, 1000 * reference, distance="l1_ssim")
    assert float(turned) == pytest.approx(float(found), rel=TOLERANCE)


def ssim_loss(image: Tensor, reference: Tensor) -> float:
    predictions = (image + 0j)[None, None, :, None]
    return float(supervised_loss(predictions, reference, distance="ssim", weighting="last"))


def test_ssim_is_that_of_the_tables_with_biased_variance_and_mirrored_edges(
    generator: torch.Generator,
) -> None:
    """skimage leaves out three pixels at each edge; mirrored by three it counts every pixel."""
    smooth = torch.linspace(0, 3, 24).sin().abs()
    reference = (smooth[:, None] * smooth)[None]
    image = (reference + 0.02 * torch.randn(1, 24, 24, generator=generator)).abs()
    measure = require("skimage.metrics", extra="mri").structural_similarity
    true, seen = (
        functional.pad(x[None], (3, 3, 3, 3), mode="reflect")[0, 0].double().numpy()
        for x in (reference, image)
    )
    peak = float(reference.max())
    wanted = measure(true, seen, data_range=peak, win_size=7, use_sample_covariance=False)
    found = 1 - ssim_loss(image, reference)
    assert found == pytest.approx(float(wanted), abs=TOLERANCE)
    # Dark edges count here: a few hundredths below that of the tables.
    assert found == pytest.approx(ssim(image, reference), abs=0.03)


def test_ssim_takes_the_peak_of_the_slice_not_of_the_volume(generator: torch.Generator) -> None:
    _, reference = predictions_and_reference(generator)
    reference[1] *= 0.1
    image = reference + 0.05 * torch.rand(2, 12, 11, generator=generator)
    both = ssim_loss(image, reference)
    each = [ssim_loss(image[one : one + 1], reference[one : one + 1]) for one in range(2)]
    assert both == pytest.approx(sum(each) / 2, rel=TOLERANCE)


def test_l1_ssim_is_a_tenth_and_nine_tenths(generator: torch.Generator) -> None:
    predictions, reference = predictions_and_reference(generator)
    parts = [float(supervised_loss(predictions, reference, distance=d)) for d in ("l1", "ssim")]
    found = float(supervised_loss(predictions, reference, distance="l1_ssim"))
    assert found == pytest.approx(0.1 * parts[0] + 0.9 * parts[1], rel=TOLERANCE)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_zero_prediction_has_a_finite_gradient(distance: Any, generator: torch.Generator) -> None:
    _, reference = predictions_and_reference(generator)
    predictions = torch.zeros(1, 2, 2, 1, 12, 11, dtype=torch.complex64, requires_grad=True)
    supervised_loss(predictions, reference, distance=distance).backward()  # type: ignore[no-untyped-call]  # torch
    assert predictions.grad is not None
    assert torch.isfinite(torch.view_as_real(predictions.grad)).all()


def test_magnitude_is_the_root_sum_of_squares_of_the_sets() -> None:
    sets = torch.tensor([3 + 0j, 4j])[None, None, None, :, None, None]
    assert float(magnitudes(sets)) == pytest.approx(math.hypot(3, 4))


def test_a_reference_of_another_shape_is_refused(generator: torch.Generator) -> None:
    """Behind the shape checker, which refuses it first in the tests."""
    predictions, reference = predictions_and_reference(generator)
    with pytest.raises(ShapeError, match=r"has shape \(2, 12, 10\); allowed: \(2, 12, 11\)"):
        inspect.unwrap(supervised_loss)(predictions, reference[..., :10])


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_a_reference_that_shows_nothing_is_refused(value: float) -> None:
    reference = torch.full((1, 12, 11), value)
    with pytest.raises(RefusedInputError, match="zero throughout or not finite"):
        supervised_loss(torch.ones(1, 1, 1, 1, 12, 11) + 0j, reference)


def test_unknown_names_are_refused() -> None:
    """Behind the type checker, which refuses them first in the tests."""
    wrong: Any = "l2"
    with pytest.raises(RefusedInputError, match="distance got 'l2'; allowed: 'l1', 'mse'"):
        inspect.unwrap(_distance)(wrong)
    with pytest.raises(RefusedInputError, match="weighting got 'l2'; allowed: 'logspace'"):
        inspect.unwrap(step_weights)(wrong, 1, 2)

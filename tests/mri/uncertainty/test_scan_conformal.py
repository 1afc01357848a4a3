"""Scores of scans, and the intervals that they lead to."""

import math

import pytest
import torch

from medconsist.errors import RefusedInputError, ShapeError
from medconsist.metrics.conformal_bound import conformal_bound
from medconsist.mri.evidence.features import object_mask, reference_intensity
from medconsist.mri.uncertainty.calibration import Wanted
from medconsist.mri.uncertainty.scan_conformal import (
    LEAST_SPREAD,
    error_ratios,
    half_width,
    raised,
    scan_score,
    uncovered_share,
)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.44, 0.9])
@pytest.mark.parametrize("size", [1, 7, 10, 25, 40])
def test_the_score_is_the_least_factor_that_covers_enough(
    share: float, size: int, generator: torch.Generator
) -> None:
    ratios = torch.rand(size, generator=generator, dtype=torch.float64)
    score = scan_score(ratios, share=share)
    enough = [r for r in ratios.tolist() if uncovered_share(ratios, r) <= share + 1e-12]
    assert score == min(enough)


def test_a_scan_within_its_score_has_enough_pixels_covered(generator: torch.Generator) -> None:
    image = torch.randn(1, 9, 9, dtype=torch.complex64, generator=generator) + 3
    reference = image.abs() + 0.2 * torch.randn(1, 9, 9, generator=generator)
    spread = torch.rand(1, 9, 9, generator=generator)
    factor = scan_score(error_ratios(image, reference, spread), share=0.1)
    width = half_width(spread, image, factor=factor * (1 + 1e-6))  # the last bit of a product
    inside = ((image.abs() - reference).abs() <= width)[object_mask(image)]
    assert float(inside.float().mean()) >= 0.9


def test_ratios_have_no_unit(generator: torch.Generator) -> None:
    image = torch.randn(1, 9, 9, dtype=torch.complex64, generator=generator) + 3
    reference, spread = image.abs() + 0.1, torch.rand(1, 9, 9, generator=generator)
    torch.testing.assert_close(
        error_ratios(1e4 * image, 1e4 * reference, 1e4 * spread),
        error_ratios(image, reference, spread),
        rtol=1e-3,
        atol=1e-4,  # 0.1 beside 3e4 loses digits
    )


def test_the_object_is_that_of_the_image_and_not_of_the_reference() -> None:
    """A reader without a reference must know where the promise holds."""
    image, reference = torch.zeros(1, 4, 4) + 0j, torch.zeros(1, 4, 4)
    image[:, :2] = 1
    reference[:, 1:] = 1
    found = error_ratios(image, reference, torch.ones(1, 4, 4))
    assert found.tolist() == [0.0] * 4 + [1.0] * 4


def test_a_vanishing_heuristic_is_raised_to_a_share_of_the_intensity() -> None:
    image = torch.full((1, 4, 4), 5.0)
    found = raised(torch.zeros(1, 4, 4), image)
    assert float(found.min()) == pytest.approx(LEAST_SPREAD * reference_intensity(image + 0j))


def scan(difficulty: float, generator: torch.Generator) -> torch.Tensor:
    """Return ratios of a scan whose pixels are dependent: a common factor and its own noise."""
    return (difficulty * torch.randn(50, generator=generator).abs()).sort().values


def test_new_scans_are_covered_as_promised(generator: torch.Generator) -> None:
    """Marginal coverage over 300 draws of calibration and new scan, of dependent pixels."""
    hits, left, draws = 0, 0.0, 300
    for _ in range(draws):
        hard = torch.rand(40, generator=generator).add(0.5).tolist()
        *calibration, new = (scan(d, generator) for d in hard)
        factor = Wanted(promise="scans", alpha=0.2, share=0.1).factor(calibration)
        hits += uncovered_share(new, factor) <= 0.1 + 1e-12
        left += uncovered_share(new, Wanted(promise="pixels", alpha=0.2).factor(calibration))
    # four standard errors of a share of .8 and of a mean of losses between 0 and 1
    assert hits / draws == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / draws))
    assert left / draws == pytest.approx(0.2, abs=0.05)


def test_both_promises_come_from_the_same_ratios(generator: torch.Generator) -> None:
    ratios = [scan(1.0, generator) for _ in range(19)]
    scores = torch.tensor([scan_score(r, share=0.3) for r in ratios], dtype=torch.float64)
    wanted = Wanted(promise="scans", alpha=0.1, share=0.3)
    assert wanted.factor(ratios) == conformal_bound(scores, alpha=0.1)


def test_what_gives_no_interval_is_refused() -> None:
    image = torch.ones(1, 4, 4) + 0j
    hole = image.abs()
    hole[0, 0, 0] = math.nan
    with pytest.raises(ShapeError, match="a heuristic of shape"):
        raised(torch.ones(1, 4, 5), image)
    with pytest.raises(RefusedInputError, match="negative or not finite"):
        raised(torch.full((1, 4, 4), math.nan), image)
    with pytest.raises(ShapeError, match="a reference of shape"):
        error_ratios(image, torch.ones(1, 5, 4), torch.ones(1, 4, 4))
    for pair in ((hole + 0j, image.abs()), (image, hole)):
        with pytest.raises(RefusedInputError, match="image or reference is not finite"):
            error_ratios(*pair, torch.ones(1, 4, 4))
    with pytest.raises(RefusedInputError, match=r"0 <= share < 1"):
        scan_score(torch.rand(3), share=1.0)
    with pytest.raises(RefusedInputError, match=r"allowed: \(0, 1\) and \[0, 1\)"):
        Wanted(alpha=1.0)

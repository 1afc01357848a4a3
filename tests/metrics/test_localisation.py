"""Areas within bags, and the free-response curve against a naive loop over thresholds."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.localisation import (
    FALSE_POSITIVE_RATES,
    Findings,
    areas_by_bag,
    findings,
    froc,
    froc_interval,
    instance_auc,
)
from medconsist.metrics.resampling import Resampling


def some_images(generator: Generator, count: int = 12) -> list[Findings]:
    images = []
    for number in range(count):
        drawn = torch.rand(9, generator=generator, dtype=torch.float64).mul(20).ceil().div(20)
        hits = [float(v) if v > 0.3 else None for v in drawn[:3]] if number % 2 else []
        images.append(Findings(hits=tuple(hits), false_positives=tuple(drawn[3:].tolist())))
    return images


def naive_score(images: list[Findings]) -> float:
    """Sensitivity at each rate by trying every threshold, linear between the points."""
    said = {v for i in images for v in (*i.hits, *i.false_positives) if v is not None}
    lesions = sum(len(i.hits) for i in images)
    points = {0.0: 0.0}
    for threshold in said:
        wrong = sum(v >= threshold for i in images for v in i.false_positives) / len(images)
        found = sum(h is not None and h >= threshold for i in images for h in i.hits) / lesions
        points[wrong] = max(found, points.get(wrong, 0.0))
    at = sorted(points)
    total = 0.0
    for rate in FALSE_POSITIVE_RATES:
        below = max(x for x in at if x <= rate)
        above = min((x for x in at if x > rate), default=None)
        step = 0.0
        if above is not None:
            step = (points[above] - points[below]) * (rate - below) / (above - below)
        total += points[below] + step
    return total / len(FALSE_POSITIVE_RATES)


def test_the_score_is_that_of_the_naive_loop(generator: Generator) -> None:
    for _ in range(5):
        images = some_images(generator)
        assert froc(images).score() == pytest.approx(naive_score(images), abs=1e-12)


def test_a_curve_by_hand() -> None:
    images = [
        Findings(hits=(0.9, None), false_positives=(0.8,)),
        Findings(hits=(), false_positives=(0.5, 0.4)),
    ]
    curve = froc(images)
    assert curve.false_positives == (0.0, 0.0, 0.5, 1.0, 1.5)
    assert curve.sensitivity == (0.0, 0.5, 0.5, 0.5, 0.5)
    assert (curve.images, curve.lesions, curve.score()) == (2, 2, 0.5)
    json.dumps(asdict(curve))


def test_a_perfect_detector_scores_one_and_a_blind_one_zero() -> None:
    assert froc([Findings(hits=(0.9, 0.8), false_positives=())]).score() == 1.0
    assert froc([Findings(hits=(None, None), false_positives=(0.4,))]).score() == 0.0
    assert froc([Findings(hits=(None,), false_positives=())]).score() == 0.0


def released_curve(images: list[Findings]) -> tuple[list[float], list[float]]:
    """The challenge's rule in words: missed and ignored are 0, the least number is skipped."""
    found = [0.0 if h is None else h for i in images for h in i.hits]
    found += [0.0] * sum(i.ignored for i in images)
    wrong = [v for i in images for v in i.false_positives]
    thresholds = sorted({*found, *wrong})[1:]
    rates = [sum(v >= t for v in wrong) / len(images) for t in thresholds] + [0.0]
    lesions = sum(len(i.hits) for i in images)
    return rates, [sum(v >= t for v in found) / lesions for t in thresholds] + [0.0]


def test_the_released_code_loses_the_last_point_where_all_is_hit(generator: Generator) -> None:
    missed = some_images(generator)
    all_hit = [Findings(hits=(0.2, 0.9), false_positives=(0.8, 0.3)) for _ in range(2)]
    spared = [Findings(hits=(0.2, 0.9), false_positives=(0.8,), ignored=1)]
    for images in (missed, all_hit, spared):
        rates, found = released_curve(images)
        expected = np.mean(np.interp(FALSE_POSITIVE_RATES, rates[::-1], found[::-1]))
        assert froc(images, released=True).score() == pytest.approx(expected, abs=1e-12)
    assert (froc(all_hit).sensitivity[-1], froc(all_hit, released=True).sensitivity[-1]) == (1, 0.5)


def test_detections_are_matched_to_the_lesion_at_their_place() -> None:
    lesions = torch.zeros(6, 6, dtype=torch.int64)
    lesions[0:2, 0:2], lesions[4:6, 4:6], lesions[0, 5] = 1, 2, 3
    places = torch.tensor([[0, 0], [1, 1], [3, 3], [0, 5], [2, 0]])
    said = torch.tensor([0.5, 0.75, 0.25, 1.0, 0.125])
    found = findings(places, said, lesions, ignored=[3])
    assert found == Findings(hits=(0.75, None), false_positives=(0.25, 0.125), ignored=1)
    none = findings(torch.zeros(0, 2).long(), torch.zeros(0), lesions)
    assert none.hits == (None, None, None)


def test_the_interval_is_over_images_and_holds_the_score(generator: Generator) -> None:
    images = some_images(generator, 24)
    found = froc_interval(images, unit="slide", generator=generator, plan=Resampling(resamples=199))
    assert (found.mean, found.n, found.unit_of_analysis) == (froc(images).score(), 24, "slide")
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert found.ci_low < found.mean < found.ci_high


def test_areas_are_computed_within_each_bag(generator: Generator) -> None:
    bag = torch.arange(60) // 20 + 4
    positive = (torch.arange(60) % 3 == 0) & (bag < 6)
    score = torch.randint(0, 5, (60,), generator=generator).float()
    found = areas_by_bag(score, positive, bag)
    assert sorted(found) == [4, 5]
    for number, area in found.items():
        assert area == area_under_roc(score[bag == number], positive[bag == number])


def test_what_tells_bags_apart_gains_nothing(generator: Generator) -> None:
    bag, positive = torch.arange(60) // 20, torch.arange(60) % 3 == 0
    score = torch.rand(60, generator=generator)
    assert areas_by_bag(score, positive, bag) == areas_by_bag(score + 9 * bag, positive, bag)


def test_bags_of_one_kind_are_left_out_and_counted(generator: Generator) -> None:
    bag = torch.arange(60) // 10
    positive = (torch.arange(60) % 2 == 0) & (bag < 4)
    score = torch.rand(60, generator=generator)
    areas = areas_by_bag(score, positive, bag)
    found = instance_auc(score, positive, bag, unit="slide", generator=generator)
    assert (found.mean, found.n) == pytest.approx((sum(areas.values()) / 4, 4))
    assert "2 of 6 bags left out" in found.note
    owner = {0: 7, 1: 7, 2: 8, 3: 9, 4: 9, 5: 9}
    by = instance_auc(score, positive, bag, unit="patient", generator=generator, owner=owner)
    means = [(areas[0] + areas[1]) / 2, areas[2], areas[3]]
    assert (by.mean, by.n) == pytest.approx((sum(means) / 3, 3))


def test_unfit_findings_are_refused(generator: Generator) -> None:
    two = (torch.arange(4.0), torch.arange(4) % 2 == 0, torch.arange(4) // 2)
    with pytest.raises(RefusedInputError, match=r"bags \[1\] have no owner"):
        instance_auc(*two, unit="patient", generator=generator, owner={0: 1})
    with pytest.raises(RefusedInputError, match="no bag has instances of both kinds"):
        areas_by_bag(torch.zeros(2), torch.ones(2).bool(), torch.tensor([0, 1]))
    with pytest.raises(RefusedInputError, match="scores hold NaN"):
        areas_by_bag(torch.tensor([math.nan]), torch.ones(1).bool(), torch.tensor([0]))
    with pytest.raises(RefusedInputError, match="got 1 images without a lesion"):
        froc([Findings(hits=(), false_positives=(0.4,))])
    with pytest.raises(RefusedInputError, match="confidence that is not finite"):
        Findings(hits=(math.inf,), false_positives=())
    with pytest.raises(RefusedInputError, match="released needs confidences above 0"):
        froc([Findings(hits=(0.0,), false_positives=())], released=True)
    with pytest.raises(RefusedInputError, match=r"outside the image of \(2, 2\)"):
        findings(torch.tensor([[2, 0]]), torch.ones(1), torch.zeros(2, 2).long())

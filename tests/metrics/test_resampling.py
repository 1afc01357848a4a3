"""The bootstrap over units: clusters, strata, pairs, and what it will not make up."""

import json
from dataclasses import asdict

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.report import exact_binomial_interval, interval
from medconsist.metrics.resampling import (
    Figure,
    Resampling,
    Units,
    bootstrap,
    bootstrap_difference,
)

FEW = Resampling(resamples=199)


def mean_of(values: Tensor) -> Figure:
    """A figure: the mean of the drawn rows."""
    return lambda rows: float(values[rows].mean())


def test_one_row_per_unit_gives_the_interval_of_the_mean(generator: Generator) -> None:
    values = torch.randn(30, generator=generator, dtype=torch.float64).exp()
    units = Units(of_row=torch.arange(30), name="scan")
    drawn = bootstrap(
        mean_of(values),
        units,
        generator=generator,
        plan=Resampling(resamples=1999),
    )
    known = interval(values.tolist(), unit="scan", generator=generator)
    assert drawn.mean == pytest.approx(known.mean)
    # Monte Carlo error of two sets of resamples; the standard error of the mean is about .25
    assert (drawn.ci_low, drawn.ci_high) == pytest.approx((known.ci_low, known.ci_high), abs=0.1)


def test_copies_of_a_row_within_its_unit_change_nothing(generator: Generator) -> None:
    values = torch.randn(16, generator=generator, dtype=torch.float64)
    state = generator.get_state()
    found = []
    for copies in (1, 7):
        wide = values.repeat_interleave(copies)
        units = Units(of_row=torch.arange(16).repeat_interleave(copies), name="patient")
        found.append(
            bootstrap(
                mean_of(wide),
                units,
                generator=generator.set_state(state),
                plan=FEW,
            )
        )
    assert found[0].n == found[1].n == 16
    assert (found[0].ci_low, found[0].ci_high) == pytest.approx((found[1].ci_low, found[1].ci_high))


def test_every_resample_holds_whole_units_and_all_strata(generator: Generator) -> None:
    of_row = torch.tensor([3, 3, 1, 1, 1, 8, 9, 9])
    stratum = torch.tensor([0, 0, 1, 1, 1, 0, 1, 1])
    seen: list[Tensor] = []

    def watched(rows: Tensor) -> float:
        seen.append(rows)
        return float(rows.double().mean())

    units = Units(of_row=of_row, name="patient", stratum=stratum)
    bootstrap(
        watched, units, generator=generator, plan=Resampling(resamples=100, method="percentile")
    )
    for rows in seen:
        for unit in torch.unique(of_row):
            counts = torch.bincount(rows, minlength=8)[of_row == unit]
            assert len(torch.unique(counts)) == 1
        of_first = (torch.bincount(rows, minlength=8)[[0, 5]]).sum()  # one row of units 3 and 8
        assert int(of_first) == 2
    assert units.strata == [[1, 2], [0, 3]]


def test_paired_draws_see_a_constant_shift_despite_the_spread(generator: Generator) -> None:
    values = 10 * torch.randn(30, generator=generator, dtype=torch.float64)
    other = values - 1 + 0.01 * torch.randn(30, generator=generator, dtype=torch.float64)
    found = bootstrap_difference(
        mean_of(values),
        mean_of(other),
        Units(of_row=torch.arange(30), name="patient"),
        generator=generator,
        plan=FEW,
    )
    assert found.ci_low is not None
    assert found.ci_low > 0.98


def test_same_generator_state_gives_the_same_interval() -> None:
    values = torch.arange(12.0) ** 2
    found = [
        bootstrap(
            mean_of(values),
            Units(of_row=torch.arange(12), name="patient"),
            generator=torch.Generator().manual_seed(4),
            plan=FEW,
        )
        for _ in range(2)
    ]
    assert found[0] == found[1]
    json.dumps(asdict(found[0]))


def test_rows_taken_for_units_cover_too_rarely_and_units_about_as_said(
    generator: Generator,
) -> None:
    trials, plan = 40, Resampling(resamples=149, method="percentile", confidence=0.9)
    inside = {"patient": 0, "row": 0}
    of_row = torch.arange(15).repeat_interleave(8)
    for _ in range(trials):
        values = torch.randn(15, generator=generator, dtype=torch.float64)[of_row]
        for name, numbers in (("patient", of_row), ("row", torch.arange(120))):
            units = Units(of_row=numbers, name=name)
            found = bootstrap(
                mean_of(values),
                units,
                generator=generator,
                plan=plan,
            )
            assert found.ci_low is not None
            assert found.ci_high is not None
            inside[name] += found.ci_low < 0 < found.ci_high
    # nominal .9, about .86 for the percentiles of 15 units
    seen = exact_binomial_interval(inside["patient"], trials, unit="trial", confidence=0.999)
    assert seen.ci_low < 0.86 < seen.ci_high
    assert inside["row"] < 0.6 * trials


def test_a_resample_of_one_class_is_refused_with_the_remedy(generator: Generator) -> None:
    score, positive = torch.arange(12.0), torch.arange(12) % 6 == 1
    units = Units(of_row=torch.arange(12), name="patient")

    def area(rows: Tensor) -> float:
        return area_under_roc(score[rows], positive[rows])

    with pytest.raises(RefusedInputError, match=r"got 0 positive.*Draw within classes"):
        bootstrap(area, units, generator=generator, plan=Resampling(resamples=999))
    strata = Units(of_row=torch.arange(12), name="patient", stratum=positive.long())
    found = bootstrap(area, strata, generator=generator, plan=FEW)
    assert found.ci_low is not None
    assert "only 2 units (patient) in a stratum" in found.note


def test_no_interval_is_made_up(generator: Generator) -> None:
    score, positive = torch.arange(12.0), torch.arange(12) >= 6
    units = Units(of_row=torch.arange(12), name="patient", stratum=positive.long())
    perfect = bootstrap(
        lambda r: area_under_roc(score[r], positive[r]), units, generator=generator, plan=FEW
    )
    assert (perfect.mean, perfect.ci_low) == (1.0, None)
    assert "all 199 resamples give 1: no interval" in perfect.note
    one = Units(of_row=torch.zeros(4).long(), name="patient")
    alone = bootstrap(mean_of(score), one, generator=generator, plan=FEW)
    assert (alone.ci_low, alone.note) == (None, "a stratum of one unit (patient): no interval")


def test_percentiles_take_over_where_bca_does_not_exist_and_it_is_said(
    generator: Generator,
) -> None:
    values = torch.arange(12.0)
    units = Units(of_row=torch.arange(12), name="patient")
    largest = bootstrap(lambda r: float(values[r].max()), units, generator=generator, plan=FEW)
    assert "BCa does not exist at an end" in largest.note

    def whole(rows: Tensor) -> float:
        if len(rows) < 12:
            msg = "fewer units than there are"
            raise RefusedInputError(msg)
        return float(values[rows].mean())

    stiff = bootstrap(whole, units, generator=generator, plan=FEW)
    assert "no figure without one unit" in stiff.note

    def coarse(rows: Tensor) -> float:
        return 3.0 * round(float(values[rows].mean()) / 3)

    assert (
        "no single unit changes it" in bootstrap(coarse, units, generator=generator, plan=FEW).note
    )
    assert stiff.ci_low is not None


def test_unfit_units_and_plans_are_refused(generator: Generator) -> None:
    with pytest.raises(RefusedInputError, match=r"unit 3 \(patient\) has rows in strata \[0, 1\]"):
        Units(of_row=torch.tensor([3, 3]), name="patient", stratum=torch.tensor([0, 1]))
    with pytest.raises(RefusedInputError, match="no row to resample"):
        Units(of_row=torch.zeros(0).long(), name="patient")
    with pytest.raises(RefusedInputError, match="50 resamples have no tails"):
        Resampling(resamples=50)
    with pytest.raises(RefusedInputError, match="the figure is nan"):
        bootstrap(
            mean_of(torch.full((3,), torch.nan)),
            Units(of_row=torch.arange(3), name="patient"),
            generator=generator,
        )

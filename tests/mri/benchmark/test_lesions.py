"""Lesions inserted in data space: what comes back, what an observer finds, and the shams."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import pytest
import torch
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.mri.bench.learned.scans import DrawnScan, SliceKind, draw_scan
from medconsist.mri.bench.learned.scores import Draws
from medconsist.mri.benchmark import lesions
from medconsist.mri.benchmark.cells import ShiftedCell
from medconsist.mri.benchmark.evaluation import measured_with_error
from medconsist.mri.benchmark.insertion import (
    Insertion,
    LesionFigures,
    another_noise,
    drawn_sites,
    figures_of,
    full_image,
    insert,
)
from medconsist.mri.benchmark.insertion_plan import InsertionPlan, LesionKind
from medconsist.mri.benchmark.lesions import Methods, lesion_rows, lesions_of_scan
from medconsist.mri.benchmark.map_error import MapError
from medconsist.mri.forward import Measurement
from medconsist.mri.methods import CgSense, Zerofilled
from medconsist.mri.sampling_masks import Gaussian2D
from medconsist.mri.volumes.volume import Measured as MeasuredOrVolume
from medconsist.results.bench import BenchTable

KIND = SliceKind(contrast="T1w", coils=4, size=64)
CELL = ShiftedCell(name="2-D 4x", kind=Gaussian2D(acceleration=4, center=(12, 12)), scans=KIND)
SMALL, BRIGHT = LesionKind(0.10, 2.5), LesionKind(0.80, 4.0)
PLAN = InsertionPlan(kinds=(SMALL, BRIGHT), spacing_px=12, margin_px=5, channels=3, first=0.05)
DRAWS = Draws(role="test", count=4)


def lesion_table(
    methods: Methods, cells: tuple[ShiftedCell, ...], draws: Draws, *, plan: InsertionPlan
) -> BenchTable:
    found = [
        lesions_of_scan(methods, cells, number, draws=draws, plan=plan)
        for number in range(draws.count)
    ]
    return lesion_rows(found, plan, seed=draws.series)


def everything(shape: tuple[int, int], _: Generator) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


@pytest.fixture(scope="module")
def scan() -> DrawnScan:
    return draw_scan("test", 0, kind=KIND)


@pytest.fixture(scope="module")
def made(scan: DrawnScan) -> Insertion:
    noiseless = draw_scan("test", 0, kind=replace(KIND, snr=1e5))
    generator = Generator().manual_seed(5)
    another = another_noise(scan, noiseless.samples, generator=generator)
    sites = drawn_sites(full_image(scan), PLAN, generator=generator)
    return insert(measured_with_error(CELL, scan), scan, another, sites, plan=PLAN)


@pytest.fixture(scope="module")
def table() -> BenchTable:
    methods: dict[str, Callable[[Measurement], Tensor]] = {
        "cs": Zerofilled(),
        "cirim": CgSense(lambda_=0.01),
        "blind": blind,
    }
    return lesion_table({CELL.name: methods}, (CELL,), DRAWS, plan=PLAN)


def blind(measurement: Measurement) -> Tensor:
    """Show noise of the measurement, and nothing else: no lesion is in it."""
    seed = int(measurement.samples.abs().sum().item() * 1e6) % 2**31
    size = measurement.samples[:, 0].shape
    return torch.randn(size, dtype=torch.complex64, generator=Generator().manual_seed(seed))


def value(table: BenchTable, case: str, metric: str) -> float:
    (row,) = [r for r in table.rows if r.case.endswith(case) and r.metric == metric]
    return row.value


def test_sites_lie_apart_and_inside_and_follow_the_generator(scan: DrawnScan) -> None:
    anatomy = full_image(scan)
    sites, again = (
        drawn_sites(anatomy, PLAN, generator=Generator().manual_seed(1)) for _ in range(2)
    )
    assert torch.equal(sites, again)
    assert len(sites) >= 4
    for one, other in combinations(sites.double(), 2):
        assert float((one - other).norm()) >= PLAN.spacing_px
    assert int(sites[:, 1:].min()) >= 6
    assert not torch.equal(drawn_sites(anatomy, PLAN, generator=Generator().manual_seed(2)), sites)


def test_an_object_without_room_is_refused(scan: DrawnScan) -> None:
    with pytest.raises(RefusedInputError, match="larger images or a smaller margin"):
        drawn_sites(full_image(scan), replace(PLAN, margin_px=30), generator=Generator())


def test_lesions_that_would_overlap_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="at least 3 widths"):
        InsertionPlan(spacing_px=8)


def test_a_fully_sampled_scan_returns_whole_lesions_and_nothing_beside(scan: DrawnScan) -> None:
    full = replace(CELL, kind=everything)
    generator = Generator().manual_seed(5)
    sites = drawn_sites(full_image(scan), PLAN, generator=generator)
    seen = measured_with_error(full, scan)
    found = figures_of(Zerofilled(), insert(seen, scan, scan.samples, sites, plan=PLAN))
    assert found is not None
    for kind in PLAN.kinds:
        # maps of unit norm in single precision
        assert found.response[kind.words] == pytest.approx([1.0] * len(sites), abs=1e-4)
        assert found.sham[kind.words] == pytest.approx([0.0] * len(sites), abs=1e-4)


def test_the_noise_of_the_sham_insertion_is_another_of_the_same_level(
    scan: DrawnScan, made: Insertion
) -> None:
    difference = (made.absent.samples - made.without.samples)[
        made.without.mask[:, None].expand(made.without.samples.shape)
    ]
    # sqrt(2) sigma for two independent draws; 4 x 1,024 samples give 1.1 %, the noise scan 2 %
    assert float(difference.abs().square().mean().sqrt()) == pytest.approx(
        2**0.5 * made.without.sigma, rel=0.05
    )
    assert torch.equal(made.absent.mask, made.without.mask)
    assert torch.equal(made.absent.maps, scan.maps)


def test_the_lesion_is_in_the_samples_of_the_true_maps(scan: DrawnScan, made: Insertion) -> None:
    wrong = replace(CELL, maps=MapError(relative=0.2))
    seen = measured_with_error(wrong, scan)
    other = insert(seen, scan, scan.samples, made.sites, plan=PLAN)
    assert not torch.equal(other.without.maps, made.without.maps)
    torch.testing.assert_close(other.present[0].samples, made.present[0].samples)


def test_for_a_linear_method_lesions_together_are_the_sum_of_each_alone(
    scan: DrawnScan, made: Insertion
) -> None:
    # CG is not linear in the samples until it has converged, as it has here
    method = CgSense(lambda_=0.1, iterations=60)
    without = method(made.without)
    changes = []
    for place in range(len(made.sites)):
        seen = measured_with_error(CELL, scan)
        alone = insert(seen, scan, scan.samples, made.sites[place : place + 1], plan=PLAN)
        changes.append(method(alone.present[1]) - without)
    together = method(made.present[1]) - without
    # a sum of nine differences in single precision
    torch.testing.assert_close(torch.stack(changes).sum(0), together, rtol=0, atol=5e-5)
    at = made.sites.unbind(1)
    own = torch.stack([change[tuple(made.sites[n])] for n, change in enumerate(changes)])
    peak = BRIGHT.contrast * made.intensity
    # what the others alias to a site: a few percent of the peak, on the mean next to nothing
    crossed = (together[at] - own).abs() / peak
    assert float(crossed.max()) < 0.08
    assert abs(float((together[at] - own).mean().abs())) / peak < 0.03


def test_a_linear_response_does_not_depend_on_the_contrast(made: Insertion) -> None:
    fainter = replace(BRIGHT, contrast=0.2)
    two = replace(PLAN, kinds=(BRIGHT, fainter))
    found = figures_of(Zerofilled(), insert_again(made, two))
    assert found is not None
    assert found.response[fainter.words] == pytest.approx(found.response[BRIGHT.words], abs=1e-4)


def insert_again(made: Insertion, plan: InsertionPlan) -> Insertion:
    scan = draw_scan("test", 0, kind=KIND)
    return insert(measured_with_error(CELL, scan), scan, scan.samples, made.sites, plan=plan)


def test_a_method_is_fixed_to_the_samples_without_lesions(made: Insertion) -> None:
    asked = list[MeasuredOrVolume]()

    @dataclass(frozen=True)
    class Fixing(Zerofilled):
        def fixed(self, measurement: MeasuredOrVolume) -> Zerofilled:
            asked.append(measurement)
            return Zerofilled()

    figures_of(Fixing(), made)
    assert len(asked) == 1
    assert asked[0] is made.without


def test_images_that_are_not_finite_have_no_figures_and_a_missed_target(made: Insertion) -> None:
    def broken(measurement: Measurement) -> Tensor:
        return torch.full_like(measurement.samples[:, 0], float("nan"))

    assert figures_of(broken, made) is None
    found = figures_of(Zerofilled(), made)
    assert found is not None
    one = {CELL.name: {"good": vars(found), "broken": None}}
    rows = lesion_rows([one, one], PLAN, seed=0)
    assert {row.case.split(", ")[2] for row in rows.rows} == {"good"}
    (target,) = rows.targets
    assert not target.met
    assert "broken has finite images" in target.name


def test_a_scan_can_be_kept_as_json_and_its_cells_share_sites() -> None:
    eight = replace(CELL, name="2-D 8x", kind=Gaussian2D(acceleration=8, center=(12, 12)))
    methods = {"zerofilled": Zerofilled()}
    found = lesions_of_scan(
        {CELL.name: methods, eight.name: methods}, (eight, CELL), 1, draws=DRAWS, plan=PLAN
    )
    assert list(found) == ["2-D 8x", "2-D 4x"]
    kept = json.loads(json.dumps(found))
    assert kept == found
    four, other = (LesionFigures(**kept[name]["zerofilled"]) for name in (CELL.name, eight.name))
    # relative to the intensity, the anatomy at the same sites is the same but for rounding
    torch.testing.assert_close(torch.tensor(four.anatomy), torch.tensor(other.anatomy))


def test_the_other_noise_does_not_come_from_the_stream_of_the_masks(scan: DrawnScan) -> None:
    # torch takes the lower 32 bits: a seed that lies 2^32 above is the same one
    streams = (Generator().manual_seed(scan.mask_seed), lesions._apart(scan.mask_seed))
    first, other = (torch.rand(8, generator=one) for one in streams)
    assert not torch.equal(first, other)
    assert torch.equal(torch.rand(8, generator=lesions._apart(scan.mask_seed)), other)


def test_an_observer_that_finds_little_has_no_interval(table: BenchTable) -> None:
    observed = [
        row
        for row in table.rows
        if row.metric.startswith("observer") and "no lesion" not in row.case
    ]
    found = {(row.case, row.metric): row.value for row in observed}
    alone = [row for row in observed if " less " not in row.case]
    faint = {row.case for row in alone if found[row.case, "observer d'"] < 1}
    assert 0 < len(faint) < len({row.case for row in alone})
    for row in alone:
        if row.metric == "observer d'":
            assert (row.ci_low is None) == (row.case in faint)
        elif row.metric == "observer AUC" and row.case in faint:
            assert row.ci_low is None


def test_rows_say_what_was_found_and_what_was_not(table: BenchTable) -> None:
    bright = f"cirim, {BRIGHT.words}"
    assert 70 < value(table, bright, "response") < 105
    assert value(table, f"cirim, {SMALL.words}", "response") < value(table, bright, "response")
    assert abs(value(table, bright, "sham response")) < 3
    # of twice the tissue nearly, and with the anatomy known: hardly to be missed
    assert value(table, bright, "observer AUC, anatomy known") > 0.9
    assert value(table, bright, "observer d', anatomy known") > 2
    assert value(table, f"blind, {BRIGHT.words}", "observer AUC, anatomy known") < 0.75


def test_the_shams_of_the_observer_have_no_lesion_and_no_interval(table: BenchTable) -> None:
    rows = [row for row in table.rows if row.case.endswith("no lesion")]
    assert {row.metric for row in rows} == {
        f"observer {figure}{known}" for figure in ("AUC", "d'") for known in ("", ", anatomy known")
    }
    for row in rows:
        assert row.ci_low is None
        assert row.baseline is None
        if "AUC" in row.metric:
            # 2 x 20 sites: a standard deviation of about 0.1
            assert 0.2 < row.value < 0.8


def test_differences_are_paired_by_scan_and_intervals_over_scans(table: BenchTable) -> None:
    metric, kind = "observer d', anatomy known", BRIGHT.words
    pair = f"cirim less cs (paired), {kind}"
    first, second = value(table, f"cirim, {kind}", metric), value(table, f"cs, {kind}", metric)
    assert value(table, pair, metric) == pytest.approx(first - second)
    assert {row.n for row in table.rows} == {DRAWS.count}
    assert {row.unit_of_analysis for row in table.rows} == {"simulated scan"}
    (row,) = [r for r in table.rows if r.case.endswith(f"cirim, {kind}") and r.metric == metric]
    assert row.baseline == pytest.approx(second)
    assert not table.targets


def test_a_scan_gives_the_same_again() -> None:
    methods = {CELL.name: {"cs": Zerofilled()}}
    one, again = (lesions_of_scan(methods, (CELL,), 0, draws=DRAWS, plan=PLAN) for _ in range(2))
    assert one == again


def test_few_scans_leave_the_observer_out_and_say_so(
    table: BenchTable, caplog: pytest.LogCaptureFixture
) -> None:
    few = lesion_table(
        {CELL.name: {"cs": Zerofilled()}}, (CELL,), replace(DRAWS, count=2), plan=PLAN
    )
    assert {row.metric for row in few.rows} == {"response", "sham response"}
    assert "no observer, half of 2 scans" in caplog.text
    assert len(few.rows) < len(table.rows)


def test_a_method_that_shows_nothing_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    methods: dict[str, Callable[[Measurement], Tensor]] = {
        "dark": lambda measurement: torch.zeros_like(measurement.samples[:, 0]),
        "cs": Zerofilled(),
    }
    table = lesion_table({CELL.name: methods}, (CELL,), DRAWS, plan=PLAN)
    assert value(table, f"dark, {SMALL.words}", "response") == 0
    assert "dark: no observer of it: the 3 channels cannot be told apart" in caplog.text
    assert {row.case.split(", ")[2] for row in table.rows if row.metric == "observer AUC"} == {"cs"}

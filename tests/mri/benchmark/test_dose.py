"""The slope of a dose response, from scores that are written down."""

import pytest
import torch

from medconsist.mri.bench.learned.rows import Where
from medconsist.mri.bench.learned.scores import Scores
from medconsist.mri.benchmark.cells import dose_cells
from medconsist.mri.benchmark.dose import dose_table, doses_of, slopes
from medconsist.results.bench import BenchTable

CELLS = dose_cells(128)
STEEP = {"cirim": 0.02, "cirim-explicit": 0.05, "varnet": 0.04}
N = 6


def scores_with(steep: dict[str, float]) -> dict[str, Scores]:
    """Return scores that fall by ``steep`` a 10 % of error, by .01 a pixel, a little by scan."""
    found = {}
    for cell in CELLS:
        values = {}
        for name, slope in steep.items():
            lost = [
                (slope + 0.001 * scan) * cell.maps.relative / 0.1 + 0.01 * cell.maps.shift
                for scan in range(N)
            ]
            values[name, "ssim"] = [0.9 + 0.01 * scan - one for scan, one in enumerate(lost)]
            values[name, "nmse"] = [0.1 + 2 * one for one in lost]
        found[cell.name] = Scores(values, {name: [0.1] for name in steep})
    return found


def table_of(steep: dict[str, float]) -> BenchTable:
    where = Where(anatomy="simulated", unit="simulated scan", seed=3, generator=torch.Generator())
    return dose_table(CELLS, scores_with(steep), where)


def test_a_line_is_found_scan_by_scan() -> None:
    smooth, moved = doses_of(CELLS)
    scores = scores_with(STEEP)
    wanted = [0.02 + 0.001 * scan for scan in range(N)]
    assert slopes(smooth, scores, "cirim") == pytest.approx(wanted)
    assert slopes(moved, scores, "varnet") == pytest.approx([0.01] * N)


def test_the_contrast_was_fixed_and_is_met_by_a_flatter_implicit_form() -> None:
    (target,) = table_of(STEEP).targets
    assert "cirim less cirim-explicit (paired, fixed beforehand)" in target.name
    assert target.name.startswith("simulated, 1-D 8x, slope per 10 % of smooth map error")
    assert target.met
    assert "-0.0300" in str(target.seen)


def test_a_steeper_implicit_form_does_not_meet_it() -> None:
    (target,) = table_of({"cirim": 0.05, "cirim-explicit": 0.02}).targets
    assert not target.met


def test_it_says_what_it_could_have_shown() -> None:
    (row,) = [row for row in table_of(STEEP).rows if "80% power" in row.metric]
    assert "fixed beforehand" in row.case


def test_differences_are_paired_by_scan_and_named() -> None:
    rows = {
        row.case.removeprefix("simulated, 1-D 8x, slope "): row
        for row in table_of(STEEP).rows
        if row.metric == "SSIM lost"
    }
    found = rows["per 10 % of smooth map error, cirim less varnet (paired)"]
    assert found.value == pytest.approx(-0.02)
    assert (found.n, found.unit_of_analysis, found.seed) == (N, "simulated scan", 3)
    assert "per pixel of map shift, cirim less varnet (paired)" in rows


def test_the_error_that_is_gained_stands_beside_the_quality_that_is_lost() -> None:
    rows = [row for row in table_of(STEEP).rows if row.metric == "NMSE gained"]
    cases = {row.case.removeprefix("simulated, 1-D 8x, slope "): row.value for row in rows}
    pair = "per 10 % of smooth map error, cirim less cirim-explicit (paired)"
    assert cases[pair] == pytest.approx(2 * (0.02 - 0.05))
    assert cases["per pixel of map shift, varnet"] == pytest.approx(2 * 0.01)


def test_methods_that_were_not_trained_are_left_out() -> None:
    table = table_of({"varnet": 0.04})
    assert not table.targets
    assert {row.case.rsplit(", ", 1)[1] for row in table.rows} == {"varnet"}

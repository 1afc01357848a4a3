"""Rows of the table, from scores that are written down."""

import pytest
import torch
from scipy import stats

from medconsist.metrics.report import paired_difference
from medconsist.mri.bench.learned.rows import (
    CONTRASTS,
    FIXED_BEFOREHAND,
    Compared,
    Where,
    mean_rows,
    paired_rows,
    smallest_detectable,
    time_rows,
)
from medconsist.mri.bench.learned.scores import Scores
from medconsist.results.bench import BenchTable

N = 12
NAMES = ("zerofilled", "cs", "rim", "irim", "cirim", "cirim-explicit")


@pytest.fixture
def scores(generator: torch.Generator) -> Scores:
    """CIRIM leads RIM by .02 in SSIM and CS by .05; CS leads in NMSE; IRIM is CIRIM with noise."""
    values: dict[tuple[str, str], list[float]] = {}
    base = torch.rand(N, generator=generator)
    better = {"zerofilled": -0.2, "cs": 0.0, "rim": 0.03, "irim": 0.05, "cirim": 0.05}
    better["cirim-explicit"] = 0.04
    for name in NAMES:
        jitter = 0.002 * torch.randn(N, generator=generator)
        ssim = 0.7 + 0.1 * base + better[name] + jitter
        error = 0.01 + 0.01 * base + (0.0 if name == "cs" else 0.01) + jitter.abs()
        columns = {"ssim": ssim, "psnr": 30 + 5 * ssim, "nmse": error}
        values |= {(name, metric): column.tolist() for metric, column in columns.items()}
    return Scores(values, {name: [0.1, 0.2, 0.9] for name in NAMES})


@pytest.fixture
def where(generator: torch.Generator) -> Where:
    place = Where(anatomy="simulated", unit="simulated scan", seed=4, generator=generator)
    return place.inside("1-D 8x", {"cs": "lambda 0.007"})


def cases(table: BenchTable, words: str) -> dict[str, str]:
    return {row.metric: row.case for row in table.rows if words in row.case}


def test_every_method_and_metric_has_its_mean_beside_compressed_sensing(
    scores: Scores, where: Where
) -> None:
    rows = mean_rows(scores, where).rows
    assert len(rows) == 3 * len(NAMES)
    for row in rows:
        name = row.case.split(", ")[2]
        values = scores.values[name, row.metric]
        assert row.value == pytest.approx(sum(values) / N)
        assert row.baseline == pytest.approx(sum(scores.values["cs", row.metric]) / N)
        assert row.ci_low is not None
        assert row.ci_low < row.value
        assert (row.n, row.unit_of_analysis, row.seed) == (N, "simulated scan", 4)


def test_the_weight_that_was_chosen_stands_in_the_row(scores: Scores, where: Where) -> None:
    said = {row.case for row in mean_rows(scores, where).rows}
    assert "simulated, 1-D 8x, cs, lambda 0.007" in said
    assert "simulated, 1-D 8x, rim" in said


def test_a_paired_row_is_the_difference_over_scans(scores: Scores, where: Where) -> None:
    (row, *_) = paired_rows(scores, where, compared=Compared(contrasts=[("cirim", "cs")])).rows
    pair = scores.values["cirim", "ssim"], scores.values["cs", "ssim"]
    expected = paired_difference(*pair, unit="scan", generator=torch.Generator())
    assert row.value == pytest.approx(expected.mean)
    assert row.ci_low == pytest.approx(expected.ci_low, abs=5e-4)  # another bootstrap


def test_the_table_says_where_compressed_sensing_is_ahead(scores: Scores, where: Where) -> None:
    found = cases(paired_rows(scores, where), "cirim less cs")
    assert found["ssim"].endswith("(paired): cirim ahead")
    assert found["psnr"].endswith("(paired): cirim ahead")
    assert found["nmse"].endswith("(paired): cs ahead")


def test_no_difference_is_claimed_where_none_is_shown(scores: Scores, where: Where) -> None:
    found = cases(paired_rows(scores, where), "cirim less irim")
    assert found["ssim"].endswith("no difference shown")


def test_one_contrast_is_fixed_beforehand_and_says_what_it_could_show(
    scores: Scores, where: Where
) -> None:
    fixed = [row for row in paired_rows(scores, where).rows if "fixed beforehand" in row.case]
    assert [row.metric.split(",")[0] for row in fixed] == ["ssim", "ssim"]
    assert all("1-D 8x, cirim less rim" in row.case for row in fixed)
    assert "80% power" in fixed[1].metric
    elsewhere = paired_rows(scores, where.inside("2-D 4x", {})).rows
    assert not [row for row in elsewhere if "fixed beforehand" in row.case]
    assert FIXED_BEFOREHAND[:2] in CONTRASTS


def test_the_smallest_difference_is_found_with_its_power() -> None:
    differences = torch.randn(30, generator=torch.Generator().manual_seed(1)).tolist()
    smallest = smallest_detectable(differences)
    spread = float(torch.tensor(differences).std())
    limit = stats.t(29).ppf(0.975)
    power = stats.nct(29, smallest / spread * 30**0.5).sf(limit)
    # the sum of two central quantiles is an approximation of the noncentral t
    assert power == pytest.approx(0.8, abs=0.01)
    assert smallest_detectable(differences * 4) < 0.55 * smallest


def test_targets_ask_for_the_interval_and_not_the_mean(scores: Scores, where: Where) -> None:
    targets = {target.name: target.met for target in paired_rows(scores, where).targets}
    assert targets == {
        "simulated, 1-D 8x, cirim above rim in ssim": True,
        "simulated, 1-D 8x, cirim above cs in ssim": True,
    }
    same = {key: scores.values["rim", key[1]] for key in scores.values if key[0] == "cirim"}
    jittered = {key: [v + 1e-4 * (i % 3 - 0.9) for i, v in enumerate(c)] for key, c in same.items()}
    tied = Scores(scores.values | jittered, scores.seconds)
    unmet = {target.name: target.met for target in paired_rows(tied, where).targets}
    assert not unmet["simulated, 1-D 8x, cirim above rim in ssim"]


def test_equal_values_have_no_interval_and_no_verdict(scores: Scores, where: Where) -> None:
    same = {key: scores.values["rim", key[1]] for key in scores.values if key[0] == "cirim"}
    tied = Scores(scores.values | same, scores.seconds)
    table = paired_rows(tied, where, compared=Compared(contrasts=[("cirim", "rim")]))
    paired = [row for row in table.rows if "smallest" not in row.metric]
    assert len(paired) == 3
    assert all(row.case.endswith(": no interval") for row in paired)
    assert [target.met for target in table.targets] == [False]


def test_contrasts_of_methods_that_did_not_run_are_left_out(scores: Scores, where: Where) -> None:
    only = {key: values for key, values in scores.values.items() if key[0] in ("cs", "cirim")}
    few = Scores(only, {"cs": [0.1], "cirim": [0.1]})
    assert {row.case.split(", ")[2] for row in paired_rows(few, where).rows} == {
        "cirim less cs (paired): cirim ahead",
        "cirim less cs (paired): cs ahead",
    }


def test_times_are_medians_over_all_cells(scores: Scores) -> None:
    rows = time_rows([scores, scores], seed=4).rows
    assert {row.value for row in rows} == {0.2}
    assert {row.n for row in rows} == {6}
    assert len(rows) == len(NAMES)

"""The tables of a benchmark hold its rows, each at its place, and say what is missing."""

import re

import pytest

from medconsist.mri.benchmark.summary import summary_text
from medconsist.results.bench import BenchRow

CELLS = ("1-D 8x", "FLAIR, 1-D 8x")


def row(
    case: str,
    metric: str,
    value: float,
    *,
    unit: str = "1",
    bounds: tuple[float, float] | None = None,
) -> BenchRow:
    low, high = bounds or (None, None)
    return BenchRow(
        case=f"simulated, {case}",
        metric=metric,
        value=value,
        unit=unit,
        n=4,
        unit_of_analysis="simulated scan",
        ci_low=low,
        ci_high=high,
        seed=0,
    )


def quality(cell: str, shift: float) -> list[BenchRow]:
    methods = {"zerofilled": 0.5, "cs, lambda 0.1, edge of the grid": 0.7, "cirim": 0.8}
    rows = [
        row(f"{cell}, {name}", metric, value - shift, bounds=(value - 0.25, value))
        for metric in ("ssim", "nmse", "psnr")
        for name, value in methods.items()
    ]
    less = f"{cell}, cirim less cs (paired, fixed beforehand): cirim ahead"
    return [*rows, row(less, "ssim", 0.1, bounds=(0.05, 0.15))]


@pytest.fixture
def text() -> str:
    rows = quality(CELLS[0], 0.0) + quality(CELLS[1], 0.1)
    lesion = "10 % lesion, FWHM 4 px"
    rows += [
        row(f"{CELLS[0]}, cirim, {lesion}", "response", 92.17, unit="%", bounds=(90, 94)),
        row(f"{CELLS[0]}, cirim less cs (paired), {lesion}", "response", 5.0, unit="%"),
        row(f"{CELLS[0]}, cirim, no lesion", "observer AUC", 0.497),
        row(f"{CELLS[0]}, slope per 10 %, cirim", "SSIM lost", 0.003, bounds=(0.002, 0.004)),
        row("cirim", "parameters", 76160.0),
        row("cirim", "peak memory of inference", 3 * 2.0**20, unit="B"),
    ]
    return summary_text(rows)


def table(text: str, title: str) -> list[list[str]]:
    lines = text.partition(f"{title}\n")[2].partition("\n\n")[0].splitlines()
    return [re.split(r"  +", line) for line in lines]


def test_a_line_is_a_method_and_a_column_a_cell(text: str) -> None:
    head, *lines = table(text, "SSIM, mean and 95 % interval")
    assert head == ["", *CELLS]
    assert [line[0] for line in lines] == ["zerofilled", "cs", "cirim"]
    assert lines[2][1:] == ["0.800 (0.550 to 0.800)", "0.700 (0.550 to 0.800)"]


def test_a_weight_at_the_edge_of_its_grid_is_marked_and_explained(text: str) -> None:
    lines = table(text, "SSIM, mean and 95 % interval")
    assert lines[2][1].startswith("0.700* (")
    assert "*: the weight that was chosen lies at the edge of its grid." in text


def test_differences_stand_apart_from_means(text: str) -> None:
    lines = table(text, "Paired differences in SSIM")
    assert lines[1] == ["cirim less cs", *["0.1000 (0.0500 to 0.1500)"] * 2]
    assert [line[0] for line in table(text, "NMSE, mean")] == ["", *CELLS]


def test_a_lesion_is_a_column_and_a_difference_a_line(text: str) -> None:
    head, *lines = table(text, "Response to inserted lesions [%] and 95 % interval")
    assert head == ["", "1-D 8x, 10 % lesion, FWHM 4 px"]
    assert lines == [["cirim", "92.2 (90.0 to 94.0)"], ["cirim less cs", "5.0"]]
    found = table(text, "AUC of the observer who does not know the anatomy")
    assert found == [["", "1-D 8x, no lesion"], ["cirim", "0.497"]]


def test_what_a_network_takes_has_its_units(text: str) -> None:
    found = table(text, "What a network takes")
    assert found == [["", "parameters", "inference [MiB]"], ["cirim", "76160", "3"]]


def test_rows_of_nothing_make_no_table() -> None:
    assert summary_text(()) == ""

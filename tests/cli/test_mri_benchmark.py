"""``medconsist mri benchmark``: its flags, its figures, and what it refuses."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from medconsist.cli.benches.mri_benchmark_figure import figure
from medconsist.metrics.report import t_interval
from medconsist.mri.benchmark.design import Design
from medconsist.mri.benchmark.panels import Curve, Panel
from medconsist.mri.benchmark.run import Benchmarked
from medconsist.results.bench import BenchReport, Target
from tests.cli.conftest import Program

SSIM = tuple(t_interval([0.8 + 0.01 * n, 0.9, 0.85], unit="scan") for n in range(3))
POINTS = Panel(
    "ssim-seconds",
    "SSIM & time",
    "seconds a slice",
    "SSIM",
    (Curve("cirim", (0.3,), SSIM[:1]), Curve("cs", (0.05,), SSIM[1:2])),
)
DOSES = Panel(
    "ssim-map-error",
    "SSIM lost",
    "smooth map error [10 %]",
    "SSIM lost",
    tuple(Curve(f"form {n}", (0.2, 0.5, 2.0), SSIM) for n in range(9)),
    is_logarithmic=False,
)
REPORT = BenchReport(
    command="medconsist mri benchmark",
    rows=(),
    targets=(Target(name="cirim first", wanted="no mean above", seen="unet first", met=False),),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the benchmark was asked for; it answers at once."""
    calls: list[dict[str, Any]] = []

    def quick(out: Path, design: Design, **other: Any) -> Benchmarked:
        calls.append({"out": out, "design": design, **other})
        return Benchmarked(REPORT, (POINTS, DOSES))

    monkeypatch.setattr("medconsist.mri.benchmark.run.run_benchmark", quick)
    return calls


def test_flags_reach_the_design(
    program: Program, asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    size = ("--minutes", 2, "--networks", "cirim", "varnet", "--size", 64, "--scans", 5)
    other = ("--seed", 3, "--workers", 1, "--data", "m.csv")
    answer = program("mri", "benchmark", "--out", tmp_path, *size, *other)
    assert answer.code == 0
    (call,) = asked
    assert call["design"] == Design(
        minutes=2.0, networks=("cirim", "varnet"), size=64, scans=5, seed=3
    )
    assert (call["out"], call["data"], call["workers"]) == (tmp_path, Path("m.csv"), 1)


def test_figures_are_written_and_named_last(
    program: Program, asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    answer = program("mri", "benchmark", "--out", tmp_path)
    last = answer.out.splitlines()[-2:]
    assert last == [str(tmp_path / "figures" / f"{one.file}.svg") for one in (POINTS, DOSES)]
    assert all(Path(path).is_file() for path in last)
    assert "unet first" in answer.out


def test_json_is_one_object_of_the_schema(
    program: Program, asked: list[dict[str, Any]], tmp_path: Path
) -> None:
    answer = program("mri", "benchmark", "--out", tmp_path, "--json")
    assert json.loads(answer.out)["command"] == "medconsist mri benchmark"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--networks", "cirm"), "networks got cirm; allowed: each once, of cirim"),
        (("--size", 100), "size got 100; allowed: a multiple of 32"),
        (("--minutes", 0), "minutes got 0.0; allowed: a positive number"),
        (("--scans", 1), "got 1 test scans"),
        (("--workers", 0), "workers got 0; allowed: 1 or more"),
        (("--data", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_sentence(
    program: Program, tmp_path: Path, flags: tuple[object, ...], said: str
) -> None:
    answer = program("mri", "benchmark", "--out", tmp_path / "out", *flags)
    assert answer.code == 2
    assert said in answer.sentence
    assert not (tmp_path / "out").exists()


def test_every_method_has_a_mark_an_interval_and_a_name() -> None:
    svg = figure(POINTS)
    assert len(re.findall('class="mean"', svg)) == len(re.findall('class="interval"', svg)) == 2
    said = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {"cirim", "cs", "seconds a slice", "SSIM &amp; time"} <= set(said)


def test_a_dose_response_is_a_curve_for_each_form() -> None:
    svg = figure(DOSES)
    assert len(re.findall('class="curve"', svg)) == 9
    assert len(set(re.findall(r'class="curve"[^>]*stroke="(#\w+)"', svg))) == 7
    assert svg.count("stroke-dasharray") == 4  # two forms beyond the colours, curve and key


def test_marks_lie_inside_the_page_in_their_order() -> None:
    (width,) = map(float, re.findall(r'<svg [^>]*width="([\d.]+)mm"', figure(POINTS)))
    starts = re.findall(r'class="interval" d="M([\d.]+),', figure(POINTS))
    cirim, cs = map(float, starts)
    assert 0 < cs < cirim < width  # 0.05 s is left of 0.3 s


def test_points_at_one_place_have_numbers_apart() -> None:
    curves = tuple(Curve(f"net {n}", (0.3,), SSIM[:1]) for n in range(4))
    svg = figure(Panel("ssim-seconds", "SSIM", "seconds a slice", "SSIM", curves))
    places = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" font-size="2.6"[^>]*>(\d+)<', svg)
    assert [label for *_, label in places] == ["1", "2", "3", "4"]
    spots = [(float(x), float(y)) for x, y, _ in places]
    for one, other in combinations(spots, 2):
        assert abs(one[0] - other[0]) > 1.7 or abs(one[1] - other[1]) >= 2.4

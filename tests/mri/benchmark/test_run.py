"""The whole benchmark at a tiny size: complete, the same when it goes on, and never mixed."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medconsist.errors import RefusedInputError
from medconsist.mri.benchmark import training
from medconsist.mri.benchmark.run import Benchmarked, run_benchmark
from medconsist.results.bench import BenchReport, BenchRow
from tests.mri.benchmark.tiny import tiny

DESIGN = tiny()
CELLS = ("1-D 8x", "map error 5 %, 1-D 8x", "map error 20 %, 1-D 8x")
METHODS = ("zerofilled", "cgsense", "cs", *DESIGN.networks)
Whole = tuple[Path, Benchmarked]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    out = tmp_path_factory.mktemp("benchmark") / "out"
    return out, run_benchmark(out, DESIGN, workers=1)


@pytest.fixture
def copy(whole: Whole, tmp_path: Path) -> Path:
    """A folder of its own with everything that was finished."""
    shutil.copytree(whole[0], tmp_path / "out")
    return tmp_path / "out"


def quality(report: BenchReport) -> list[BenchRow]:
    return [row for row in report.rows if "one core" not in row.metric]


def forget(out: Path, name: str) -> None:
    """Take a network out of the folder, and all that was judged with it."""
    shutil.rmtree(out / "trainings" / name)
    for part in (out / "parts").rglob(f"{name}*.json"):
        if not part.stem.startswith(f"{name}-"):
            part.unlink()
    shutil.rmtree(out / "parts" / "test")


def refuse_to_train(*_: Any, **__: Any) -> None:
    pytest.fail("a finished training was started again")


def test_every_method_has_every_figure_in_every_cell(whole: Whole) -> None:
    rows = whole[1].report.rows
    for cell in CELLS:
        for name in METHODS:
            case = f"simulated, {cell}, {name}"
            found = [row for row in rows if row.case == case or row.case.startswith(f"{case}, l")]
            assert {row.metric for row in found} == {"ssim", "psnr", "nmse"}
            assert {(row.n, row.unit_of_analysis) for row in found} == {(2, "simulated scan")}


def test_every_network_says_what_it_takes(whole: Whole) -> None:
    rows = whole[1].report.rows
    for name in DESIGN.networks:
        found = {row.metric: row.value for row in rows if row.case == f"simulated, {name}"}
        assert found["training, steps"] == 2
        assert found["parameters"] > 70_000
        assert found["time of one slice on one core, median"] > 0
        assert found["peak memory of a training step"] > found["peak memory of inference"] > 0


def test_both_contrasts_were_fixed_beforehand(whole: Whole) -> None:
    fixed = [row for row in whole[1].report.rows if "fixed beforehand" in row.case]
    said = [row.case.split(" (paired")[0] for row in fixed]
    assert said == [
        "simulated, 1-D 8x, cirim less varnet",
        "simulated, 1-D 8x, cirim less varnet",
        "simulated, 1-D 8x, slope per 10 % of smooth map error, cirim less cirim-explicit",
        "simulated, 1-D 8x, slope per 10 % of smooth map error, cirim less cirim-explicit",
    ]
    assert ["80% power" in row.metric for row in fixed] == [False, True, False, True]


def test_the_table_says_who_is_first(whole: Whole) -> None:
    targets = {one.name: one for one in whole[1].report.targets}
    first = targets["simulated, 1-D 8x, cirim first in ssim at equal training time"]
    assert not first.met  # of two steps
    assert "first, 0." in str(first.seen)
    assert "cirim behind by" in str(first.seen)


def test_figures_show_every_network_and_form(whole: Whole) -> None:
    panels = {panel.file: panel for panel in whole[1].panels}
    assert set(panels) == {"ssim-parameters", "ssim-seconds", "ssim-map-error"}
    shown = {name: [curve.name for curve in panel.curves] for name, panel in panels.items()}
    assert shown["ssim-parameters"] == list(DESIGN.networks)
    assert shown["ssim-seconds"] == [name for name in METHODS if name != "zerofilled"]
    assert panels["ssim-map-error"].curves[0].x == (5, 20)


def test_a_finished_table_is_only_read(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    out, before = whole
    monkeypatch.setattr(training, "fit", refuse_to_train)
    again = run_benchmark(out, DESIGN, workers=1)
    assert again.report.rows == before.report.rows
    assert again.report.targets == before.report.targets


def test_a_table_that_was_killed_in_a_training_ends_with_the_same_figures(
    whole: Whole, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(copy, "varnet")
    with monkeypatch.context() as patch:
        patch.setattr(training, "fit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_benchmark(copy, DESIGN, workers=1)
    again = run_benchmark(copy, DESIGN, workers=1)
    assert quality(again.report) == quality(whole[1].report)


def test_a_table_that_was_killed_between_scans_ends_with_the_same_figures(
    whole: Whole, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = sorted((copy / "parts" / "test").iterdir())[-1]
    last.unlink()
    monkeypatch.setattr(training, "fit", refuse_to_train)
    again = run_benchmark(copy, DESIGN, workers=1)
    assert quality(again.report) == quality(whole[1].report)


def test_two_workers_reach_the_figures_of_one(whole: Whole, copy: Path) -> None:
    forget(copy, "varnet")
    again = run_benchmark(copy, DESIGN, workers=2)
    there, here = (
        [row for row in quality(report) if "memory" not in row.metric]
        for report in (again.report, whole[1].report)
    )
    names = [(row.case, row.metric, row.n) for row in here]
    assert [(row.case, row.metric, row.n) for row in there] == names
    # Sums are rounded otherwise in another process. The smallest difference that two scans show
    # is the spread of two differences, and no bound on what it is made of bounds that.
    wanted, found = (
        [row.value for row in rows if "80% power" not in row.metric] for rows in (here, there)
    )
    assert found == pytest.approx(wanted, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("change", "said"), [({"seed": 1}, "seed"), ({"scans": 3}, "scans"), ({"steps": 3}, "steps")]
)
def test_other_settings_in_the_same_folder_are_refused(
    whole: Whole, change: dict[str, int], said: str
) -> None:
    other = replace(DESIGN, **change)  # type: ignore[arg-type]  # names of numbers
    with pytest.raises(RefusedInputError, match=rf"a table of other settings \({said}\)"):
        run_benchmark(whole[0], other, workers=1)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RefusedInputError, match=r"holds notes.txt and no table of ours"):
        run_benchmark(tmp_path, DESIGN, workers=1)


def test_no_worker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match="workers got 0; allowed: 1 or more"):
        run_benchmark(tmp_path, DESIGN, workers=0)


def test_a_network_that_diverges_loses_its_rows_and_is_named(tmp_path: Path) -> None:
    wild = tiny(networks=("irim",), rates=(1e30,), steps=3, only_cells=("1-D 8x",))
    report = run_benchmark(tmp_path / "out", wild, workers=1).report
    assert not [row for row in report.rows if "irim" in row.case]
    assert [row for row in report.rows if row.case.startswith("simulated, 1-D 8x, cs")]
    (lost,) = [one for one in report.targets if "irim" in one.name]
    assert lost.name == "simulated, irim has finite weights and images"
    assert not lost.met


def test_lesions_are_inserted_where_they_are_asked_for(tmp_path: Path) -> None:
    cell = ("2-D 8x",)
    design = tiny(size=64, networks=("varnet",), steps=1, only_cells=cell, lesion_cells=cell)
    report = run_benchmark(tmp_path / "out", design, workers=1).report
    found = [row for row in report.rows if row.metric == "response"]
    assert {"varnet", "cs"} <= {word for row in found for word in row.case.split(", ")}
    assert len(list((tmp_path / "out" / "parts" / "lesions").iterdir())) == design.scans


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt

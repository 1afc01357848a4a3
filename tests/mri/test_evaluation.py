"""One table over the scans of a study: the values of the records, counted by scan."""

from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.mri.evaluation import evaluate_study
from medconsist.mri.methods import CgSense, Method, Zerofilled
from medconsist.mri.scan_series import Series, write_series
from medconsist.mri.settings import Reconstruction
from medconsist.mri.task import Job, reconstruct_file
from medconsist.results.bench import BenchRow
from medconsist.results.methods import method_of
from medconsist.results.store import ResultStore
from tests.cli.small_scan import write_small_scan

SERIES = Series(scans=3, slices=1, size=48, coils=3, acceleration=2.0, lesions=1, seed=8)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three simulated scans."""
    return write_series(SERIES, tmp_path_factory.mktemp("scans"))


def reconstruct(paths: list[Path], out: Path, method: Method) -> ResultStore:
    for path in paths:
        reconstruct_file(Job(input=path, out=out, reconstruction=Reconstruction(method=method)))
    return ResultStore(out, "mri")


def by_name(rows: list[BenchRow]) -> dict[tuple[str, str], BenchRow]:
    return {(row.case, row.metric): row for row in rows}


def test_few_scans_come_with_a_warning(
    scans: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reconstruct(scans, tmp_path, Zerofilled())
    evaluate_study(tmp_path, "mri")
    assert "only 3 units (scan): a bootstrap interval is too narrow below 10" in caplog.messages


def test_rows_are_the_means_of_the_records_over_scans(scans: list[Path], tmp_path: Path) -> None:
    store = reconstruct(scans, tmp_path, Zerofilled())
    results = [store.read(case).result for case in store.cases()]
    rows = by_name(evaluate_study(tmp_path, "mri"))

    assert {case for case, _ in rows} == {"zerofilled", "cgsense"}
    assert {metric for _, metric in rows} == {"ssim", "psnr", "nmse"}
    for (method, metric), row in rows.items():
        recorded = [
            found.value
            for result in results
            for found in result.metrics
            if found.name == metric and method_of(result, found.role or "") == method
        ]
        assert len(recorded) == 3
        assert row.value == pytest.approx(np.mean(recorded), rel=1e-9)
        assert (row.n, row.unit_of_analysis) == (3, "scan")
        assert row.ci_low is not None
        assert row.ci_high is not None
        rounding = 1e-12 * abs(row.value)  # a mean of three equal numbers may be an ulp off
        assert min(recorded) - rounding <= row.ci_low <= row.value
        assert row.value <= row.ci_high <= max(recorded) + rounding


def test_better_method_is_seen_as_better(scans: list[Path], tmp_path: Path) -> None:
    reconstruct(scans[:1], tmp_path, CgSense())
    rows = by_name(evaluate_study(tmp_path, "mri"))
    assert rows["cgsense", "nmse"].value < rows["zerofilled", "nmse"].value


def test_one_scan_has_no_interval(scans: list[Path], tmp_path: Path) -> None:
    reconstruct(scans[:1], tmp_path, Zerofilled())
    for row in evaluate_study(tmp_path, "mri"):
        assert row.n == 1
        assert row.ci_low is row.ci_high is None


def test_only_the_current_result_of_a_case_counts(scans: list[Path], tmp_path: Path) -> None:
    reconstruct(scans[:1], tmp_path, CgSense(lambda_=0.3))
    before = by_name(evaluate_study(tmp_path, "mri"))["cgsense", "nmse"]
    reconstruct(scans[:1], tmp_path, CgSense())
    after = by_name(evaluate_study(tmp_path, "mri"))["cgsense", "nmse"]
    assert before.n == after.n == 1
    assert after.value != before.value


def test_two_settings_of_one_method_are_never_pooled(scans: list[Path], tmp_path: Path) -> None:
    reconstruct(scans[:1], tmp_path, CgSense())
    reconstruct(scans[1:2], tmp_path, CgSense(lambda_=0.1))
    with pytest.raises(RefusedInputError, match="cgsense has other settings in case scan-000 than"):
        evaluate_study(tmp_path, "mri")


def test_results_without_reference_are_no_rows(scans: list[Path], tmp_path: Path) -> None:
    plain = write_small_scan(tmp_path / "plain.npy")
    reconstruct([plain], tmp_path / "out", Zerofilled())
    with pytest.raises(RefusedInputError, match="has a reference to compare with"):
        evaluate_study(tmp_path / "out", "mri")
    reconstruct(scans[:1], tmp_path / "out", Zerofilled())
    assert {row.n for row in evaluate_study(tmp_path / "out", "mri")} == {1}


def test_missing_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="is not there"):
        evaluate_study(tmp_path, "none")

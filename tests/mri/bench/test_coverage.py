"""The bench of coverage at a tiny size: what is drawn, and what the table holds."""

import numpy as np
import pytest
import torch

from medconsist.errors import RefusedInputError
from medconsist.metrics.conformal_bound import coverage_test
from medconsist.mri.bench import coverage
from medconsist.mri.bench.coverage import ALPHA, LEFT_OUT, Sizes, run_bench
from medconsist.mri.bench.coverage_scans import BASE, SHIFTS, Kind, Scored, scored_scans
from tests.mri.tiny_network import write_network


@pytest.fixture(scope="module")
def kind(tmp_path_factory: pytest.TempPathFactory) -> Kind:
    weights = write_network(tmp_path_factory.mktemp("weights") / "tiny.safetensors")
    return Kind(size=40, coils=4, weights=str(weights))


def test_a_scan_is_the_same_alone_and_beside_its_shifts(kind: Kind) -> None:
    (alone,) = scored_scans((5, False), kind=kind)
    together = scored_scans((5, True), kind=kind)
    assert [one.cell for one in together] == [BASE, *SHIFTS]
    assert (alone.ratios == together[0].ratios).all()
    # at 40 columns both accelerations may meet the largest that lines reach, so not together[1]
    assert all(one.ratios.tolist() != alone.ratios.tolist() for one in together[2:])
    assert {one.contrast for one in together} == {alone.contrast}
    (other,) = scored_scans((6, False), kind=kind)
    assert other.ratios.tolist() != alone.ratios.tolist()


def test_the_table_holds_target_promise_and_loss(kind: Kind) -> None:
    report = run_bench(sizes=Sizes(scans=20, shifted=2, kind=kind, workers=1))
    values = {(row.case, row.metric): row for row in report.rows}
    covered = values[BASE, "scans with 90% of the pixels covered"]
    assert (covered.n, covered.baseline) == (20, 1 - ALPHA)
    exact = coverage_test(round(20 * covered.value), 20, n=20, alpha=ALPHA)
    (target,) = report.targets
    assert target.met == (exact.p_two_sided >= 0.01)
    assert values[BASE, "p, exact beta-binomial, two-sided"].value == exact.p_two_sided
    for cell in SHIFTS:
        lost = values[cell, "coverage lost (paired)"]
        assert lost.n == 2
        assert -1 <= lost.value <= 1
        assert values[cell, "mean share of uncovered pixels, by risk control"].baseline == ALPHA
    assert values["cost", "spent in all, core-seconds"].n == 40 + 2 * len(SHIFTS)
    assert torch.is_grad_enabled()


def scored(level: int, *, contrast: str = "FLAIR", cell: str = BASE) -> Scored:
    """Return a scan of that score, half of whose pixels have no error."""
    ratios = np.array([0] * 5 + [level] * 5, dtype=np.float32)
    return Scored(
        cell=cell, contrast=contrast, ratios=ratios, flat_score=0.0, width=0.1, core_seconds=0.1
    )


def test_factors_are_of_the_calibration_scans_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores 1 to 20 calibrate: 19 for scans, and 18 leaves (2 * .5 + 1) / 21 of the pixels."""
    calibration = [[scored(n, contrast=LEFT_OUT if n > 18 else "FLAIR")] for n in range(1, 21)]
    shifted = [[scored(19), *(scored(20, cell=cell) for cell in SHIFTS)] for _ in range(2)]
    test = [*shifted, *([scored(19, contrast=LEFT_OUT)] for _ in range(11))]
    test += [[scored(20)] for _ in range(7)]
    monkeypatch.setattr(coverage, "_each_scan", lambda _: calibration + test)
    report = run_bench(sizes=Sizes(scans=20, shifted=2, workers=1))
    values = {(row.case, row.metric): row.value for row in report.rows}
    assert values[BASE, "scans with 90% of the pixels covered"] == 13 / 20
    assert values[BASE, "mean share of uncovered pixels, by risk control"] == 0.5
    assert {values[cell, "coverage lost (paired)"] for cell in SHIFTS} == {1.0}
    # without the two of the contrast the factor is 18
    assert values[f"{LEFT_OUT}, calibrated without it", "coverage lost (paired)"] == 1.0


def test_a_bench_that_could_not_calibrate_is_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"got 10 scans.*20 scans or more"):
        Sizes(scans=10, shifted=5)
    with pytest.raises(RefusedInputError, match="41 of them shifted"):
        Sizes(scans=40, shifted=41)

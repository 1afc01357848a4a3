"""``medconsist bench mri-adapt``: what is counted, and one tiny scan through all of it."""

from dataclasses import replace

import pytest

from medconsist.errors import RefusedInputError
from medconsist.mri.bench.adaptation import MOST_WORSE, adaptation_table, run_bench
from medconsist.mri.bench.adaptation_scans import BASE, MOVED, Adapted, Scan, adapted_scan
from medconsist.mri.learned.zero_shot_settings import ZeroShot

TINY = replace(ZeroShot.everyday(), steps=1, evaluate_every=1)


def adapted(setting: str, *, accepted: bool, nmse: float, ssim: float = 0.9) -> Adapted:
    """A scan whose NMSE was 0.10 before, and whose SSIM 0.8; without the blend, 0.7."""
    return Adapted(
        setting=setting,
        accepted=accepted,
        plain={"nmse": 0.1, "ssim": 0.8},
        always={"nmse": nmse, "ssim": ssim},
        alone={"nmse": nmse, "ssim": 0.7},
        core_seconds=2.0,
    )


def test_a_refused_scan_is_never_worse_and_an_accepted_one_may_be() -> None:
    found = [
        adapted(BASE, accepted=True, nmse=0.09),
        adapted(BASE, accepted=True, nmse=0.1005, ssim=0.79),
        adapted(BASE, accepted=False, nmse=0.2),
        adapted(MOVED, accepted=False, nmse=0.3, ssim=0.6),
    ]
    table = adaptation_table(found, seed=7)
    rows = {(row.case, row.metric): row for row in table.rows}
    beyond = rows["all settings", "scans made worse beyond 1 %"]
    assert (beyond.value, beyond.baseline, beyond.n) == (0.0, 0.5, 4)
    raw = rows["all settings", "scans made worse"]
    assert (raw.value, raw.baseline) == (0.25, 0.75)
    fell = rows["all settings", "scans whose SSIM fell"]
    assert (fell.value, fell.baseline) == (0.25, 0.5)
    without = rows["all settings, without the acceptance test", "scans made worse beyond 1 %"]
    assert (without.value, without.baseline) == (0.5, None)
    assert without.ci_low is not None
    assert without.ci_low == pytest.approx(0.0676, abs=1e-4)  # Clopper and Pearson, 2 of 4
    assert rows["all settings, without the blend", "scans whose SSIM fell"].value == 0.5
    assert (BASE, "scans whose SSIM fell") in rows
    assert (f"{BASE}, without the acceptance test", "scans whose SSIM fell") not in rows
    assert rows[BASE, "adaptation accepted"].value == pytest.approx(2 / 3)
    assert rows[MOVED, "adaptation accepted"].value == 0.0
    assert rows["cost", "adaptation, sum, core-seconds"].value == 8.0
    assert [target.met for target in table.targets] == [True, False, False]
    assert MOST_WORSE == 0.05


def test_one_tiny_scan_is_adapted_and_compared_with_its_reference() -> None:
    scan = Scan(MOVED, number=0, series=3, size=48, role="validation", settings=TINY)
    found = adapted_scan(scan)
    assert found.setting == MOVED
    assert 0 < found.plain["nmse"] < 1
    assert found.rise("given") == (found.rise("untested") if found.accepted else 0.0)
    assert found.quality("given") == (found.always if found.accepted else found.plain)
    assert found.core_seconds > 0


def test_scans_of_a_number_and_setting_are_the_same_again() -> None:
    scan = Scan(BASE, number=1, series=3, size=48, role="validation", settings=TINY)
    first, again = adapted_scan(scan), adapted_scan(scan)
    assert (first.plain, first.always, first.alone) == (again.plain, again.always, again.alone)


def test_no_draws_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="got 0 draws and 1 workers"):
        run_bench(draws=0, workers=1)

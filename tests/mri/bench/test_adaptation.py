"""``medconsist bench mri-adapt``: what is counted, and one tiny scan through all of it."""

from dataclasses import replace

import pytest

from medconsist.errors import RefusedInputError
from medconsist.mri.bench.adaptation import MOST_WORSE, adaptation_table, run_bench
from medconsist.mri.bench.adaptation_scans import BASE, MOVED, Adapted, Scan, adapted_scan
from medconsist.mri.learned.zero_shot_settings import ZeroShot

TINY = replace(ZeroShot.everyday(), steps=1, evaluate_every=1)


def adapted(setting: str, *, accepted: bool, nmse: float) -> Adapted:
    """A scan whose NMSE was 0.10 before."""
    return Adapted(
        setting=setting,
        accepted=accepted,
        plain={"nmse": 0.1, "ssim": 0.8},
        always={"nmse": nmse, "ssim": 0.9},
        core_seconds=2.0,
    )


def test_a_refused_scan_is_never_worse_and_an_accepted_one_may_be() -> None:
    found = [
        adapted(BASE, accepted=True, nmse=0.09),
        adapted(BASE, accepted=True, nmse=0.1005),
        adapted(BASE, accepted=False, nmse=0.2),
        adapted(MOVED, accepted=False, nmse=0.3),
    ]
    table = adaptation_table(found, seed=7)
    rows = {(row.case, row.metric): row for row in table.rows}
    beyond = rows["all settings", "scans made worse beyond 1 %"]
    assert (beyond.value, beyond.baseline, beyond.n) == (0.0, 0.5, 4)
    raw = rows["all settings", "scans made worse"]
    assert (raw.value, raw.baseline) == (0.25, 0.75)
    without = rows["all settings, without the acceptance test", "scans made worse beyond 1 %"]
    assert (without.value, without.baseline) == (0.5, None)
    assert without.ci_low is not None
    assert without.ci_low == pytest.approx(0.0676, abs=1e-4)  # Clopper and Pearson, 2 of 4
    assert rows[BASE, "adaptation accepted"].value == pytest.approx(2 / 3)
    assert rows[MOVED, "adaptation accepted"].value == 0.0
    assert rows["cost", "adaptation, sum, core-seconds"].value == 8.0
    assert [target.met for target in table.targets] == [True, False]
    assert MOST_WORSE == 0.05


def test_one_tiny_scan_is_adapted_and_compared_with_its_reference() -> None:
    found = adapted_scan(Scan(MOVED, number=0, series=3, size=48, settings=TINY))
    assert found.setting == MOVED
    assert 0 < found.plain["nmse"] < 1
    assert found.rise(tested=True) == (found.rise(tested=False) if found.accepted else 0.0)
    assert found.core_seconds > 0


def test_scans_of_a_number_and_setting_are_the_same_again() -> None:
    scan = Scan(BASE, number=1, series=3, size=48, settings=TINY)
    first, again = adapted_scan(scan), adapted_scan(scan)
    assert (first.plain, first.always) == (again.plain, again.always)


def test_no_draws_are_refused() -> None:
    with pytest.raises(RefusedInputError, match="got 0 draws and 1 workers"):
        run_bench(draws=0, workers=1)

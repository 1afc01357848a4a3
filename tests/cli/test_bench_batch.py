"""The batch bench: every row it promises, small."""

import pytest

from medconsist.cli.benches.batch import Sizes, run_bench


@pytest.mark.ray
def test_every_engine_has_its_rows_and_its_target() -> None:
    report = run_bench(sizes=Sizes(empty=4, busy=2, busy_s=0.01))
    metrics = {(row.case, row.metric) for row in report.rows}
    for engine in ("local", "ray"):
        for metric in ("start to first case", "engine per case", "two workers", "install size"):
            assert (engine, metric) in metrics
    assert [target.name.split(":")[0] for target in report.targets] == ["local", "ray"]

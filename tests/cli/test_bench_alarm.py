"""``medconsist bench alarm``: what it reports and draws, on sizes that take seconds."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from medconsist.cli.benches import alarm
from medconsist.cli.benches.alarm import FALSE, OUTSIDE, UNTIL, ScanSizes, Sizes, run_bench
from medconsist.errors import RefusedInputError
from medconsist.metrics.alarm_contest import ContestSizes
from medconsist.metrics.alarm_delay import Streams
from medconsist.metrics.report import Estimate
from medconsist.mri.bench.alarm import ScanStudy
from medconsist.results.bench import BenchReport
from medconsist.timeseries.bench.alarm import SignalStudy
from medconsist.wsi.bench.alarm import SlideStudy
from medconsist.wsi.mil.simulate import BagRecipe
from tests.cli.conftest import Program

TINY = Sizes(
    scans=ScanSizes(
        study=ScanStudy(size=48, coils=2, acceleration=2.0), calibration=5, clean=7, changed=3
    ),
    slides=SlideStudy(
        train=12,
        validation=8,
        calibration=8,
        clean=7,
        changed=3,
        epochs=1,
        width=8,
        recipe=BagRecipe(dim=8, subspace=6, instances=(8, 12), sites=4, two_cases=0),
    ),
    signals=SignalStudy(train=12, calibration=8, clean=7, changed=3),
    contest=ContestSizes(
        streams=Streams(count=3, before=6, limit=3), clean_streams=2, draws=20, streams_each=2
    ),
    workers=1,
)
DOMAINS = ("MRI", "slides", "signals")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[BenchReport, Path]:
    path = tmp_path_factory.mktemp("alarm") / "alarm.svg"
    return run_bench(seed=1, figure_path=path, sizes=TINY), path


def test_every_domain_has_two_changes_beside_the_plain_score(
    drawn: tuple[BenchReport, Path],
) -> None:
    for domain in DOMAINS:
        rows = [r for r in drawn[0].rows if r.case.startswith(domain) and r.baseline is not None]
        assert len({row.case for row in rows if UNTIL in row.metric}) == 2
        assert all(1 <= row.value <= 4 for row in rows if UNTIL in row.metric)


def test_false_alarms_have_an_exact_interval_and_a_target_each(
    drawn: tuple[BenchReport, Path],
) -> None:
    rows = [row for row in drawn[0].rows if FALSE in row.metric]
    both = [row for row in rows if row.case.endswith(("combined", "plain"))]
    assert len(both) == 2 * 2 * len(DOMAINS)
    assert all(row.ci_high is not None and row.ci_high > row.value for row in rows)
    targets = [target for target in drawn[0].targets if FALSE in target.name]
    assert [target.name.split(":")[0] for target in targets] == [d for d in DOMAINS for _ in "ab"]
    # a few dozen cases without an alarm do not show 1 in 1,000
    assert not any(target.met for target in targets)


def test_each_score_alone_has_its_rates_on_clean_and_on_changed_cases(
    drawn: tuple[BenchReport, Path],
) -> None:
    for domain in DOMAINS:
        rows = [row for row in drawn[0].rows if row.case.startswith(domain)]
        outside = [row for row in rows if OUTSIDE in row.metric]
        scores = {row.metric for row in outside}
        assert len(outside) == 3 * len(scores)  # clean, and two changes
        assert all(row.ci_low is not None and 0 <= row.value <= 1 for row in outside)
        missed = [row for row in rows if row.metric.startswith("streams without an alarm")]
        assert len(missed) == 2 + 2 * len(scores)  # the combined score, and each alone


def test_the_rule_that_ends_the_combined_score_is_applied(
    drawn: tuple[BenchReport, Path],
) -> None:
    verdicts = drawn[0].targets[-2:]
    for verdict in verdicts:
        assert isinstance(verdict.seen, str)
        better = verdict.seen.count("better")
        assert verdict.met == (better >= alarm.ENOUGH)
        assert ("ship the plain score alone" in verdict.seen) == (not verdict.met)


def test_an_interval_that_holds_zero_is_a_tie() -> None:
    def said(low: float | None, high: float | None) -> tuple[str, str]:
        one = Estimate(mean=0.0, ci_low=low, ci_high=high, n=9, unit_of_analysis="case")
        return alarm._sign(one, low_is_good=True), alarm._sign(one, low_is_good=False)

    assert said(-2.0, -1.0) == ("better", "worse")
    assert said(1.0, 2.0) == ("worse", "better")
    assert said(-1.0, 0.0) == said(None, None) == ("tie", "tie")


def test_the_figure_has_a_panel_and_four_curves_for_each_domain(
    drawn: tuple[BenchReport, Path],
) -> None:
    text = drawn[1].read_text()
    root = ET.fromstring(text)  # noqa: S314  written a moment ago
    curves = [one for one in root.iter() if one.get("class") == "curve"]
    assert len(curves) == 4 * len(DOMAINS)
    assert all(f">{domain}<" in text for domain in DOMAINS)


def test_no_worker_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="workers got 0"):
        Sizes(workers=0)


def test_alarm_takes_a_seed_and_a_figure(
    program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[int, Path | None]] = []

    def quick(*, seed: int, figure_path: Path | None) -> BenchReport:
        asked.append((seed, figure_path))
        return BenchReport(command="medconsist bench alarm", rows=())

    monkeypatch.setattr("medconsist.cli.benches.alarm.run_bench", quick)
    answer = program("bench", "alarm", "--seed", 4, "--figure", tmp_path / "a.svg", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["command"] == "medconsist bench alarm"
    assert asked == [(4, tmp_path / "a.svg")]
    assert program("bench", "alarm", "--draws", 5).code == 2
    assert program("bench", "ts", "--figure", tmp_path / "a.svg").code == 2


def test_alarm_faults_takes_a_seed_and_draws(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int | None]] = []

    def quick(*, seed: int, draws: int | None) -> BenchReport:
        asked.append((seed, draws))
        return BenchReport(command="medconsist bench alarm-faults", rows=())

    monkeypatch.setattr("medconsist.viewing.bench.alarm_faults.run_bench", quick)
    assert program("bench", "alarm-faults", "--seed", 4, "--draws", 3, "--json").code == 0
    assert program("bench", "alarm-faults").code == 0
    assert asked == [(4, 3), (0, None)]
    assert program("bench", "alarm-faults", "--figure", "a.svg").code == 2

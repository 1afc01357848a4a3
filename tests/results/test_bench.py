"""The one JSON object of every bench."""

import json

import pytest

from medconsist._records import make_record, read_record
from medconsist.errors import RefusedInputError
from medconsist.results.bench import BenchReport, BenchRow, Target, machine, versions

ROW = {"case": "r4", "metric": "nrmse", "value": 0.1, "unit": "1", "n": 25}


def report() -> BenchReport:
    row = make_record(BenchRow, **ROW, unit_of_analysis="site", ci_low=0.05, ci_high=0.15, seed=0)
    target = Target(name="nrmse r4", wanted="<= 0.2", seen=0.1, met=True)
    return BenchReport(command="medconsist bench mri", rows=(row,), targets=(target,))


def test_the_keys_of_the_object_and_its_rows_are_frozen() -> None:
    values = json.loads(report().to_json())
    assert list(values) == ["schema", "command", "versions", "machine", "rows", "targets"]
    assert list(values["machine"]) == ["cpu", "threads", "gpu"]
    assert list(values["rows"][0]) == [
        "case",
        "metric",
        "value",
        "unit",
        "baseline",
        "ratio",
        "n",
        "unit_of_analysis",
        "ci_low",
        "ci_high",
        "seed",
    ]
    assert list(values["targets"][0]) == ["name", "wanted", "seen", "met"]


def test_a_report_reads_back() -> None:
    assert read_record(BenchReport, report().to_json(), source="bench.json") == report()


def test_a_wrong_key_of_a_report_names_the_file_and_the_nearest_key() -> None:
    values = json.loads(report().to_json())
    values["rows"][0]["ci_hi"] = 1.0
    with pytest.raises(RefusedInputError, match=r"^b\.json: the key 'rows\.0\.ci_hi'.*'ci_high'"):
        read_record(BenchReport, json.dumps(values), source="b.json")


def test_a_row_without_unit_of_analysis_or_with_half_an_interval_is_refused() -> None:
    with pytest.raises(RefusedInputError, match="'unit_of_analysis' is missing"):
        make_record(BenchRow, **ROW)
    with pytest.raises(RefusedInputError, match="both ends of the interval"):
        make_record(BenchRow, **ROW, unit_of_analysis="site", ci_low=0.0)


def test_machine_and_versions_are_those_of_this_process() -> None:
    assert machine().threads >= 1
    assert machine().cpu
    assert "numpy" in versions()

from typing import Any

import pytest

from medconsist.results.schema import Metric, ModelRecord, Result
from medconsist.viewing.numbers import (
    key_label,
    method_words,
    metric_tables,
    model_words,
    provenance_rows,
)

WriteResult = Any


@pytest.fixture(scope="module")
def result(write_result: WriteResult, tmp_path_factory: pytest.TempPathFactory) -> Result:
    written: Result = write_result(tmp_path_factory.mktemp("results"))
    return written


def metric(**changes: Any) -> Metric:
    fields: dict[str, Any] = {
        "name": "ssim",
        "value": 0.9,
        "unit": "1",
        "n": 3,
        "unit_of_analysis": "slice",
    }
    return Metric(**fields | changes)


def test_methods_stand_under_one_heading_with_their_intervals(result: Result) -> None:
    assert metric_tables(result.metrics) == {
        "ssim · 3 slices": [
            ["Zero-filled", "0.71", "0.69 to 0.73"],
            ["Reconstruction", "0.93", "0.91 to 0.95"],
        ]
    }


def test_numbers_counted_over_other_units_are_kept_apart() -> None:
    tables = metric_tables(
        [metric(role="reconstruction"), metric(role="reconstruction", n=1, unit_of_analysis="scan")]
    )
    assert list(tables) == ["ssim · 3 slices", "ssim · 1 scan"]


def test_methods_stand_in_the_order_of_the_images() -> None:
    roles = ("reconstruction", "zerofilled", "cgsense", None)
    (rows,) = metric_tables([metric(role=role) for role in roles]).values()
    assert [row[0] for row in rows] == ["Result", "Zero-filled", "CG-SENSE", "Reconstruction"]


def test_a_missing_interval_is_left_empty_and_a_unit_is_shown() -> None:
    tables = metric_tables([metric(name="psnr", value=33.0, unit="dB", split="test")])
    assert tables == {"psnr · test · 3 slices": [["Result", "33 dB", ""]]}


def test_provenance_names_key_input_versions_and_that_there_is_no_model(result: Result) -> None:
    rows = dict(provenance_rows(result))
    assert rows["Key"] == result.key
    assert rows["Input: kspace"] == "ab" * 32
    assert rows["Model"] == "no model: classical method"
    assert '"lambda_": 0.005' in rows["Configuration"]
    assert "torch" in rows["Versions"]
    assert rows["Seed"] == "nothing was drawn"


def test_a_model_is_named_with_its_sha256(result: Result) -> None:
    model = ModelRecord(name="cirim", sha256="cd" * 32)
    words = model_words(result.model_copy(update={"model": model}))
    assert words == f"cirim (no card), sha256 {'cd' * 32}"


def test_a_pane_names_the_method_and_its_numbers(result: Result) -> None:
    words = method_words(result, "reconstruction")
    assert words == "Compressed sensing, lambda 0.005, iterations 60"
    assert method_words(result, "zerofilled") == "measured samples and nothing else"


def test_a_method_without_settings_is_left_out(result: Result) -> None:
    bare = result.model_copy(update={"config": {"methods": "cs"}})
    assert method_words(bare, "reconstruction") == ""
    assert key_label(bare, current=True).startswith("current · MR reconstruction")

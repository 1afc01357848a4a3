"""Which method made an array: its own record decides, and older layouts say it by role."""

from typing import Any

import pytest

from medconsist.results.methods import labelled_method, method_of, reason_of_order, settings_of
from medconsist.results.schema import ArrayRecord, ModelRecord, Result, ResultFields

ASKED = {
    "reconstruction": {"name": "net", "depth": 3},
    "cs": {"name": "cs", "lambda_": 0.01},
}


def array(role: str, method: str | None) -> ArrayRecord:
    return ArrayRecord(
        role=role,
        path=f"{role}.zarr",
        kind="zarr",
        axes=("height", "width"),
        shape=(2, 3),
        dtype="float32",
        sha256="0" * 64,
        method=method,
    )


@pytest.fixture
def result(make_fields: Any) -> Result:
    """The network was asked for and is shown second."""
    made = make_fields(
        config={"methods": ASKED},
        model=ModelRecord(name="net", sha256="1" * 64, trained_on="simulation"),
        notes=("One note.", "Shown first: cs. It agrees better."),
    )
    values = {name: getattr(made, name) for name in ResultFields.model_fields}
    arrays = (array("reconstruction", "cs"), array("cirim", "net"), array("reference", None))
    return Result(**values, study="demo", case="head", arrays=arrays)


def test_the_record_of_the_array_decides(result: Result) -> None:
    assert [method_of(result, role) for role in ("reconstruction", "cirim")] == ["cs", "net"]
    assert settings_of(result, "reconstruction") == ASKED["cs"]
    assert settings_of(result, "cirim") == ASKED["reconstruction"]


def test_what_no_method_made_has_none(result: Result) -> None:
    assert method_of(result, "reference") is None
    assert settings_of(result, "reference") == {}
    assert labelled_method(result, "reference") == "reference"


def test_the_first_layout_says_it_by_role(result: Result) -> None:
    arrays = (array("reconstruction", None), array("cs", None))
    older = result.model_copy(update={"arrays": arrays, "schema_version": 1})
    assert method_of(older, "reconstruction") == "net"
    assert settings_of(older, "cs") == ASKED["cs"]


def test_only_the_image_of_the_network_is_labelled(result: Result) -> None:
    assert labelled_method(result, "cirim") == "net (simulation-trained)"
    assert labelled_method(result, "reconstruction") == "cs"


def test_the_reason_of_the_order_is_found_among_the_notes(result: Result) -> None:
    assert reason_of_order(result) == "Shown first: cs. It agrees better."
    assert reason_of_order(result.model_copy(update={"notes": ("One note.",)})) == ""

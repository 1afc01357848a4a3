"""The contract of result.json."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medconsist._records import make_record, read_record
from medconsist.errors import CorruptResultError, RefusedInputError
from medconsist.results.ids import safe_key, safe_role
from medconsist.results.schema import (
    ArrayRecord,
    Metric,
    Result,
    ResultFields,
    read_result,
    sealed_bytes,
)

MakeFields = Callable[..., ResultFields]


@pytest.fixture
def data(make_fields: MakeFields) -> bytes:
    """The bytes of a result.json."""
    fields = make_fields(config={"method": "cs", "content_sha256": "0" * 64}, notes=("Größe µm",))
    values = {name: getattr(fields, name) for name in ResultFields.model_fields}
    array = ArrayRecord(
        role="cs",
        path="cs.zarr",
        kind="zarr",
        axes=("height", "width"),
        shape=(2, 3),
        dtype="complex64",
        sha256="cd" * 32,
        orientation=((1.0, 0.0, 0.0, 0.0),) * 4,
    )
    return sealed_bytes(Result(**values, study="demo", case="head", arrays=(array,)))


def test_a_result_reads_back_as_it_was_written(data: bytes) -> None:
    result = read_result(data, source="result.json")
    assert sealed_bytes(result) == data
    assert result.arrays[0].orientation is not None


def test_the_top_level_keys_of_result_json_are_frozen(data: bytes) -> None:
    assert sorted(json.loads(data)) == [
        "arrays",
        "case",
        "config",
        "content_sha256",
        "device",
        "environment",
        "inputs",
        "item",
        "kind",
        "metrics",
        "model",
        "notes",
        "patient",
        "result_version",
        "schema_version",
        "seed",
        "study",
        "times",
        "trust",
    ]


def test_the_seal_is_the_sha256_of_the_file_with_zeros_in_its_place(data: bytes) -> None:
    result = read_result(data, source="result.json")
    head, tail = data.rsplit(result.content_sha256.encode(), 1)
    unsealed = head + b"0" * 64 + tail
    assert hashlib.sha256(unsealed).hexdigest() == result.content_sha256


@given(st.data())
def test_no_changed_byte_of_result_json_is_accepted(draw: st.DataObject) -> None:
    good = _sealed_once()
    place = draw.draw(st.integers(0, len(good) - 1))
    flip = draw.draw(st.integers(1, 255))
    bad = good[:place] + bytes([good[place] ^ flip]) + good[place + 1 :]
    with pytest.raises(CorruptResultError, match="differ from its own sha256"):
        read_result(bad, source="result.json")


def _sealed_once() -> bytes:
    text = '{\n  "kind": "µ",\n  "content_sha256": "' + "0" * 64 + '"\n}\n'
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text.replace("0" * 64, digest).encode()


def resealed(data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Change the content and seal it again, as a newer or broken program would."""
    values = json.loads(data)
    change(values)
    text = json.dumps(values | {"content_sha256": "0" * 64}, indent=2, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return re.sub(
        r'(?m)^  "content_sha256": "0{64}"', f'  "content_sha256": "{digest}"', text
    ).encode()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda v: v.update(metrcs=[]), "result.json: the key 'metrcs' is not known.*'metrics'"),
        (
            lambda v: v["arrays"][0].update(spacing=[1.0]),
            r"the key 'arrays\.0\.spacing' is not known.*'spacing_mm'",
        ),
        (
            lambda v: v["trust"]["scores"][0].update(vale=1.0),
            r"the key 'trust\.scores\.0\.vale' is not known.*'value'",
        ),
        (lambda v: v.pop("seed") and None, "fine"),
        (lambda v: v.pop("kind") and None, "the key 'kind' is missing"),
        (
            lambda v: v.update(schema_version=4, times={"new": 1}),
            "'schema_version' is not allowed: 4, read here are 1 to 3. A newer medconsist",
        ),
        (lambda v: v.update(schema_version=0), "'schema_version' is not allowed"),
        (lambda v: v.update(case="../up"), "'case' is not allowed.*not a safe name"),
        (lambda v: v["arrays"][0].update(path="../up"), "'arrays.0.path' is not allowed"),
        (lambda v: v["arrays"].append(v["arrays"][0]), "must be unique"),
        (lambda v: v.update(seed="0"), "'seed' is not allowed.*valid integer"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_file(
    data: bytes, change: Callable[[dict[str, Any]], None], match: str
) -> None:
    changed = resealed(data, change)
    if match == "fine":
        assert read_result(changed, source="result.json").seed is None
        return
    with pytest.raises(CorruptResultError, match=match):
        read_result(changed, source="result.json")


def test_the_first_layout_is_still_read(data: bytes) -> None:
    def older(values: dict[str, Any]) -> None:
        values["schema_version"] = 1
        for array in values["arrays"]:
            array.pop("method")

    assert read_result(resealed(data, older), source="result.json").arrays[0].method is None


def test_a_text_that_is_no_json_is_refused_by_its_file() -> None:
    with pytest.raises(RefusedInputError, match=r"^m\.json: Invalid JSON"):
        read_record(Metric, "{", source="m.json")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"value": float("nan")}, "finite number"),
        ({"ci_low": 0.1}, "both ends of the interval"),
        ({"ci_low": 0.2, "ci_high": 0.1}, "is above"),
        ({"n": 0}, "greater than or equal to 1"),
        ({"unit_of_analysis": ""}, "at least 1 character"),
        ({"valu": 1.0}, "the key 'valu' is not known. Did you mean 'value'"),
    ],
)
def test_a_metric_without_its_meaning_is_refused(changes: dict[str, Any], match: str) -> None:
    good = {"name": "ssim", "value": 0.9, "unit": "1", "n": 8, "unit_of_analysis": "slice"}
    assert make_record(Metric, **good).ci_low is None
    with pytest.raises(RefusedInputError, match=match):
        make_record(Metric, **good | changes)


def test_a_record_cannot_be_changed(make_fields: MakeFields) -> None:
    fields = make_fields()
    with pytest.raises(ValidationError, match="frozen"):
        fields.seed = 3


def test_tuples_in_a_config_read_back_as_lists_and_keep_the_key(make_fields: MakeFields) -> None:
    assert make_fields(config={"shape": (1, 2)}).config == {"shape": [1, 2]}
    assert make_fields(config={"a": (1,)}).key == make_fields(config={"a": [1]}).key


def test_keys_and_roles_have_one_form() -> None:
    assert safe_key("0" * 64) == "0" * 64
    assert safe_role("not_determined") == "not_determined"
    for key in ("0" * 63, "A" * 64, "0" * 64 + "\n"):
        with pytest.raises(RefusedInputError, match="no result key"):
            safe_key(key)
    for role in ("", "A", "a/b", "1a"):
        with pytest.raises(RefusedInputError, match="is not allowed"):
            safe_role(role)

"""The key of a result: any change of what decides its bytes gives another one."""

import hashlib
from typing import Any

import pytest

from medconsist.results.digests import result_key


def key_of(**changes: Any) -> str:
    parts: dict[str, Any] = {
        "inputs": {"kspace": "aa", "maps": "bb"},
        "config": {"method": "cs", "lambda_": 0.005},
        "model_sha256": None,
        "result_version": 1,
    }
    return result_key(**parts | changes)


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": {"kspace": "bb", "maps": "aa"}},
        {"config": {"method": "cs", "lambda_": 0.005000001}},
        {"config": {"method": "cgsense", "lambda_": 0.005}},
        {"model_sha256": "cc"},
        {"result_version": 2},
    ],
)
def test_any_change_of_what_decides_the_bytes_changes_the_key(change: dict[str, Any]) -> None:
    assert key_of(**change) != key_of()


def test_a_key_is_the_same_on_every_machine_and_version() -> None:
    text = (
        '{"config":{"lambda_":0.005,"method":"cs"},"inputs":{"kspace":"aa","maps":"bb"},'
        '"model_sha256":null,"result_version":1}'
    )
    assert key_of() == hashlib.sha256(text.encode()).hexdigest()

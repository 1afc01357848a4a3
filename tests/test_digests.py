"""Digests: equal meaning gives an equal text, and a folder the digest that sha256sum says."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medconsist._digests import canonical_json, plain_json, sha256_of_path
from medconsist.errors import CorruptResultError, RefusedInputError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_canonical_json_reads_back_and_ignores_the_order_of_keys(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(_reordered(value)) == text


def _reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reordered(value[key]) for key in reversed(value)}
    return tuple(map(_reordered, value)) if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ({"a": [1.0, float("nan")]}, r"nan at config\.a\[1\]"),
        ({"a": float("inf")}, r"inf at config\.a"),
        ({"a": {3: 1}}, r"the key 3 at config\.a.*write '3'"),
        ({"a": Path("x")}, r"PosixPath at config\.a"),
        ({"a": "\ud800"}, "not valid Unicode"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_its_place(value: Any, match: str) -> None:
    with pytest.raises(RefusedInputError, match=match):
        plain_json(value)


def test_the_digest_of_a_folder_is_what_sha256sum_says(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    for name in ("zarr.json", "c/0/0", "c/10", "c/1", "b"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    listing = r"find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum"
    seen = subprocess.run(
        ["bash", "-c", listing], cwd=folder, capture_output=True, text=True, check=True
    )
    assert sha256_of_path(folder) == seen.stdout.split()[0]


def test_a_link_inside_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "c").symlink_to(tmp_path / "secret")
    with pytest.raises(CorruptResultError, match="is a link"):
        sha256_of_path(tmp_path / "a.zarr")


def test_names_of_any_encoding_are_hashed_as_they_are(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.dat")).write_bytes(b"x")
    line = hashlib.sha256(b"x").hexdigest().encode() + b"  \xff.dat\n"
    assert sha256_of_path(tmp_path) == hashlib.sha256(line).hexdigest()


def test_what_is_not_there_is_said_in_words_for_any_file(tmp_path: Path) -> None:
    with pytest.raises(CorruptResultError, match=r"a\.svs is missing, or no ordinary file\. Copy"):
        sha256_of_path(tmp_path / "a.svs")

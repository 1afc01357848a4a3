import gzip
import json
from pathlib import Path

import pytest

from medconsist.errors import CorruptResultError, MissingInputError
from medconsist.viewing.vendor import (
    LIBRARIES,
    missing_vendor,
    read_lock,
    read_vendor,
    vendor_folder,
    vendor_urls,
)
from tests.viewing.vendored import SMALL, build_small

VIEWER = Path(__file__).resolve().parents[2] / "apps" / "viewer"


def test_the_lock_names_the_libraries_of_the_page_at_their_pinned_versions() -> None:
    pinned = json.loads((VIEWER / "package.json").read_text())["dependencies"]
    assert pinned == {"@niivue/niivue": "0.69.0", "openseadragon": "6.1.1"}
    files = read_lock(VIEWER / "vendor.lock.json").files
    assert {file.file for file in files} == {*LIBRARIES, "THIRD_PARTY.md"}
    assert {file.package: file.version for file in files if file.version} == pinned


def test_npm_checks_every_package_and_the_lock_names_no_address() -> None:
    text = (VIEWER / "package-lock.json").read_text()
    assert "resolved" not in text
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all(entry["integrity"].startswith("sha512-") for name, entry in packages.items() if name)
    assert (VIEWER / ".npmrc").read_text().splitlines() == [
        "omit-lockfile-registry-resolved=true",
        "ignore-scripts=true",
    ]


def test_the_folder_lies_beside_the_page_and_git_ignores_it() -> None:
    assert vendor_folder() == VIEWER / "vendor"
    assert "/apps/viewer/vendor/" in (VIEWER.parents[1] / ".gitignore").read_text().splitlines()


def test_what_is_read_is_what_was_built_plain_and_compressed(tmp_path: Path) -> None:
    read = read_vendor(build_small(tmp_path))
    assert {one.file.file: one.content for one in read} == SMALL
    assert all(gzip.decompress(one.compressed) == one.content for one in read)
    assert missing_vendor(tmp_path / "vendor") is None


def test_an_address_holds_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    folder = build_small(tmp_path)
    file = read_lock(folder / "vendor.json").files[0]
    assert vendor_urls(folder)["one.js"] == f"/vendor/one.js?v={file.sha256}"


def test_without_a_build_the_page_gets_a_sentence_that_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"there is no vendor\.json.*make vendor"):
        read_vendor(tmp_path)
    sentence = missing_vendor(tmp_path)
    assert sentence is not None
    assert "plain pictures" in sentence
    assert str(tmp_path) not in sentence  # it is also answered to whoever asks for a file


@pytest.mark.parametrize("ending", ["one.js", "one.js.gz"])
def test_a_damaged_file_is_found_even_after_it_was_read_once(tmp_path: Path, ending: str) -> None:
    folder = build_small(tmp_path)
    read_vendor(folder)
    damaged = next(folder.glob(f"*.{ending}"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.unlink()
    damaged.write_bytes(content + b" ")
    with pytest.raises(CorruptResultError, match=r"one\.js is damaged"):
        read_vendor(folder)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = build_small(tmp_path)
    next(folder.glob("*.two.js")).unlink()
    with pytest.raises(CorruptResultError, match=r"two\.js .*is missing"):
        read_vendor(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema_version": 2, "files": []}', '{"schema_version": 1}']
)
def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "vendor.json").write_text(text)
    with pytest.raises(CorruptResultError, match="is no list of vendored files"):
        read_lock(tmp_path / "vendor.json")


@pytest.mark.parametrize("name", ["../one.js", "a/b.js", ".js", "one", "one.js\n"])
def test_no_name_in_a_list_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = build_small(tmp_path)
    lock = json.loads((folder / "vendor.json").read_text())
    lock["files"][0]["file"] = name
    (folder / "vendor.json").write_text(json.dumps(lock))
    with pytest.raises(CorruptResultError, match="is no list of vendored files"):
        read_vendor(folder)

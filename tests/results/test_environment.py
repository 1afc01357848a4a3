"""What ran where, read without starting a program."""

import subprocess
import sys
from pathlib import Path

import pytest

from medconsist import __version__
from medconsist.results.environment import environment, git_commit, library_versions

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_git(root: Path, head: str) -> Path:
    git = root / ".git"
    git.mkdir(parents=True)
    (git / "HEAD").write_text(head + "\n")
    return git


def test_versions_name_this_package_and_its_libraries() -> None:
    versions = library_versions()
    assert versions["medconsist"] == __version__
    assert {"torch", "numpy", "zarr", "pydantic"} <= set(versions)


def test_the_fingerprint_repeats_and_does_not_hold_the_commit() -> None:
    first, second = environment(), environment()
    assert first == second
    assert len(first.fingerprint) == 64


def test_the_commit_is_read_from_a_loose_or_packed_or_detached_head(tmp_path: Path) -> None:
    detached = make_git(tmp_path / "detached", COMMIT)
    assert git_commit(detached.parent) == COMMIT

    loose = make_git(tmp_path / "loose", "ref: refs/heads/main")
    (loose / "refs/heads").mkdir(parents=True)
    (loose / "refs/heads/main").write_text(COMMIT + "\n")
    assert git_commit(loose.parent) == COMMIT

    packed = make_git(tmp_path / "packed", "ref: refs/heads/main")
    lines = ["# pack-refs", f"{'f' * 40} refs/x", f"{COMMIT} refs/heads/main", ""]
    (packed / "packed-refs").write_text("\n".join(lines))
    assert git_commit(packed.parent) == COMMIT


def test_the_commit_of_a_linked_worktree_is_found(tmp_path: Path) -> None:
    git = make_git(tmp_path / "main", "ref: refs/heads/main")
    (git / "packed-refs").write_text(f"{COMMIT} refs/heads/side\n")
    linked = git / "worktrees" / "side"
    linked.mkdir(parents=True)
    (linked / "HEAD").write_text("ref: refs/heads/side\n")
    (linked / "commondir").write_text("../..\n")
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / ".git").write_text(f"gitdir: {linked}\n")
    assert git_commit(tmp_path / "side") == COMMIT


@pytest.mark.parametrize("head", ["ref: refs/heads/gone", "nonsense", ""])
def test_no_commit_is_invented(tmp_path: Path, head: str) -> None:
    assert git_commit(tmp_path) is None
    assert git_commit(make_git(tmp_path, head).parent) is None


def test_the_rooms_of_results_load_no_torch_and_no_zarr() -> None:
    code = (
        "import sys, medconsist.results.store, medconsist.results.bench\n"
        "print([m for m in ('torch', 'zarr', 'nibabel') if m in sys.modules])"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"

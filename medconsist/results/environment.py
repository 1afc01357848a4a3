"""What ran where: versions, platform and the commit, read without starting any program."""

import os
import platform
import re
from functools import cache
from importlib import metadata
from pathlib import Path

import medconsist
from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import Record

__all__ = ["Environment", "environment", "git_commit", "has_bfloat16", "library_versions"]

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class Environment(Record):
    """The software that made a result.

    Parameters
    ----------
    python, platform
        E.g. ``"3.11.9"``, ``"Linux-6.1-x86_64"``.
    versions
        Distribution to version: medconsist and what it needs, as far as installed.
    git_commit
        Commit of the checkout, None when installed from a wheel. Only recorded: it says nothing
        about uncommitted changes and is no part of the key.
    fingerprint
        sha256 of python, platform and versions.

    Examples
    --------
    >>> len(environment().fingerprint)
    64
    """

    python: str
    platform: str
    versions: dict[str, str]
    git_commit: str | None
    fingerprint: str


def environment() -> Environment:
    """Return the environment of this process."""
    python, system, versions = platform.python_version(), platform.platform(), library_versions()
    parts = {"platform": system, "python": python, "versions": versions}
    return Environment(
        python=python,
        platform=system,
        versions=versions,
        git_commit=git_commit(),
        fingerprint=sha256_of_bytes(canonical_json(parts)),
    )


def library_versions() -> dict[str, str]:
    """Return the installed versions of medconsist and of every library that it names."""
    return dict(_versions())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    needed = metadata.requires("medconsist") or []
    names = {match[0].lower() for text in needed if (match := re.match(r"[A-Za-z0-9._-]+", text))}
    found = {"medconsist": medconsist.__version__}
    for name in sorted(names):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # an extra that is not installed
            continue
    return tuple(found.items())


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 by itself; elsewhere it is slower than float32."""
    flags = _text(Path("/proc/cpuinfo"))
    return "avx512_bf16" in flags or "amx_bf16" in flags


def git_commit(root: Path | None = None) -> str | None:
    """Return the commit that a checkout stands on, None where there is no checkout.

    Parameters
    ----------
    root
        Folder that holds ``.git``; by default the one that holds the package. Folders above it
        are not searched: an environment may lie inside an unrelated repository.
    """
    git = (root or Path(medconsist.__file__).parents[1]) / ".git"
    if git.is_file():  # a linked worktree holds "gitdir: <folder>"
        git = git.parent / git.read_text().removeprefix("gitdir:").strip()
    head = _text(git / "HEAD")
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None
    common = git / (_text(git / "commondir") or ".")
    return _resolve(common, head.removeprefix("ref:").strip())


def _resolve(git: Path, reference: str) -> str | None:
    loose = _text(git / reference)
    if _COMMIT.fullmatch(loose):
        return loose
    for line in _text(git / "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference and _COMMIT.fullmatch(commit):
            return commit
    return None


def _text(path: Path) -> str:
    return path.read_text().strip() if path.is_file() and os.access(path, os.R_OK) else ""

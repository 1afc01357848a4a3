"""Fixtures of the command-line tests: the program, run as its users run it."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from medconsist.cli import main
from tests.cli.small_scan import write_small_scan

Program = Callable[..., "Answer"]


@dataclass(frozen=True)
class Answer:
    """What a run of the program left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line of stderr that is no progress; anything else fails the test."""
        lines = [line for line in self.err.splitlines() if not line.endswith(" ...")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("medconsist: ")
        return lines[0]


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    """Run ``medconsist`` in this process."""

    def run(*words: object) -> Answer:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # tyro ends the process where the usage is wrong
            code = end.code if isinstance(end.code, int) else 0
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def process() -> Callable[..., subprocess.Popen[str]]:
    """Start ``python -m medconsist`` as a process of its own."""

    def start(*words: object, wrapper: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        command = [*wrapper, sys.executable, "-m", "medconsist", *map(str, words)]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    return start


@pytest.fixture(scope="session")
def finished() -> Callable[[subprocess.Popen[str]], Answer]:
    """Wait for a process and return its answer."""

    def wait(process: subprocess.Popen[str]) -> Answer:
        out, err = process.communicate(timeout=120)
        return Answer(process.returncode, out, err)

    return wait


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """The small scan as ``head.npy``."""
    return write_small_scan(tmp_path / "head.npy")

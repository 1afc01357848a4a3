"""Shared fixtures; with CI set, any skip other than `slow` and `gpu` is a failure."""

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator; tests never touch the global one."""
    return torch.Generator().manual_seed(20221111)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real data; tests that need it carry the mark `data`."""
    folder = Path(os.environ.get("MEDCONSIST_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set MEDCONSIST_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def bart() -> str:
    """Path of the BART program; tests that need it carry the mark `bart`."""
    program = shutil.which("bart")
    if program is None:
        pytest.skip("the program bart is not installed (Debian package: bart)")
    return program


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; tests that need it carry the mark `browser`."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("the program chromium is not installed (Debian package: chromium)")
    return program


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure under CI: a hidden missing part must not pass."""
    report = yield
    allowed = item.get_closest_marker("slow") or item.get_closest_marker("gpu")
    if os.environ.get("CI") and report.skipped and not allowed and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr}"
    return report

"""The package imports light, and its floors and safety sentence hold."""

import subprocess
import sys
from pathlib import Path

import pytest

import medconsist

HEAVY = ("torch", "numpy", "h5py", "zarr", "pydantic", "nibabel", "scipy", "skimage", "streamlit")


def imported_after(statement: str) -> set[str]:
    script = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return {line.split(".")[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize("statement", ["import medconsist", "import medconsist.cli"])
def test_import_brings_nothing_heavy(statement: str) -> None:
    assert not imported_after(statement) & set(HEAVY)


def test_help_brings_nothing_heavy() -> None:
    loaded = imported_after(
        "import contextlib, io\n"
        "from medconsist.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['--help'])"
    )
    assert "tyro" in loaded
    assert not loaded & set(HEAVY)


def test_checking_a_manifest_needs_no_array_library(tmp_path: Path) -> None:
    (tmp_path / "a.svs").touch()
    (tmp_path / "m.csv").write_text("path\na.svs\n")
    loaded = imported_after(
        "import contextlib, io\n"
        "from medconsist.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    assert main(['manifest', 'check', {str(tmp_path / 'm.csv')!r}]) == 0"
    )
    assert not loaded & {"torch", "numpy", "pandas", "pyarrow"}


def test_help_says_research_use_only() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "medconsist", "--help"], check=True, capture_output=True, text=True
    )
    assert medconsist.RESEARCH_USE_ONLY.rstrip(".") in done.stdout

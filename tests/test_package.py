"""The package imports light, and its floors and safety sentence hold."""

import subprocess
import sys

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


def test_help_says_research_use_only() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "medconsist", "--help"], check=True, capture_output=True, text=True
    )
    assert medconsist.RESEARCH_USE_ONLY.rstrip(".") in done.stdout

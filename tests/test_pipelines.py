"""Every recipe is a typed frozen object that runs, small, and can be overridden from outside."""

import dataclasses
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "pipelines").glob("*.py"))
SMALL = {"mri_classical": ("--series.scans", "2", "--series.slices", "1", "--series.size", "64")}


def test_every_recipe_has_small_options_for_its_test() -> None:
    assert {path.stem for path in RECIPES} == set(SMALL)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_a_frozen_object(path: Path) -> None:
    recipe = runpy.run_path(str(path))["recipe"]
    first = dataclasses.fields(recipe)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError, match=first):
        setattr(recipe, first, None)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_runs_small_from_another_folder(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, path, *SMALL[path.stem], "--out", "here"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "2 x scan" in done.stdout
    assert (tmp_path / "here" / "results").is_dir()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_mistyped_option_names_the_nearest_one(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, path, "--series.scan", "2"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "--series.scans" in done.stderr

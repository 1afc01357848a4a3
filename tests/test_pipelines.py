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
TWO_SCANS = ("--series.scans", "2", "--series.slices", "1", "--series.size", "64")
SMALL = {
    "mri_classical": TWO_SCANS,
    "mri_cirim_supervised": (
        *("--model", "irim", "--pool.scans", "1", "--pool.slices", "1", "--pool.size", "64"),
        *("--validation.scans", "1", "--validation.size", "64"),
        *("--train.steps", "2", "--train.warmup", "1"),
    ),
    "mri_cirim_zeroshot": (*TWO_SCANS, "--zero-shot.steps", "2"),
}
SAYS = {
    "mri_classical": ("2 x scan", "results"),
    "mri_cirim_supervised": ("weights.safetensors: 2 steps", "run"),
    "mri_cirim_zeroshot": ("2 x scan", "results"),
}
MISTYPED = {"mri_cirim_supervised": ("--pool.scan", "--pool.scans")}


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
    words, folder = SAYS[path.stem]
    assert words in done.stdout
    assert (tmp_path / "here" / folder).is_dir()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_mistyped_option_names_the_nearest_one(path: Path) -> None:
    wrong, nearest = MISTYPED.get(path.stem, ("--series.scan", "--series.scans"))
    done = subprocess.run([sys.executable, path, wrong, "2"], capture_output=True, text=True)
    assert done.returncode == 2
    assert nearest in done.stderr


def test_weights_of_other_settings_name_no_card() -> None:
    """The card describes the weights that ship."""
    made = runpy.run_path(str(ROOT / "pipelines" / "mri_cirim_supervised.py"))
    usual = dataclasses.replace(made["recipe"], model="rim", out=Path("elsewhere"))
    assert made["about"](usual)["card"] == "rim.md"
    other = dataclasses.replace(usual, task=dataclasses.replace(usual.task, small_steps=0))
    assert made["about"](other) == {
        "recipe": "pipelines/mri_cirim_supervised.py --model rim, with other settings"
    }

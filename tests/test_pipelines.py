"""Every recipe is a typed frozen object that runs, small, and can be overridden from outside."""

import dataclasses
import os
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medconsist.errors import RefusedInputError
from medconsist.wsi.bags.bag_file import read_bag
from medconsist.wsi.simulate import SlideConfig
from medconsist.wsi.slide_series import write_slides

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "pipelines").glob("*.py"))
TWO_SCANS = ("--series.scans", "2", "--series.slices", "1", "--series.size", "64")
SMALL_SIMCLR = (
    *("--task.views.pixels", "32", "--task.batch", "4", "--task.validation-tiles", "4"),
    *("--train.steps", "2", "--train.warmup", "1"),
)
SMALL_PATIENTS = (
    *("--patients.learnt", "8", "--patients.fresh", "6", "--patients.labelled", "1"),
    *("--patients.trials", "2", "--task.epochs", "1", "--task.batch", "16"),
    *("--task.options", '{"hidden": 4, "dim": 4, "depth": 2}'),
)
SMALL_BAGS = ("--draws", "1", "--bags.bags", "24", "--bags.instances", "4", "9")
SMALL = {
    "mri_classical": TWO_SCANS,
    "mri_cirim_supervised": (
        *("--model", "irim", "--pool.scans", "1", "--pool.slices", "1", "--pool.size", "64"),
        *("--validation.scans", "1", "--validation.size", "64"),
        *("--train.steps", "2", "--train.warmup", "1"),
    ),
    "mri_cirim_zeroshot": (*TWO_SCANS, "--zero-shot.steps", "2"),
    "wsi_simclr": (
        *("--slides.train", "2", "--slides.validation", "1", "--slides.test", "2"),
        *("--slides.labelled", "2", "--slides.size", "512", *SMALL_SIMCLR),
    ),
    "wsi_mil": (*SMALL_BAGS, "--task.epochs", "1", "--task.width", "8"),
    "wsi_mhim": (*SMALL_BAGS, "--task.epochs", "1", "--task.width", "8"),
    "wsi_ins": (*SMALL_BAGS, "--train.steps", "2", "--width", "8"),
    "ts_comet": ("--draws", "2", *SMALL_PATIENTS),
}
SAYS = {
    "mri_classical": ("2 x scan", "results"),
    "mri_cirim_supervised": ("weights.safetensors: 2 steps", "run"),
    "mri_cirim_zeroshot": ("2 x scan", "results"),
    "wsi_simclr": ("encoder.safetensors: 2 steps", "run"),
    "wsi_mil": ("abmil, trained on simulated bags", "runs/abmil-200"),
    "wsi_mhim": ("trained on simulated bags", "runs/300/teacher"),
    "wsi_ins": ("INS, trained on simulated bags", "runs/400"),
    "ts_comet": ("comet less encoder before training (paired)", "runs/comet-500"),
}
MISTYPED = {
    "mri_cirim_supervised": ("--pool.scan", "--pool.scans"),
    "wsi_simclr": ("--task.batc", "--task.batch"),
    "wsi_mil": ("--task.metho", "--task.method"),
    "wsi_mhim": ("--task.preset", "--task.presets"),
    "wsi_ins": ("--ins.least-positiv", "--ins.least-positive"),
    "ts_comet": ("--task.metho", "--task.method"),
}


def run_in(folder: Path, *words: object) -> str:
    """Run Python in a folder, with one thread; return what it says."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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
    words, folder = SAYS[path.stem]
    assert words in run_in(tmp_path, path, *SMALL[path.stem], "--out", "here")
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
    usual = replace(made["recipe"], model="rim", out=Path("elsewhere"))
    assert made["about"](usual)["card"] == "rim.md"
    other = replace(usual, task=replace(usual.task, small_steps=0))
    assert made["about"](other) == {
        "recipe": "pipelines/mri_cirim_supervised.py --model rim, with other settings"
    }


def test_simclr_trains_on_slides_of_the_user_for_the_command_line(tmp_path: Path) -> None:
    first, _ = paths = write_slides(SlideConfig(width=512, height=512, mpp=0.5), tmp_path, slides=2)
    recipe = ROOT / "pipelines" / "wsi_simclr.py"
    given = ("--slides.paths", *paths, "--slides.validation", "0", "--slides.mpp", "0.5")
    said = run_in(tmp_path, recipe, *given, *SMALL_SIMCLR, "--out", "here")
    assert "encoder.safetensors: 2 steps" in said
    assert "no probe" in said
    weights = ("--encoder", "resnet18", "--weights", tmp_path / "here" / "encoder.safetensors")
    run_in(tmp_path, "-m", "medconsist", "wsi", "embed", first, "--out", "o", *weights)
    bag = next((tmp_path / "o").rglob("bag.safetensors"))
    assert read_bag(bag).header.encoder.input_px == 32
    assert read_bag(bag).features.shape[1] == 512


def test_a_finished_pool_is_cut_again_only_for_other_tiles(tmp_path: Path) -> None:
    made = runpy.run_path(str(ROOT / "pipelines" / "wsi_simclr.py"))
    slides = replace(made["recipe"].slides, train=2, validation=0, test=1, size=512)
    recipe = replace(made["recipe"], slides=slides, out=tmp_path)
    pool, kinds = made["pool_of"](recipe)
    assert {name: len(kinds[name]) for name in pool.slides} == {
        name: len(pool.of_slides([name])) for name in pool.slides
    }
    assert {-1, 0, 1} >= set(kinds["test-000"]) >= {0, 1}
    for path in (tmp_path / "slides").iterdir():
        path.unlink()  # nothing reads them again
    again, known = made["pool_of"](recipe)
    assert (again.sha256, known) == (pool.sha256, kinds)
    other, _ = made["pool_of"](replace(recipe, slides=replace(slides, test=0)))
    assert other.slides == ("train-000", "train-001")


def test_simclr_refuses_too_few_slides_to_train_on() -> None:
    made = runpy.run_path(str(ROOT / "pipelines" / "wsi_simclr.py"))
    slides = replace(made["recipe"].slides, paths=(Path("a.svs"), Path("b.svs")), validation=1)
    with pytest.raises(RefusedInputError, match="at least 2 slides to train on"):
        made["split"](slides)


def test_ins_learns_end_to_end_on_tiles(tmp_path: Path) -> None:
    said = run_in(
        tmp_path,
        ROOT / "pipelines" / "wsi_ins.py",
        *("--on", "tiles", "--slides.train", "2", "--slides.test", "2", "--slides.size", "512"),
        *("--tiles.ins.batch", "4", "--tiles.bag-tiles", "4", "--tiles.ins.warmup", "1"),
        *("--train-tiles.steps", "2", "--train-tiles.warmup", "1", "--out", "here"),
    )
    assert re.search(r"trained on \d+ tiles of 2 simulated slides", said)
    assert "ins - untrained network (paired)" in said


def test_a_plain_method_trains_on_features_of_the_user_and_leaves_the_test_sealed(
    tmp_path: Path,
) -> None:
    generator = np.random.default_rng(0)
    kinds = ["normal", "tumour"] * 8
    np.savez(
        tmp_path / "features.npz",
        features=generator.normal(size=(16, 4)).astype(np.float32),
        names=np.array([f"c{number:02d}" for number in range(16)]),
    )
    rows = [f"c{number:02d}.svs,c{number:02d},{kind}" for number, kind in enumerate(kinds)]
    for row in rows:
        (tmp_path / row.split(",")[0]).touch()
    (tmp_path / "cases.csv").write_text("\n".join(["path,patient,label", *rows, ""]))
    run_in(tmp_path, "-m", "medconsist", "manifest", "split", "cases.csv", "--out", "split.json")
    said = run_in(
        tmp_path,
        ROOT / "pipelines" / "wsi_mil.py",
        *("--yours.manifest", "cases.csv", "--yours.features", "features.npz"),
        *("--yours.unit", "case", "--task.method", "probe", "--out", "here"),
    )
    assert "cases of yours" in said
    assert "these figures flatter" in said
    assert not (tmp_path / "split.openings.jsonl").exists()

"""Every model through the training loop: bf16, mapped features, resumed, on two processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medconsist.training.metrics_log import read_rows
from medconsist.wsi.bags.simulate import simulated_bag
from medconsist.wsi.mil.models.choice import MODELS
from medconsist.wsi.mil.sources import StudyBags, study_bags
from tests.wsi.mil.models.fitted import DIM, Interrupted, run
from tests.wsi.mil.small_study import store_bag

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> StudyBags:
    """Nine cases in files, of which some have fewer tiles than a step takes."""
    root = tmp_path_factory.mktemp("study")
    for number in range(9):
        bag = simulated_bag(tiles=2 + 4 * number, dim=DIM, slide=f"s{number}", seed=number)
        store_bag(root, f"c{number}", bag, patient=f"p{number}")
    return study_bags(root, "study")


@pytest.mark.parametrize("name", MODELS)
def test_bf16_over_mapped_features_learns_nearly_what_float32_does(
    name: str, mapped: StudyBags, tmp_path: Path
) -> None:
    rows = []
    for precision in ("32", "bf16"):
        run(name, tmp_path / precision, source=mapped, precision=precision)
        rows.append(read_rows(tmp_path / precision / "metrics.jsonl"))
    assert rows[0][0].keys() == rows[1][0].keys()
    # 8 bits a product, a handful of layers deep, before any step has moved the weights.
    assert rows[1][0]["loss"] == pytest.approx(rows[0][0]["loss"], rel=0.05)
    assert rows[1][0]["loss"] != rows[0][0]["loss"]


def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(tmp_path: Path) -> None:
    # its masks are torch's own numbers, its rows and bags those of the place
    run("acmil", tmp_path / "straight")
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run("acmil", tmp_path / "killed", kind=Interrupted)
    torch.manual_seed(99)
    run("acmil", tmp_path / "killed", resume=True)
    for name in ("weights.safetensors", "metrics.jsonl"):
        straight = (tmp_path / "straight" / name).read_bytes()
        assert straight == (tmp_path / "killed" / name).read_bytes(), name


def test_two_processes_train_models_of_several_losses_to_the_same_weights(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("parallel_worker.py")), str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rank0").read_text() == (tmp_path / "rank1").read_text()

"""Two processes with gloo on loopback learn what one would learn from both of their batches."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medconsist.training.draws import generator_for, seed_for
from medconsist.training.metrics_log import read_rows
from medconsist.training.settings import TrainConfig
from tests.training.objectives import Line

ROOT = Path(__file__).resolve().parents[2]
CONFIG = TrainConfig(steps=3, devices=2, evaluate_every=2, checkpoint_every=2, ema=0.5)


def mean_of_the_ranks() -> tuple[float, float]:
    """Return loss and norm of the mean gradient of the first step, from both ranks' batches."""
    network = Line().build(generator_for(CONFIG.seed))
    losses = []
    for rank in (0, 1):
        pairs = Line().draw(generator_for(CONFIG.seed, 0, 0, rank, 0), 0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_for(CONFIG.seed, 0, 0, rank, 1))
            losses.append(Line().losses(network, pairs)["loss"])
    mean = torch.stack(losses).mean()
    gradients = torch.autograd.grad(mean, list(network.parameters()))
    assert not torch.equal(*losses)
    return mean.item(), float(torch.nn.utils.get_total_norm(gradients))


def test_two_processes_end_with_the_same_weights_and_one_of_them_writes(tmp_path: Path) -> None:
    worker = Path(__file__).with_name("parallel_worker.py")
    done = subprocess.run(
        [sys.executable, str(worker), str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert (tmp_path / "rank0").read_text() == (tmp_path / "rank1").read_text()
    for rank in (0, 1):  # one of gloo that outlives Python can abort what has succeeded
        assert "gloo" not in (tmp_path / f"threads{rank}").read_text()
    rows = read_rows(tmp_path / "run/metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert (tmp_path / "run/run.json").is_file()
    losses, norm = mean_of_the_ranks()
    # one sum in another order
    assert rows[0]["loss"] == pytest.approx(losses, rel=1e-5)
    assert rows[0]["grad_norm"] == pytest.approx(norm, rel=1e-4)
    assert len(list((tmp_path / "run/tensorboard").iterdir())) == 1

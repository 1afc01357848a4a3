"""A run that was killed and resumed ends with the very bits of one that was not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medconsist.errors import CorruptResultError, RefusedInputError
from medconsist.training.fit import fit
from medconsist.training.run_folder import RunFolder
from medconsist.training.settings import EarlyStop, TrainConfig
from tests.training.objectives import Interrupted, Line
from tests.training.test_fit import FULL, SHORT, run

ROOT = Path(__file__).resolve().parents[2]
PLAIN = TrainConfig(steps=6, lr=0.05, checkpoint_every=3)


def saved(folder: Path) -> dict[str, Any]:
    """Return the last checkpoint, flat, without the time that the run took."""
    content = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    return {k: v for k, v in leaves(content) if not k.endswith(".seconds")}


def leaves(value: Any, place: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [leaf for key, item in value.items() for leaf in leaves(item, f"{place}.{key}")]
    if isinstance(value, list | tuple):
        return [leaf for i, item in enumerate(value) for leaf in leaves(item, f"{place}.{i}")]
    return [(place, value)]


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("weights.safetensors", "metrics.jsonl", "metrics.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    first, second = saved(one), saved(other)
    assert first.keys() == second.keys()
    for key, value in first.items():
        same = torch.equal(value, second[key]) if isinstance(value, Tensor) else None
        assert value == second[key] if same is None else same, key


@pytest.mark.parametrize("config", [PLAIN, FULL], ids=["plain", "average, micro-batches, stop"])
def test_three_steps_then_three_are_six_steps(config: TrainConfig, tmp_path: Path) -> None:
    run(Line(), config, tmp_path / "straight")
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Interrupted(4), config, tmp_path / "twice")
    torch.manual_seed(99)  # the state of the process that resumes must not matter
    run(Line(), config, tmp_path / "twice", resume=True)

    assert_same_run(tmp_path / "straight", tmp_path / "twice")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums of one thread: those of several depend on how a process came by its number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_real_kill_in_the_middle_of_a_step_leaves_no_trace(tmp_path: Path) -> None:
    worker = Path(__file__).with_name("killed_worker.py")
    killed = subprocess.run(
        [sys.executable, str(worker), str(tmp_path / "killed")],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert killed.stdout == b""
    assert not (tmp_path / "killed/run.json").exists()

    run(Line(), FULL, tmp_path / "killed", resume=True)
    run(Line(), FULL, tmp_path / "straight")

    assert_same_run(tmp_path / "straight", tmp_path / "killed")


@pytest.mark.parametrize("micro", [0, 1])
def test_a_polite_kill_keeps_the_step_that_was_under_way(micro: int, tmp_path: Path) -> None:
    config = replace(PLAIN, accumulate=2)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"):
        run(Interrupted(1, micro, by=signal.SIGTERM), config, tmp_path / "killed")
    assert signal.getsignal(signal.SIGTERM) is handler
    kept = dict(leaves(torch.load(tmp_path / "killed/checkpoints/last.ckpt", weights_only=True)))
    assert kept[".global_step"] == 2

    run(Line(), config, tmp_path / "killed", resume=True)
    run(Line(), config, tmp_path / "straight")
    assert_same_run(tmp_path / "straight", tmp_path / "killed")


def test_rows_after_the_checkpoint_are_not_told_twice(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Interrupted(5), PLAIN, tmp_path)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 9, "lo')
    run(Line(), PLAIN, tmp_path, resume=True)

    steps = [line.split(",")[0] for line in (tmp_path / "metrics.csv").read_text().splitlines()]
    assert steps == ["step", "1", "2", "3", "4", "5", "6"]


def test_a_kill_between_the_last_checkpoint_and_the_weights_trains_nothing_more(
    tmp_path: Path,
) -> None:
    stop = EarlyStop(metric="val_error", patience=1, least_change=1e9)
    config = replace(PLAIN, evaluate_every=1, stop=stop)
    first = run(Line(), config, tmp_path)
    weights = (tmp_path / "weights.safetensors").read_bytes()
    for name in ("run.json", "weights.safetensors"):
        (tmp_path / name).unlink()

    again = run(Interrupted(first.step), config, tmp_path, resume=True)

    assert (first.step, again.step) == (2, 2)
    assert (tmp_path / "weights.safetensors").read_bytes() == weights
    assert again.metrics == first.metrics


def test_a_finished_run_is_returned_as_it_is(tmp_path: Path) -> None:
    first = run(Line(), SHORT, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*") if p.is_file()}

    for resume in (False, True):
        again = run(Interrupted(0), SHORT, tmp_path, resume=resume)
        assert (again.step, again.metrics) == (first.step, first.metrics)
        state = first.network.state_dict()
        assert all(torch.equal(state[n], t) for n, t in again.network.state_dict().items())
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_an_unfinished_run_is_not_started_again_by_mistake(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Interrupted(1), SHORT, tmp_path)
    with pytest.raises(RefusedInputError, match=r"unfinished run\. Go on with it"):
        run(Line(), SHORT, tmp_path)


def test_a_run_killed_before_its_first_checkpoint_starts_again(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Interrupted(1), SHORT, tmp_path / "twice")
    run(Line(), SHORT, tmp_path / "twice", resume=True)
    run(Line(), SHORT, tmp_path / "straight")
    assert_same_run(tmp_path / "straight", tmp_path / "twice")


def test_a_folder_of_another_recipe_is_refused_and_the_key_is_named(tmp_path: Path) -> None:
    run(Line(), SHORT, tmp_path)
    with pytest.raises(RefusedInputError, match=r"training\.lr: 0\.001 there, 0\.01 now"):
        run(Line(), replace(SHORT, lr=0.01), tmp_path, resume=True)
    with pytest.raises(RefusedInputError, match=r"recipe\.data: 'line' there, 'curve' now"):
        fit(Line(), SHORT, tmp_path, recipe={"data": "curve"}, resume=True, progress=False)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RefusedInputError, match=r"no run folder and holds thesis\.tex"):
        run(Line(), SHORT, tmp_path)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    class Twice(Line):
        def evaluate(self, *_: Any) -> dict[str, float]:
            with pytest.raises(RefusedInputError, match="Another process trains in"):
                run(Line(), SHORT, tmp_path, resume=True)
            return {}

    run(Twice(), TrainConfig(steps=1, evaluate_every=1), tmp_path)


def test_a_recipe_that_is_not_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInputError, match=r"object at recipe\.recipe\.data"):
        fit(Line(), SHORT, tmp_path, recipe={"data": object()}, progress=False)


def test_a_damaged_checkpoint_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Interrupted(4), PLAIN, tmp_path)
    (tmp_path / "checkpoints/last.ckpt").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(CorruptResultError, match="Remove it to start this run again"):
        run(Line(), PLAIN, tmp_path, resume=True)


def test_a_run_whose_network_has_changed_is_refused_and_the_tensor_is_named(
    tmp_path: Path,
) -> None:
    class Wider(Line):
        def build(self, generator: torch.Generator) -> nn.Module:
            return nn.Sequential(*super().build(generator).children(), nn.Linear(1, 1))

    said = r"belongs to another network: 4\.weight has the shape none there, \(1, 1\) here"
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Interrupted(4), PLAIN, tmp_path)
    with pytest.raises(RefusedInputError, match=said):
        run(Wider(), PLAIN, tmp_path, resume=True)
    run(Line(), PLAIN, tmp_path, resume=True)
    with pytest.raises(RefusedInputError, match=said):
        run(Wider(), PLAIN, tmp_path)


@pytest.mark.parametrize("line", [bytes(8), b"[1]", b'{"loss":1.0}'], ids=["zeros", "list", "step"])
def test_a_damaged_row_is_refused_in_one_sentence(line: bytes, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Interrupted(4), PLAIN, tmp_path)
    rows = tmp_path / "metrics.jsonl"
    rows.write_bytes(line + b"\n" + rows.read_bytes())
    with pytest.raises(CorruptResultError, match="holds a line that is no row"):
        run(Line(), PLAIN, tmp_path, resume=True)


def test_a_stream_that_would_block_is_not_mistaken_for_another_process(tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError, match="stderr is full"), RunFolder(tmp_path).claimed():
        raise BlockingIOError(11, "stderr is full")

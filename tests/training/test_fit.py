"""One run: it learns, leaves a whole folder, stops at what is not finite, and says so."""

import json
import logging
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medconsist.errors import (
    ConvergenceError,
    CorruptResultError,
    MissingExtraError,
    RefusedInputError,
    StorageError,
)
from medconsist.training.fit import Fitted, fit
from medconsist.training.metrics_log import read_rows
from medconsist.training.settings import EarlyStop, TrainConfig
from medconsist.training.weights import read_weights
from tests.training.objectives import Interrupted, Line

FULL = TrainConfig(
    steps=6,
    lr=0.05,
    warmup=2,
    accumulate=2,
    ema=0.7,
    evaluate_every=2,
    checkpoint_every=1,
    stop=EarlyStop(metric="val_error", patience=5),
)
SHORT = TrainConfig(steps=3, checkpoint_every=2)


def run(objective: Line, config: TrainConfig, folder: Path, **more: Any) -> Fitted:
    return fit(objective, config, folder, recipe={"data": "line"}, progress=False, **more)


def test_the_loss_falls_to_a_hundredth_on_a_line(tmp_path: Path) -> None:
    class Plain(Line):
        def build(self, *_: Any) -> nn.Module:
            return nn.Linear(3, 1)

    fitted = run(Plain(), TrainConfig(steps=60, lr=0.1, warmup=5), tmp_path)

    first = read_rows(tmp_path / "metrics.jsonl")[0]["loss"]
    assert fitted.step == 60
    assert fitted.metrics["loss"] < first / 100
    assert torch.allclose(fitted.network.weight, torch.ones(1, 3), atol=0.1)  # type: ignore[arg-type]  # a Linear


def test_what_prepare_returns_is_what_losses_see_and_its_optimiser_is_the_runs(
    tmp_path: Path,
) -> None:
    moments = []

    class Prepared(Line):
        def prepare(self, network: nn.Module, batch: Any, optimizer: torch.optim.Optimizer) -> Any:
            assert [*optimizer.param_groups[0]["params"]] == [*network.parameters()]
            moments.append(len(optimizer.state))
            return replace(batch, targets=batch.targets + 1000)

    fitted = run(Prepared(), SHORT, tmp_path)
    assert fitted.metrics["loss"] > 900_000
    assert moments == [0, 6, 6]  # of no parameter yet, then of each


def test_a_finished_run_leaves_a_whole_folder_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fitted = run(Line(), FULL, folder)

    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    events = {name for name in names if name.startswith("tensorboard/events.out.tfevents.")}
    assert len(events) == 1
    assert names - events == {
        ".lock",
        "checkpoints/last.ckpt",
        "environment.json",
        "metrics.csv",
        "metrics.jsonl",
        "recipe.json",
        "run.json",
        "weights.safetensors",
    }
    recipe = json.loads((folder / "recipe.json").read_text())
    assert recipe["recipe"] == {"data": "line"}
    assert recipe["training"]["stop"]["metric"] == "val_error"
    rows = read_rows(folder / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if "val_error" in row] == [2, 4, 6]
    assert all(row["twice"] == pytest.approx(2 * row["loss"]) for row in rows)
    assert (folder / "metrics.csv").read_text().splitlines()[0].startswith("step,loss,twice,")
    summary = json.loads((folder / "run.json").read_text())
    stored = read_weights(folder / "weights.safetensors")
    assert summary["weights_sha256"] == stored.sha256
    assert summary["steps"] == fitted.step == 6
    assert stored.architecture == {"width": 8}
    assert stored.about == {"data": "simulated", "seed": "0", "steps": "6"}


def test_two_runs_of_one_recipe_write_the_same_weights_file(tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(Line(), SHORT, tmp_path / name)

    written = [(tmp_path / n / "weights.safetensors").read_bytes() for n in ("first", "second")]
    assert written[0] == written[1]


def test_torchs_own_generator_is_left_as_it_was_found(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    run(Line(), SHORT, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_network_comes_back_in_eval_mode_with_the_saved_weights(tmp_path: Path) -> None:
    fitted = run(Line(), FULL, tmp_path)

    state = read_weights(tmp_path / "weights.safetensors").state
    assert not any(part.training for part in fitted.network.modules())
    assert all(torch.equal(state[n], t) for n, t in fitted.network.state_dict().items())


def test_the_saved_average_is_not_the_last_student(tmp_path: Path) -> None:
    plain = run(Line(), TrainConfig(steps=5, lr=0.05), tmp_path / "plain")
    averaged = run(Line(), TrainConfig(steps=5, lr=0.05, ema=0.7), tmp_path / "averaged")

    plain_rows, rows = (read_rows(tmp_path / n / "metrics.jsonl") for n in ("plain", "averaged"))
    assert [r["loss"] for r in rows] == [r["loss"] for r in plain_rows]
    weights = [f.network.state_dict()["0.weight"] for f in (plain, averaged)]
    assert not torch.equal(weights[0], weights[1])


def test_an_average_of_share_one_is_the_mean_of_the_first_weights_and_every_later_one(
    tmp_path: Path,
) -> None:
    seen: list[Tensor] = []

    class Watched(Line):
        def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
            seen.append(network.state_dict()["0.weight"].clone())
            return super().losses(network, batch)

    run(Watched(), TrainConfig(steps=5, lr=0.05), tmp_path / "plain")
    last = read_weights(tmp_path / "plain" / "weights.safetensors").state["0.weight"]
    mean = torch.stack([*seen, last]).mean(0)
    averaged = run(Line(), TrainConfig(steps=5, lr=0.05, ema=1), tmp_path / "averaged")

    assert torch.allclose(averaged.network.state_dict()["0.weight"], mean, atol=1e-6)  # float32


def test_accumulated_micro_batches_are_their_mean(tmp_path: Path) -> None:
    drawn = []

    class Scaled(Line):
        def build(self, *_: Any) -> nn.Module:
            return nn.Linear(1, 1, bias=False)

        def draw(self, generator: torch.Generator, step: int) -> Any:  # noqa: ARG002  same at all
            drawn.append(torch.rand(1, 1, generator=generator))
            return drawn[-1]

        def losses(self, network: nn.Module, batch: Tensor) -> dict[str, Tensor]:
            return {"loss": network(batch).sum() - network(batch).sum().detach() + batch.sum()}

    run(Scaled(), TrainConfig(steps=1, accumulate=4, clip=None), tmp_path)

    (row,) = read_rows(tmp_path / "metrics.jsonl")
    # value x and gradient x, so that both are the mean of the four draws
    assert row["loss"] == pytest.approx(float(torch.cat(drawn).mean()), rel=1e-6)
    assert row["grad_norm"] == pytest.approx(row["loss"], rel=1e-6)
    assert len({float(x) for x in drawn}) == 4


def test_early_stop_keeps_the_best_evaluation(tmp_path: Path) -> None:
    class Worse(Line):
        calls = 0

        def evaluate(self, *_: Any) -> dict[str, float]:
            self.calls += 1
            return {"error": [3.0, 1.0, 2.0, 1.5, 0.1][self.calls - 1]}

    stop = EarlyStop(metric="val_error", patience=2)
    config = TrainConfig(
        steps=10, schedule="constant", evaluate_every=1, checkpoint_every=50, stop=stop
    )
    fitted = run(Worse(), config, tmp_path / "stopped")
    second = run(Line(), replace(config, steps=2, stop=None), tmp_path / "second")

    assert fitted.step == 4
    assert [row["step"] for row in read_rows(tmp_path / "stopped/metrics.jsonl")] == [1, 2, 3, 4]
    state = second.network.state_dict()
    assert all(torch.equal(state[n], t) for n, t in fitted.network.state_dict().items())


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_term(tmp_path: Path) -> None:
    class Bad(Line):
        def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
            losses = super().losses(network, batch)
            return {**losses, "extra": losses["loss"] * torch.tensor(self.factor)}

        def draw(self, generator: torch.Generator, step: int) -> Any:
            self.factor = float("nan") if step == 2 else 1.0
            return super().draw(generator, step)

    with pytest.raises(ConvergenceError, match=r"Step 3: the loss term 'extra' is nan"):
        run(Bad(), TrainConfig(steps=5, checkpoint_every=2), tmp_path)
    assert (tmp_path / "checkpoints/last.ckpt").is_file()
    assert not (tmp_path / "run.json").exists()


def test_a_gradient_that_is_not_finite_stops_the_run_and_names_the_parameter(
    tmp_path: Path,
) -> None:
    class Root(Line):
        def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
            return {"loss": (network(batch.inputs) * 0).square().sum().sqrt()}

    with pytest.raises(ConvergenceError, match=r"Step 1: the gradient of 0\.weight, .* is nan"):
        run(Root(), SHORT, tmp_path)


def test_a_score_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    class Blind(Line):
        def evaluate(self, *_: Any) -> dict[str, float]:
            return {"psnr": float("inf")}

    with pytest.raises(ConvergenceError, match=r"Step \d+: the score 'val_psnr' is inf"):
        run(Blind(), TrainConfig(steps=2, evaluate_every=1), tmp_path)


def test_a_network_without_anything_to_train_is_refused(tmp_path: Path) -> None:
    class Frozen(Line):
        def build(self, generator: torch.Generator) -> nn.Module:
            return super().build(generator).requires_grad_(requires_grad=False)

    with pytest.raises(RefusedInputError, match="no parameter that requires a gradient"):
        run(Frozen(), SHORT, tmp_path)


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"error": torch.ones((), requires_grad=True)}, "must be called 'loss'"),
        ({"loss": torch.ones(2, requires_grad=True)}, "one real number"),
        ({"loss": torch.ones(())}, "depends on no parameter that requires a gradient"),
        ({"loss": torch.ones((), requires_grad=True)}, "depends on no parameter of the network"),
        ({"loss": torch.ones(()), "step": torch.ones(())}, "'step'; step, lr, grad_norm and val"),
        ({"loss": torch.ones(()), "val_a": torch.ones(())}, "'val_a'; step, lr"),
    ],
    ids=["no loss", "no scalar", "no gradient", "no parameter", "step", "score"],
)
def test_losses_that_cannot_be_minimised_are_refused(
    losses: dict[str, Tensor], said: str, tmp_path: Path
) -> None:
    class Odd(Line):
        def losses(self, *_: Any) -> dict[str, Tensor]:
            return losses

    with pytest.raises(RefusedInputError, match=said):
        run(Odd(), SHORT, tmp_path)


def test_an_early_stop_on_a_score_that_is_not_there_is_refused(tmp_path: Path) -> None:
    stop = EarlyStop(metric="val_ssim")
    with pytest.raises(RefusedInputError, match="'val_ssim'; evaluate gives: val_error"):
        run(Line(), TrainConfig(steps=2, evaluate_every=1, stop=stop), tmp_path)


def test_more_gpus_than_there_are_is_refused(tmp_path: Path) -> None:
    there = torch.cuda.device_count()
    with pytest.raises(RefusedInputError, match=f"this machine has {there}"):
        run(Line(), TrainConfig(steps=2, device="cuda", devices=there + 1), tmp_path)


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="Could not write"):
        run(Line(), SHORT, tmp_path / "file" / "run")


def test_autocast_learns_and_keeps_weights_32_bits_wide(tmp_path: Path) -> None:
    seen = []
    drawn = []

    class Watched(Line):
        def losses(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
            seen.append(network(batch.inputs).dtype)
            return super().losses(network, batch)

        def draw(self, generator: torch.Generator, step: int) -> Any:
            pairs = super().draw(generator, step)
            drawn.append((pairs.inputs @ torch.eye(3)).dtype)
            return pairs

    fitted = run(Watched(), TrainConfig(steps=2, precision="bf16"), tmp_path)

    assert seen == [torch.bfloat16, torch.bfloat16]
    assert drawn == [torch.float32, torch.float32]
    assert {p.dtype for p in fitted.network.parameters()} == {torch.float32}


def test_progress_goes_to_stderr_and_nothing_else_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(Line(), SHORT, tmp_path / "loud", recipe={})
    loud = capfd.readouterr()
    fit(Line(), SHORT, tmp_path / "silent", recipe={}, progress=False)
    silent = capfd.readouterr()

    assert (loud.out, silent.out, silent.err) == ("", "", "")
    assert "3/3" in loud.err
    assert "loss=" in loud.err
    assert "Tip" not in loud.err
    assert "available" not in loud.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["loud", "silent"]
    assert logging.getLogger("lightning.pytorch").level != logging.WARNING


def test_a_run_that_fails_ends_the_line_of_its_progress(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match="pulled the plug"):
        fit(Interrupted(2), SHORT, tmp_path, recipe={})
    assert capfd.readouterr().err.endswith("\n")


@pytest.mark.parametrize("module", ["lightning.pytorch", "tensorboard"])
def test_a_missing_extra_is_one_sentence_and_leaves_no_folder(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    said = rf"^{module} is not installed\. Install it with: pip install 'medconsist\[train\]'$"
    with pytest.raises(MissingExtraError, match=said):
        run(Line(), SHORT, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_layers_that_start_by_themselves_do_not_repeat_the_generator(tmp_path: Path) -> None:
    class Both(Line):
        def build(self, generator: torch.Generator) -> nn.Module:
            self.pair = torch.rand(4), torch.rand(4, generator=generator)
            return super().build(generator)

    both = Both()
    run(both, SHORT, tmp_path)
    assert not torch.equal(*both.pair)


def test_an_interrupt_stays_an_interrupt_and_can_be_raised_again(tmp_path: Path) -> None:
    class Impatient(Line):
        def losses(self, *_: Any) -> dict[str, Tensor]:
            raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(Impatient(), SHORT, tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_full_disk_ends_the_run_with_one_sentence(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(StorageError, match=r"Could not write .*last\.ckpt: File too large"):
            run(Line(), SHORT, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "checkpoints").iterdir()) == []
    assert run(Line(), SHORT, tmp_path, resume=True).step == 3


def test_weights_that_were_changed_after_the_run_are_refused(tmp_path: Path) -> None:
    run(Line(), SHORT, tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"something else")
    with pytest.raises(CorruptResultError, match=r"is not what run\.json recorded"):
        run(Line(), SHORT, tmp_path)


def test_the_room_and_its_weights_need_no_lightning() -> None:
    program = (
        "import sys, medconsist.training.fit, medconsist.training.weights;"
        "assert not any(n.split('.')[0] in ('lightning', 'tensorboard') for n in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.gpu
def test_on_a_gpu_a_run_learns_and_its_weights_come_back_to_the_cpu(tmp_path: Path) -> None:
    from medconsist.training._loop import train
    from medconsist.training.run_folder import RunFolder

    for precision in ("32", "bf16"):
        run_folder = RunFolder(tmp_path / precision)
        run_folder.checkpoint.parent.mkdir(parents=True)
        config = TrainConfig(steps=30, lr=0.05, device="cuda", precision=precision, ema=0.5)
        network = Line().build(torch.Generator().manual_seed(0))
        outcome = train(Line(), network, config, run_folder, progress=False)

        rows = read_rows(run_folder.metrics)
        assert rows[-1]["loss"] < rows[0]["loss"]
        assert {t.device.type for t in outcome.state.values()} == {"cpu"}

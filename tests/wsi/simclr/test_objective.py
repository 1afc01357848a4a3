"""The loss is the paper's, its masks say what they should, and the run can be killed."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from medconsist.errors import ConvergenceError, RefusedInputError, ShapeError
from medconsist.networks.resnet import RESNET18
from medconsist.training.fit import fit
from medconsist.training.metrics_log import read_rows
from medconsist.training.settings import TrainConfig
from medconsist.wsi.encoders.choice import make_encoder
from medconsist.wsi.encoders.weights import load_network
from medconsist.wsi.simclr.contrast_masks import contrast_masks
from medconsist.wsi.simclr.encoder_file import save_simclr_encoder
from medconsist.wsi.simclr.network import SimclrNetwork
from medconsist.wsi.simclr.objective import SimclrObjective, TwoViews
from medconsist.wsi.simclr.probe import auc_by_slide, linear_probe
from medconsist.wsi.simclr.tile_pool import DrawnTiles, TilePool
from medconsist.wsi.simclr.view_scores import view_scores
from medconsist.wsi.simclr.views import ViewDraw, Views
from tests.wsi.simclr.toy import config, objective, pool, random_tiles, stripes

BANK: dict[str, Any] = {"keys": "bank", "bank": 24, "momentum": 0.9}
SHORT = TrainConfig(steps=4, lr=1e-2, checkpoint_every=2)


def naive_loss(
    task: SimclrObjective,
    z: Tensor,
    batch: TwoViews,
    fresh: Tensor | None = None,
    old: dict[str, Tensor] | None = None,
) -> float:
    """NT-Xent of the paper in loops, the views of one tile side by side in the sum.

    With keys of a teacher and a bank, these stand where the views themselves stood.
    """
    n_tiles = len(z) // 2
    unit = [row / row.norm() for row in z.double()]
    keys = [row / row.norm() for row in (z if fresh is None else fresh).double()]
    tile, slide = batch.drawn.tile.repeat(2).tolist(), batch.drawn.slide.repeat(2).tolist()
    if old is not None:
        keys += [row / row.norm() for row in old["z"].double()]
        tile, slide = tile + old["tile"].tolist(), slide + old["slide"].tolist()
    total = 0.0
    for i in range(2 * n_tiles):
        partner = (i + n_tiles) % (2 * n_tiles)
        terms = {}
        for k in range(len(keys)):
            alike = tile[k] == tile[i]
            if task.config.same_slide == "exclude":
                alike = alike or slide[k] == slide[i]
            if k == partner or not alike:
                terms[k] = math.exp(float(unit[i] @ keys[k]) / task.config.temperature)
        total -= math.log(terms[partner] / sum(terms.values()))
    return total / (2 * n_tiles)


def run(task: SimclrObjective, folder: Path, settings: TrainConfig = SHORT, **more: Any) -> Any:
    return fit(task, settings, folder, recipe={"toy": 1}, progress=False, **more)


@pytest.mark.parametrize("same_slide", ["keep", "exclude"])
@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_loss_is_that_of_naive_loops(
    same_slide: str, chunk: int | None, temperature: float
) -> None:
    task = objective(same_slide=same_slide, chunk=chunk, temperature=temperature)
    network = task.build(Generator().manual_seed(0))
    batch = task.draw(Generator().manual_seed(1), 0)
    views = [task.config.views.apply(batch.drawn.tiles, d) for d in (batch.first, batch.second)]
    found = task.losses(network, batch)["loss"]
    with torch.no_grad():  # the same batch statistics a second time
        z = network(torch.cat(views))
    # float32 against float64
    assert float(found.detach()) == pytest.approx(naive_loss(task, z, batch), 1e-4)
    found.backward()  # type: ignore[no-untyped-call]  # untyped in torch
    assert all(p.grad is not None for p in network.student.parameters())


def test_the_masks_name_partner_self_and_tiles_drawn_twice() -> None:
    tile, slide = torch.tensor([5, 5, 9] * 2), torch.tensor([0, 0, 1] * 2)
    keys, of = torch.cat([tile, torch.tensor([9, 3])]), torch.cat([slide, torch.tensor([1, 0])])
    positive, exclude = contrast_masks(tile, slide, keys, of, same_slide="keep")
    rows = [row.nonzero().flatten().tolist() for row in positive]
    assert rows == [[3], [4], [5], [0], [1], [2]]
    assert exclude[0].nonzero().flatten().tolist() == [0, 1, 4]
    assert exclude[2].nonzero().flatten().tolist() == [2, 6]
    _, exclude = contrast_masks(tile, slide, keys, of, same_slide="exclude")
    assert exclude[0].nonzero().flatten().tolist() == [0, 1, 4, 7]


def test_a_batch_of_one_slide_teaches_nothing_when_its_tiles_are_no_negatives() -> None:
    task = objective(same_slide="exclude")
    network = task.build(Generator())
    batch = task.draw(Generator(), 0)
    drawn = replace(batch.drawn, slide=torch.zeros(8, dtype=torch.int64))
    assert float(task.losses(network, replace(batch, drawn=drawn))["loss"].detach()) == 0


def test_the_bank_fills_with_keys_of_the_teacher_and_wraps() -> None:
    task = objective(**BANK)
    network = task.build(Generator())
    assert network.teacher is not None
    assert network.bank is not None
    for step in range(5):
        batch = task.draw(Generator().manual_seed(step), step)
        loss = task.losses(network, batch)["loss"]
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        held = network.bank.read()
        assert len(held["z"]) == min(8 * (step + 1), 24)
        assert int(network.teacher.updates) == step + 1
    views = [task.config.views.apply(batch.drawn.tiles, d) for d in (batch.first, batch.second)]
    newest = slice(8, 16)  # 40 rows into 24 slots
    assert torch.equal(held["tile"][newest], batch.drawn.tile)
    assert torch.equal(held["z"][newest], network.teacher(torch.cat(views))[8:])
    assert all(p.grad is None for p in network.teacher.parameters())


@pytest.mark.parametrize("same_slide", ["keep", "exclude"])
def test_the_loss_with_a_bank_is_that_of_naive_loops(same_slide: str) -> None:
    task = objective(same_slide=same_slide, **BANK)
    network = task.build(Generator().manual_seed(0))
    assert network.teacher is not None
    assert network.bank is not None
    for step in range(3):  # empty, filling, with tiles of the batch among the old keys
        batch = task.draw(Generator().manual_seed(step), step)
        old = network.bank.read()
        found = float(task.losses(network, batch)["loss"].detach())
        views = [task.config.views.apply(batch.drawn.tiles, d) for d in (batch.first, batch.second)]
        with torch.no_grad():  # the teacher that made the keys, and moves at the next step
            z, fresh = network(torch.cat(views)), network.teacher(torch.cat(views))
            torch._foreach_mul_(list(network.student.parameters()), 1.1)
        assert found == pytest.approx(naive_loss(task, z, batch, fresh, old), 1e-4)
    assert set(old["tile"].tolist()) & set(batch.drawn.tile.tolist())


def test_old_keys_are_negatives() -> None:
    task = objective(**BANK)
    network = task.build(Generator())
    assert network.bank is not None
    batch = task.draw(Generator(), 0)
    before = float(task.losses(network, batch)["loss"].detach())
    strangers = torch.arange(100, 108)
    network.bank.push(network.bank.read()["z"], tile=strangers, slide=strangers)
    assert float(task.losses(network, replace(batch, step=9))["loss"].detach()) > before


def test_the_teacher_moves_once_a_step_also_in_micro_batches(tmp_path: Path) -> None:
    fitted = run(objective(**BANK), tmp_path, replace(SHORT, accumulate=2))
    assert int(fitted.network.teacher.updates) == SHORT.steps


def test_validation_scores_change_no_state() -> None:
    task = objective(validation=True, **BANK)
    network = task.build(Generator()).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        first, again = task.evaluate(network), task.evaluate(network)
    assert first == again
    assert sorted(first) == ["alignment", "retrieval", "spread", "uniformity"]
    assert all(torch.equal(before[n], v) for n, v in network.state_dict().items())


def test_scores_know_perfect_views_and_a_collapse() -> None:
    points = torch.randn(400, 16, generator=Generator().manual_seed(0))
    perfect = view_scores(points, 3 * points)
    assert perfect["retrieval"] == 1
    assert perfect["alignment"] == pytest.approx(0, abs=1e-9)
    assert perfect["spread"] == pytest.approx(1, abs=0.02)
    # -4 + 8 / d on a sphere of many dimensions d: E exp(-2 (2 - 2 u)), var u = 1 / d
    assert perfect["uniformity"] == pytest.approx(-4 + 8 / 16, abs=0.05)
    collapsed = view_scores(torch.ones(8, 4), torch.ones(8, 4))
    assert collapsed["spread"] == pytest.approx(0, abs=1e-6)
    assert collapsed["uniformity"] == pytest.approx(0, abs=1e-6)
    with pytest.raises(RefusedInputError, match="at least 2 tiles"):
        view_scores(points[:1], points[:1])


@pytest.mark.parametrize("keys", [{}, BANK], ids=["batch", "bank"])
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(
    keys: dict[str, Any], tmp_path: Path
) -> None:
    class Killed(SimclrObjective):
        def draw(self, generator: Generator, step: int) -> TwoViews:
            if step == 3:
                msg = "pulled the plug"
                raise RuntimeError(msg)
            return super().draw(generator, step)

    settings = replace(SHORT, ema=0.5, evaluate_every=2)
    run(objective(validation=True, **keys), tmp_path / "straight", settings)
    killed = tmp_path / "killed"
    with pytest.raises(RuntimeError, match="pulled the plug"):
        run(Killed(config(**keys), pool(), pool(12, seed=1, name="other")), killed, settings)
    run(objective(validation=True, **keys), killed, settings, resume=True)
    for name in ("weights.safetensors", "metrics.jsonl"):
        straight = (tmp_path / "straight" / name).read_bytes()
        assert straight == (killed / name).read_bytes()


@pytest.mark.parametrize("keys", ["batch", "bank"])
def test_training_without_labels_makes_stripes_of_two_widths_separable(
    keys: str, tmp_path: Path
) -> None:
    views = Views(pixels=24, crop_area=(0.7, 1.0), blur=0.5)
    settings = config(batch=32, temperature=0.2, views=views, keys=keys, bank=128, momentum=0.9)
    task = SimclrObjective(settings, pool(512, 8, seed=9))
    fitted = run(task, tmp_path, TrainConfig(steps=50, lr=5e-3, warmup=5))

    def probe(backbone: nn.Module) -> float:
        tiles, wide = zip(*(stripes(n, seed) for n, seed in ((24, 5), (400, 6))), strict=True)
        with torch.no_grad():
            shown = [views.plain()(one, Generator()) for one in tiles]
            train, test = (backbone.eval()(one) for one in shown)
        return auc_by_slide(linear_probe(train, wide[0], test), wide[1], torch.zeros(400).long())[0]

    # the bank still fills while the loss is compared: per negative it must fall more
    first = read_rows(tmp_path / "metrics.jsonl")[0]["loss"]
    n_negatives = 62 + (128 if keys == "bank" else 0)
    assert fitted.metrics["loss"] - math.log(n_negatives + 1) < first - math.log(63) - 0.4
    untrained = [task.build(Generator().manual_seed(seed)).student.backbone for seed in range(3)]
    # 24 labels; five untrained seeds gave .63 to .82, three trained ones .87 and more
    assert probe(fitted.network.student.backbone) > max(map(probe, untrained)) + 0.02


def test_bf16_runs_and_its_views_are_those_of_float32(tmp_path: Path) -> None:
    task = objective(**BANK)
    batch = task.draw(Generator(), 0)
    seen: list[Tensor] = []
    network = task.build(Generator())
    network.student.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = task.losses(network, batch)["loss"]
    assert loss.dtype == torch.float32
    assert torch.equal(seen[0][:8], task.config.views.apply(batch.drawn.tiles, batch.first))
    fitted = run(task, tmp_path, replace(SHORT, precision="bf16"))
    assert math.isfinite(fitted.metrics["loss"])


def test_the_encoder_file_says_what_its_tiles_must_be(tmp_path: Path) -> None:
    tiles = random_tiles(8, 48).numpy()
    made_of = TilePool.from_array(tiles, ["a", "b"] * 4, mpp=0.5)
    settings = config(backbone=RESNET18, batch=2, views=Views(pixels=32, mean=(0.5, 0.4, 0.6)))
    task = SimclrObjective(settings, made_of, about={"recipe": "a test"})
    fitted = run(task, tmp_path / "run", TrainConfig(steps=1, lr=1e-3))
    path = tmp_path / "encoder.safetensors"
    digest = save_simclr_encoder(path, fitted, task)

    loaded = load_network(path, RESNET18)
    student = fitted.network.student.backbone.state_dict()
    assert loaded.sha256 == digest
    assert all(torch.equal(student[n], v) for n, v in loaded.network.state_dict().items())
    encoder = make_encoder("resnet18", weights=path)
    assert (encoder.input_px, encoder.mpp, encoder.mean) == (32, 0.75, (0.5, 0.4, 0.6))
    shown = random_tiles(2)
    with torch.no_grad():
        wanted = fitted.network.student.backbone(settings.views.plain()(shown, Generator()))
    # the encoder works channels last, which adds in another order
    assert torch.allclose(encoder(shown), wanted, rtol=1e-3, atol=1e-3)


def test_weights_that_diverge_stop_the_run_and_are_not_written(tmp_path: Path) -> None:
    class Broken(SimclrObjective):
        def build(self, generator: Generator) -> SimclrNetwork:
            network = super().build(generator)
            torch.nn.init.constant_(network.student.backbone.conv1.weight, math.nan)
            return network

    with pytest.raises((ConvergenceError, RefusedInputError), match=r"NaN|finite"):
        run(Broken(config(), pool()), tmp_path)
    assert not (tmp_path / "weights.safetensors").exists()


def test_pools_that_cannot_be_learned_from_are_refused() -> None:
    with pytest.raises(RefusedInputError, match=r"at least 8 tiles .one batch. of 2 slides"):
        SimclrObjective(config(), pool(slides=1))
    with pytest.raises(RefusedInputError, match="at least 17 tiles"):
        SimclrObjective(config(batch=17), pool())
    with pytest.raises(RefusedInputError, match=r"slide-0, .* trained on and scored"):
        SimclrObjective(config(), pool(), pool())
    with pytest.raises(RefusedInputError, match="more than a factor of two"):
        SimclrObjective(config(views=Views(pixels=8)), pool())
    oblong = random_tiles(8, 24)[:, :12].numpy()
    with pytest.raises(ShapeError, match=r"12 x 24; .* square"):
        SimclrObjective(config(), TilePool.from_array(oblong, ["a", "b"] * 4, mpp=0.5))
    other = replace(pool(12, name="other"), mpp=1.0)
    with pytest.raises(RefusedInputError, match="cut both alike"):
        SimclrObjective(config(), pool(), other)
    # otherwise found out at the first evaluation, after a hundred steps
    with pytest.raises(RefusedInputError, match="has 1 tile; at least 2 are scored"):
        SimclrObjective(config(), pool(), pool(1, name="other"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 1},
        {"projection": 0},
        {"chunk": 0},
        {"validation_tiles": 1},
        {"temperature": 0},
        {"temperature": math.inf},
        {"momentum": 1.5},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_refused_with_its_name(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(RefusedInputError, match=name):
        config(**wrong)


@pytest.mark.gpu
@pytest.mark.parametrize("keys", [{}, BANK], ids=["batch", "bank"])
def test_gpu_agrees_with_cpu(keys: dict[str, Any]) -> None:
    task = objective(validation=True, **keys)
    batch, network = task.draw(Generator().manual_seed(1), 0), task.build(Generator())
    wanted = float(task.losses(network, batch)["loss"].detach())
    moved = task.build(Generator()).cuda()
    found = task.losses(moved, batch_to(batch, "cuda"))["loss"]
    found.backward()  # type: ignore[no-untyped-call]  # untyped in torch
    # TF32 in the convolutions of training keeps 10 bits
    assert float(found.detach()) == pytest.approx(wanted, rel=1e-2)
    assert all(p.grad is not None and p.grad.is_cuda for p in moved.student.parameters())
    with torch.no_grad():
        assert set(task.evaluate(moved.eval())) == set(task.evaluate(network.eval()))


@pytest.mark.gpu
def test_a_run_on_the_gpu_in_bf16_leaves_an_encoder(tmp_path: Path) -> None:
    fitted = run(objective(**BANK), tmp_path, replace(SHORT, precision="bf16", device="cuda"))
    assert math.isfinite(fitted.metrics["loss"])


def batch_to(batch: TwoViews, device: str) -> TwoViews:
    drawn = DrawnTiles(*(getattr(batch.drawn, n).to(device) for n in ("tiles", "tile", "slide")))
    first, second = (
        ViewDraw(*(getattr(one, name).to(device) for name in one.__dataclass_fields__))
        for one in (batch.first, batch.second)
    )
    return TwoViews(drawn, first, second, step=batch.step)


def test_drawn_tiles_stay_uint8_until_they_are_on_the_device() -> None:
    batch = objective().draw(Generator(), 0)
    assert isinstance(batch.drawn, DrawnTiles)
    assert batch.drawn.tiles.dtype == torch.uint8

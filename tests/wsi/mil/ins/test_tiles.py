"""INS end to end, on tiny tiles: positive slides have some tiles of another colour."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.networks.resnet import ResNetConfig
from medconsist.training.draws import Place
from medconsist.training.fit import fit
from medconsist.training.settings import TrainConfig
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.tiles import DrawnTilesForIns, InsTilesConfig, InsTilesObjective
from medconsist.wsi.simclr.tile_pool import TilePool
from medconsist.wsi.simclr.views import Views

SIDE, TILES = 16, 12
WEAK = Views(pixels=SIDE, crop_area=(0.8, 1.0), stain=0.02, blur=0.0, grey_share=0.0)
STRONG = Views(pixels=SIDE, crop_area=(0.6, 1.0), stain=0.1, blur=0.5, grey_share=0.0)
CONFIG = InsTilesConfig(
    ins=InsConfig(
        batch=16,
        projection=8,
        bank=32,
        warmup=4,
        phi_steps=8,
        momentum=0.9,
        bag_loss="warmup",
        least_positive=0.2,
    ),
    backbone=ResNetConfig(block="basic", depths=(1,)),
    weak=WEAK,
    strong=STRONG,
    bag_tiles=8,
)


def pool(slides: int, seed: int, name: str = "s") -> tuple[TilePool, dict[str, int]]:
    random = np.random.default_rng(seed)
    pixels = random.normal(180, 15, (slides, TILES, SIDE, SIDE, 3))
    pixels[1::2, : TILES // 3, :, :, 1] -= 90  # every second slide: a third of its tiles
    named = [f"{name}{n}" for n in range(slides)]
    tiles = pixels.clip(0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE, 3)
    made = TilePool.from_array(tiles, np.repeat(named, TILES).tolist(), mpp=1.0)
    return made, {one: n % 2 for n, one in enumerate(named)}


def objective(config: InsTilesConfig = CONFIG, slides: int = 8) -> InsTilesObjective:
    made, labels = pool(slides, 0)
    other, more = pool(4, 1, "v")
    return InsTilesObjective(config, made, labels | more, other)


def test_slide_labels_teach_tiles(tmp_path: Path) -> None:
    task = objective()
    settings = TrainConfig(steps=40, lr=3e-3, evaluate_every=40)
    fitted = fit(task, settings, tmp_path, recipe={}, progress=False)
    assert fitted.metrics["val_auc_mean"] == 1.0
    shown, _ = pool(2, 5)
    views = WEAK.plain()(torch.from_numpy(shown.pixels.copy()), Generator())
    with torch.no_grad():
        positive = fitted.network(views).logits.softmax(1)[:, 1]
    truth = torch.zeros(2 * TILES, dtype=torch.bool)
    truth[TILES : TILES + TILES // 3] = True
    assert float(positive[truth].min()) > float(positive[~truth].max())


def test_the_two_views_of_a_tile_differ_and_stay_on_the_tile() -> None:
    task = objective()
    drawn = task.draw(Generator().manual_seed(0), 9)
    weak, strong = WEAK.apply(drawn.tiles, drawn.weak), STRONG.apply(drawn.tiles, drawn.strong)
    assert not torch.equal(weak, strong)
    made, _ = pool(8, 0)
    assert torch.equal(drawn.tiles, made.at(drawn.number).tiles)
    assert drawn.bag.shape == (8, SIDE, SIDE, 3)


def test_a_batch_is_a_function_of_its_place_and_bags_carry_their_label() -> None:
    made, labels = pool(8, 0)
    flat = made.pixels.reshape(len(made.pixels), -1)
    for step in range(8):
        one, again = (objective().draw(Generator().manual_seed(step), step) for _ in range(2))
        assert torch.equal(one.number, again.number)
        assert torch.equal(one.bag, again.bag)
        row = int((flat == one.bag[0].numpy().reshape(-1)).all(1).nonzero()[0][0])
        assert labels[made.names[row // TILES]] == int(one.bag_label)


def test_the_bag_is_learned_in_the_warmup_alone_or_always() -> None:
    always = replace(CONFIG, ins=replace(CONFIG.ins, bag_loss="always"))
    for config, wanted in ((CONFIG, [True, False]), (always, [True, True])):
        task = objective(config)
        network = task.build(Generator().manual_seed(0))
        found = [task.losses(network, task.draw(Generator(), step)) for step in (0, 9)]
        assert [float(parts["bag"].detach()) > 0 for parts in found] == wanted
        found[0]["loss"].backward()  # type: ignore[no-untyped-call]  # untyped in torch
        assert all(p.grad is not None for p in network.model.instances.parameters())
        assert all(p.grad is None for p in network.memory.parameters())


def test_a_killed_run_goes_on_bit_by_bit(tmp_path: Path) -> None:
    class Killed(InsTilesObjective):
        def draw_at(self, generator: Generator, place: Place) -> DrawnTilesForIns:
            if place.step == 5:
                msg = "pulled the plug"
                raise RuntimeError(msg)
            return super().draw_at(generator, place)

    made, labels = pool(8, 0)
    settings = TrainConfig(steps=6, lr=1e-3, checkpoint_every=1)
    fit(
        InsTilesObjective(CONFIG, made, labels), settings, tmp_path / "a", recipe={}, progress=False
    )
    with pytest.raises(RuntimeError, match="pulled the plug"):
        fit(Killed(CONFIG, made, labels), settings, tmp_path / "b", recipe={}, progress=False)
    task = InsTilesObjective(CONFIG, made, labels)
    fit(task, settings, tmp_path / "b", recipe={}, progress=False, resume=True)
    straight, resumed = ((tmp_path / x / "weights.safetensors").read_bytes() for x in "ab")
    assert straight == resumed


def test_pools_that_cannot_be_learned_from_are_refused() -> None:
    made, labels = pool(8, 0)
    with pytest.raises(RefusedInputError, match=r"without a label 0 or 1: \['s3'\]"):
        InsTilesObjective(CONFIG, made, {k: v for k, v in labels.items() if k != "s3"})
    with pytest.raises(RefusedInputError, match=r"in both pools: \['s0', 's1'"):
        InsTilesObjective(CONFIG, made, labels, made)
    with pytest.raises(RefusedInputError, match="one class: True"):
        InsTilesObjective(CONFIG, made, dict.fromkeys(labels, 1))
    with pytest.raises(RefusedInputError, match="bag_tiles got 1"):
        replace(CONFIG, bag_tiles=1)

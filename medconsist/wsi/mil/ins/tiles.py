"""INS end to end on tiles, from the labels of their slides."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Generator, Tensor, nn
from torch.nn import functional

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc
from medconsist.networks.ragged import Segments
from medconsist.networks.resnet import RESNET18, ResNetConfig
from medconsist.training.draws import Place, generator_for
from medconsist.training.objective import Objective
from medconsist.wsi.mil.ins.bag_score import POOLINGS, pooled_probability
from medconsist.wsi.mil.ins.config import InsConfig
from medconsist.wsi.mil.ins.memory import InsMemory, InstanceViews
from medconsist.wsi.mil.ins.order import InstanceOrder
from medconsist.wsi.mil.ins.tiles_network import InsTilesLearner, InsTilesNetwork
from medconsist.wsi.simclr.tile_pool import DrawnTiles, TilePool
from medconsist.wsi.simclr.views import ViewDraw, Views

__all__ = ["DrawnTilesForIns", "InsTilesConfig", "InsTilesObjective"]

_SLIDES = 0  # place of the numbers that order the slides of an epoch


@dataclass(frozen=True, kw_only=True)
class InsTilesConfig:
    """How INS learns from tiles.

    The released code makes the weak and the strong view by one and the same pipeline; give one
    `Views` twice for that.

    Parameters
    ----------
    ins
        See `InsConfig`; its noise and ``predict`` are of features only. By default with the bag's
        loss in the warm-up alone, as in the released end-to-end script.
    backbone
        Architecture of the encoder.
    weak, strong
        Views of the query and of the key, of one size.
    bag_tiles
        Tiles of one slide that make a bag, at least 2.
    seed
        Of the orders of tiles and slides.

    Raises
    ------
    RefusedInputError
        Fewer tiles than 2 in a bag, or views of two sizes.

    Examples
    --------
    >>> InsTilesConfig(bag_tiles=32).ins.bag_loss
    'warmup'
    """

    ins: InsConfig = field(default_factory=lambda: InsConfig(bag_loss="warmup"))
    backbone: ResNetConfig = RESNET18
    weak: Views = field(
        default_factory=lambda: Views(
            crop_area=(0.8, 1.0), stain=0.05, stain_shift=0.0, grey_share=0.0, blur=0.0
        )
    )
    strong: Views = field(default_factory=Views)
    bag_tiles: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.bag_tiles < 2 or self.weak.pixels != self.strong.pixels:
            msg = (
                f"bag_tiles got {self.bag_tiles}, views of {self.weak.pixels} and "
                f"{self.strong.pixels} pixels; allowed: 2 tiles or more, views of one size."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class DrawnTilesForIns:
    """One batch: tiles as they were read, how they look, and some tiles of one slide.

    Parameters
    ----------
    tiles
        Of any slides.
    number
        Of each, in the training pool.
    weak, strong
        Their two views, to be applied on the device.
    bag, bag_view, bag_label
        Tiles of one slide, their view, and the label of the slide.
    step
        Optimiser steps done when it was drawn.

    Examples
    --------
    >>> tiles, view = torch.zeros(2, 8, 8, 3).byte(), Views(pixels=8).draw(2, Generator())
    >>> one = torch.tensor([1])
    >>> DrawnTilesForIns(tiles, torch.arange(2), view, view, tiles, view, one, step=0).step
    0
    """

    tiles: UInt8[Tensor, "tiles rows columns 3"]
    number: Int64[Tensor, " tiles"]
    weak: ViewDraw
    strong: ViewDraw
    bag: UInt8[Tensor, "bag_tiles rows columns 3"]
    bag_view: ViewDraw
    bag_label: Int64[Tensor, "slides=1"]
    step: int


class InsTilesObjective(Objective):
    """INS with an encoder that learns; labels of slides and nothing else.

    Instances, memory and losses are those of `InsObjective`: one implementation. The bag's loss is
    the cross-entropy of the mean feature of `InsTilesConfig.bag_tiles` tiles of one slide.

    Parameters
    ----------
    config
        See `InsTilesConfig`.
    pool
        Tiles that are trained on.
    labels
        0 or 1 for every slide of both pools.
    validation
        Tiles of other slides; None scores nothing.
    about
        What the weights file says beside.

    Raises
    ------
    RefusedInputError
        A slide without label or in both pools, another label than 0 and 1, one class alone in
        training, or too few tiles.

    Examples
    --------
    ::

        objective = InsTilesObjective(InsTilesConfig(), pool, {"slide-1": 0, "slide-2": 1})
        fitted = fit(objective, TrainConfig(steps=5000), Path("run"), recipe={})
        fitted.network.model.instances.branch.encoder  # the ResNet
    """

    def __init__(
        self,
        config: InsTilesConfig,
        pool: TilePool,
        labels: Mapping[str, int],
        validation: TilePool | None = None,
        *,
        about: Mapping[str, str] | None = None,
    ) -> None:
        pool.require(tiles=config.ins.batch)
        self.config = config
        self._pool, self._validation = pool, validation
        self._about = dict(about or {})
        self._labels = _checked(labels, pool, validation)
        self._slides = torch.unique(pool.slide)
        self._order = InstanceOrder(
            _positive(pool, pool.slide, self._labels),
            batch=config.ins.batch,
            warmup=config.ins.warmup,
            seed=config.seed,
        )

    def build(self, generator: Generator) -> InsTilesLearner:
        """Return the untrained network with an empty memory."""
        config = self.config
        model = InsTilesNetwork(config.backbone, config.ins, generator=generator)
        memory = InsMemory(model.instances, self._order.of_positive, config.ins)
        return InsTilesLearner(model, memory)

    def draw(self, generator: Generator, step: int) -> DrawnTilesForIns:
        """Return the batch of a step of a run with one process and no micro-batches."""
        return self.draw_at(generator, Place(step=step))

    def draw_at(self, generator: Generator, place: Place) -> DrawnTilesForIns:
        """Return the epoch's next tiles, and some of its next slide."""
        number = self._order.at(place)
        weak, strong = (
            view.draw(len(number), generator) for view in (self.config.weak, self.config.strong)
        )
        bag, label = self._bag(place.number, generator)
        return DrawnTilesForIns(
            self._pool.at(number).tiles,
            number,
            weak,
            strong,
            bag.tiles,
            self.config.weak.draw(len(bag.tiles), generator),
            label,
            place.step,
        )

    def losses(self, network: nn.Module, batch: DrawnTilesForIns) -> dict[str, Tensor]:
        """Return the whole loss and its parts."""
        assert isinstance(network, InsTilesLearner)  # noqa: S101  what build returned
        config, model = self.config, network.model
        weak = _views(config.weak, batch.tiles, batch.weak)
        strong = _views(config.strong, batch.tiles, batch.strong)
        views = InstanceViews(weak, strong, batch.number, batch.step)
        parts = network.memory.losses(model.instances, views)
        bag = torch.zeros_like(parts["instance"])
        if config.ins.bag_loss == "always" or batch.step < config.ins.warmup:
            logits = model.slide_logits(_views(config.weak, batch.bag, batch.bag_view))
            bag = functional.cross_entropy(logits.float(), batch.bag_label)
        return {"loss": config.ins.total(parts, bag), "bag": bag, **parts}

    @torch.no_grad()
    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return the area under the curve of the slides, by every pooling of tile probabilities."""
        pool = self._validation
        if pool is None:
            return {}
        order = pool.slide.argsort(stable=True)
        slides, sizes = torch.unique_consecutive(pool.slide[order], return_counts=True)
        positive = _positive(pool, slides, self._labels)
        parts = (pool.at(some) for some in torch.split(order, self.config.ins.batch))
        probability = torch.cat([self._probability(network, part) for part in parts])
        segments = Segments.of_sizes(sizes)
        return {
            f"auc_{by}": area_under_roc(pooled_probability(probability, segments, by=by), positive)
            for by in POOLINGS
        }

    def architecture(self) -> dict[str, Any]:
        """Return what builds the network again."""
        config = self.config
        return {
            "network": "ins-tiles",
            "backbone": config.backbone.as_dict(),
            "ins": asdict(config.ins),
        }

    def about(self) -> dict[str, str]:
        """Return what the weights have seen."""
        return self._about | {
            "method": "INS, end to end",
            "labels_from": "slide",
            "trained_on": f"{len(self._pool)} tiles of {len(self._pool.slides)} slides",
            "tiles_sha256": self._pool.sha256,
        }

    def _bag(self, number: int, generator: Generator) -> tuple[DrawnTiles, Tensor]:
        epoch, within = divmod(number, len(self._slides))
        order = generator_for(self.config.seed, _SLIDES, epoch)
        slide = self._slides[torch.randperm(len(self._slides), generator=order)[within]]
        held = (self._pool.slide == slide).nonzero()[:, 0]
        chosen = torch.randperm(len(held), generator=generator)[: self.config.bag_tiles]
        label = _positive(self._pool, slide.view(1), self._labels).long()
        return self._pool.at(held[chosen]), label

    def _probability(self, network: nn.Module, drawn: DrawnTiles) -> Tensor:
        shown = self.config.weak.plain()(drawn.tiles, Generator())
        device = next(network.parameters()).device
        logits: Tensor = network(shown.to(device)).logits
        return logits.float().softmax(1)[:, 1].cpu()


@torch.no_grad()
def _views(views: Views, tiles: Tensor, draw: ViewDraw) -> Tensor:
    """Make views in float32, also under autocast."""
    with torch.autocast(tiles.device.type, enabled=False):
        return views.apply(tiles, draw)


def _positive(pool: TilePool, slides: Tensor, labels: Mapping[str, int]) -> Tensor:
    """Return whether each of these slides, by number, is positive."""
    return torch.tensor([labels.get(name) == 1 for name in pool.names])[slides]


def _checked(
    labels: Mapping[str, int], pool: TilePool, validation: TilePool | None
) -> dict[str, int]:
    """Return the labels of slides that can be trained on and scored."""
    pools = [pool] if validation is None else [pool, validation]
    slides = [name for one in pools for name in one.slides]
    wrong = sorted({name for name in slides if labels.get(name) not in (0, 1)})
    twice = sorted({name for name in slides if slides.count(name) > 1})
    alone = any(len({labels.get(name) for name in one.slides}) < 2 for one in pools)
    if wrong or twice or alone:
        msg = (
            f"slides without a label 0 or 1: {wrong[:5]}; in both pools: {twice[:5]}; a pool of "
            f"one class: {alone}. Give every slide a label, and both classes to each pool, split "
            "by patient."
        )
        raise RefusedInputError(msg)
    return dict(labels)

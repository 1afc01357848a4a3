"""SimCLR on tiles: two views of one tile agree, against all other tiles."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from medconsist.consistency.contrast import info_nce
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.training.objective import Objective
from medconsist.wsi.encoders.encoder import Preprocessing
from medconsist.wsi.simclr.config import SimclrConfig
from medconsist.wsi.simclr.contrast_masks import contrast_masks
from medconsist.wsi.simclr.network import Projected, SimclrNetwork
from medconsist.wsi.simclr.tile_pool import DrawnTiles, TilePool
from medconsist.wsi.simclr.view_scores import view_scores
from medconsist.wsi.simclr.view_style import StyleDraw, draw_style
from medconsist.wsi.simclr.views import ViewDraw, Views

__all__ = ["SimclrObjective", "TwoViews"]

_VALIDATION_SEED = 0


@dataclass(frozen=True, eq=False)
class TwoViews:
    """One batch: tiles as they were read, and how their two views look.

    Parameters
    ----------
    drawn
        Tiles with their numbers.
    first, second
        The two views, to be applied on the device.
    step
        Optimiser steps done when it was drawn.
    styles
        Of the two views; None where each tile keeps its own.

    Examples
    --------
    >>> drawn = DrawnTiles(torch.zeros(2, 8, 8, 3).byte(), torch.arange(2), torch.arange(2))
    >>> views = Views(pixels=8)
    >>> TwoViews(drawn, views.draw(2, Generator()), views.draw(2, Generator()), step=0).step
    0
    """

    drawn: DrawnTiles
    first: ViewDraw
    second: ViewDraw
    step: int
    styles: tuple[StyleDraw | None, StyleDraw | None] = (None, None)


class SimclrObjective(Objective):
    """Tiles of the user's slides, without labels; batch = f(seed, step).

    The loss is NT-Xent (Chen et al. 2020, arXiv:2002.05709): with the 2 n views of n tiles, each
    is to find its partner among all others, both directions in one sum. The same tile drawn twice
    is no negative. Views are made on the device, in float32 also under autocast.

    Parameters
    ----------
    config
        See `SimclrConfig`.
    pool
        Tiles that are trained on.
    validation
        Tiles of other slides, at least 2, which `evaluate` scores; None scores nothing.
    about
        What the weights file says beside the tiles: the recipe.

    Raises
    ------
    RefusedInputError
        Fewer than two slides or one batch of tiles, tiles that a view cannot be made of, a slide
        in both pools, pools of different mpp or size, or a single validation tile.
    ShapeError
        Tiles that are not square.

    Examples
    --------
    >>> import numpy as np
    >>> from medconsist.networks.resnet import ResNetConfig
    >>> tiles = np.random.default_rng(0).integers(256, size=(8, 32, 32, 3), dtype=np.uint8)
    >>> pool = TilePool.from_array(tiles, ["a"] * 4 + ["b"] * 4, mpp=1.0)
    >>> tiny = ResNetConfig(block="basic", depths=(1,))
    >>> task = SimclrObjective(SimclrConfig(backbone=tiny, batch=4, views=Views(pixels=32)), pool)
    >>> sorted(task.losses(task.build(Generator()), task.draw(Generator(), 0)))
    ['loss']
    """

    def __init__(
        self,
        config: SimclrConfig,
        pool: TilePool,
        validation: TilePool | None = None,
        *,
        about: Mapping[str, str] | None = None,
    ) -> None:
        pool.require(tiles=config.batch)
        self.config = config
        self._pool = pool
        self._validation = validation
        self._about = dict(about or {})
        _refuse_sides(pool, config.views)
        if validation is not None:
            _refuse_shared(pool, validation)
        config.views(torch.from_numpy(pool.pixels[:1].copy()), Generator())  # refuses bad sizes

    def build(self, generator: Generator) -> SimclrNetwork:
        """Return the untrained network."""
        config = self.config
        student = Projected(config.backbone, width=config.projection, generator=generator)
        return SimclrNetwork(
            student,
            bank=config.bank if config.keys == "bank" else 0,
            width=config.projection,
            momentum=config.momentum,
        )

    def draw(self, generator: Generator, step: int) -> TwoViews:
        """Return tiles and the draws of their views; the views are made where the network is."""
        config = self.config
        drawn = self._pool.draw(config.batch, generator, weight=config.weight)
        first, second = (config.views.draw(config.batch, generator) for _ in range(2))
        style, other = (draw_style(config.batch, config.style, generator) for _ in range(2))
        return TwoViews(drawn, first, second, step, (style, other))

    def losses(self, network: nn.Module, batch: TwoViews) -> dict[str, Tensor]:
        """Return NT-Xent; with a bank, move the teacher first and remember the keys last."""
        assert isinstance(network, SimclrNetwork)  # noqa: S101  what build returned
        config, drawn = self.config, batch.drawn
        views = torch.cat(_two_views(config.views, batch))
        tile, slide = drawn.tile.repeat(2), drawn.slide.repeat(2)
        if network.teacher is None or network.bank is None:
            queries = network(views)
            keys, tiles, slides = queries, tile, slide
        else:
            # once a step, also where several micro-batches make one
            if int(network.teacher.updates) <= batch.step:
                network.teacher.update(network.student)
            queries, fresh = network(views), network.teacher(views)
            old = network.bank.read()
            keys = torch.cat([fresh, old["z"]])
            tiles, slides = torch.cat([tile, old["tile"]]), torch.cat([slide, old["slide"]])
            n_tiles = len(drawn.tile)
            network.bank.push(fresh[n_tiles:], tile=drawn.tile, slide=drawn.slide)
        positive, exclude = contrast_masks(tile, slide, tiles, slides, same_slide=config.same_slide)
        loss = info_nce(
            queries, keys, positive, exclude, tau=config.temperature, chunk=config.chunk
        )
        return {"loss": loss}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return the scores of `view_scores` on tiles of the validation slides."""
        if self._validation is None:
            return {}
        assert isinstance(network, SimclrNetwork)  # noqa: S101  what build returned
        device = next(network.student.parameters()).device
        views = [
            [network.student(view.to(device)) for view in _two_views(self.config.views, batch)]
            for batch in self._validation_batches(self._validation)
        ]
        first, second = (torch.cat(side) for side in zip(*views, strict=True))
        return view_scores(first, second)

    def architecture(self) -> dict[str, Any]:
        """Return what builds the network again."""
        config = self.config
        return {
            "network": "simclr",
            "backbone": config.backbone.as_dict(),
            "projection": config.projection,
            "keys": config.keys,
            "bank": config.bank if config.keys == "bank" else 0,
        }

    def about(self) -> dict[str, str]:
        """Return what the weights have seen."""
        return self._about | {
            "method": "SimCLR, no labels",
            "trained_on": f"{len(self._pool)} tiles of {len(self._pool.slides)} slides",
            "tiles_sha256": self._pool.sha256,
        }

    def preprocessing(self) -> Preprocessing:
        """Return how tiles are shown: whole, at the coarsest magnification of the views."""
        views = self.config.views
        return Preprocessing(
            input_px=views.pixels,
            mean=views.mean,
            std=views.std,
            mpp=self._pool.mpp * self._pool.pixels.shape[1] / views.pixels,
        )

    def _validation_batches(self, pool: TilePool) -> Iterator[TwoViews]:
        generator = Generator().manual_seed(_VALIDATION_SEED)
        chosen = torch.randperm(len(pool), generator=generator)[: self.config.validation_tiles]
        for index in torch.split(chosen, self.config.batch):
            first, second = (self.config.views.draw(len(index), generator) for _ in range(2))
            yield TwoViews(pool.at(index), first, second, step=0)


@torch.no_grad()
def _two_views(views: Views, batch: TwoViews) -> tuple[Tensor, Tensor]:
    """Make both views in float32: half precision would shift colours by whole grey levels."""
    tiles = batch.drawn.tiles
    with torch.autocast(tiles.device.type, enabled=False):
        shown = [tiles if style is None else style.apply(tiles) for style in batch.styles]
        return views.apply(shown[0], batch.first), views.apply(shown[1], batch.second)


def _refuse_sides(pool: TilePool, views: Views) -> None:
    rows, columns = pool.pixels.shape[1:3]
    if rows != columns:
        msg = f"tiles are {rows} x {columns}; a view of {views.pixels} x {views.pixels} needs "
        msg += "square tiles. Cut square ones."
        raise ShapeError(msg)


def _refuse_shared(pool: TilePool, validation: TilePool) -> None:
    if shared := sorted(set(pool.slides) & set(validation.slides)):
        msg = f"{', '.join(shared)} would be trained on and scored; split by slide (or patient)."
        raise RefusedInputError(msg)
    sizes = [(one.mpp, one.pixels.shape[1:]) for one in (pool, validation)]
    if sizes[0] != sizes[1]:
        msg = f"the pools have mpp and tiles of {sizes[0]} and {sizes[1]}; cut both alike."
        raise RefusedInputError(msg)
    if len(validation) < 2:
        msg = f"the validation pool has {len(validation)} tile; at least 2 are scored. Add slides."
        raise RefusedInputError(msg)

"""SimCLR on tiles: two views of one tile agree, against all other tiles."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn

from medconsist.consistency.contrast import info_nce
from medconsist.errors import RefusedInputError, ShapeError
from medconsist.networks.resnet import RESNET18, ResNetConfig
from medconsist.training.objective import Objective
from medconsist.wsi.encoders.encoder import Preprocessing
from medconsist.wsi.simclr.network import Projected, SimclrNetwork
from medconsist.wsi.simclr.tile_pool import DrawnTiles, TilePool, Weight
from medconsist.wsi.simclr.views import ViewDraw, Views

__all__ = ["SimclrConfig", "SimclrObjective", "TwoViews", "contrast_masks", "view_scores"]

Keys = Literal["batch", "bank"]
SameSlide = Literal["keep", "exclude"]
_VALIDATION_SEED = 0
_UNIFORMITY = 2.0  # t of Wang and Isola


@dataclass(frozen=True, kw_only=True)
class SimclrConfig:
    """How an encoder is trained without labels.

    Parameters
    ----------
    backbone
        Architecture of the encoder.
    projection
        Length of the vectors that are compared.
    views
        What may differ between two views of a tile.
    batch
        Tiles a step, two views of each; at least 2. Data parallel: of each process, and each is
        compared with its own batch only.
    temperature
        Positive. 0.1 is SimCLR's for long training on ImageNet, 0.5 for small images; the lower,
        the more the hardest negatives count.
    keys
        ``"batch"``: the views of the batch are the keys (SimCLR). ``"bank"``: a slow average of
        the encoder makes them, and the last ``bank`` ones stay as negatives (MoCo, He et al. 2020,
        arXiv:1911.05722), for devices that hold no large batch. Beside the bank, the other keys of
        the batch are negatives too, and both views are queries; MoCo's code does neither.
    bank, momentum
        Keys remembered, and share of the old value in the average, in [0, 1]; read with
        ``keys="bank"`` only.
    same_slide
        ``"keep"``: other tiles of the slide are negatives, so that stain and scanner, which they
        share, cannot solve the task. ``"exclude"``: they are not, for slides of one tissue only;
        to recognise the slide is then enough, and that is easily learned.
    weight
        See `TilePool.draw`.
    chunk
        Views compared at a time, for large batches; None compares all at once.
    validation_tiles
        Tiles of the validation pool that are scored, the same each time.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> SimclrConfig(batch=64).backbone.dim
    512
    """

    backbone: ResNetConfig = RESNET18
    projection: int = 128
    views: Views = field(default_factory=Views)
    batch: int = 128
    temperature: float | int = 0.1
    keys: Keys = "batch"
    bank: int = 8192
    momentum: float | int = 0.99
    same_slide: SameSlide = "keep"
    weight: Weight = "slide"
    chunk: int | None = None
    validation_tiles: int = 256

    def __post_init__(self) -> None:
        numbers = (self.projection, self.bank, self.validation_tiles, self.chunk or 1)
        if self.batch < 2 or min(numbers) < 1 or self.chunk == 0:
            msg = (
                f"batch, projection, bank, validation_tiles and chunk got {self.batch}, "
                f"{self.projection}, {self.bank}, {self.validation_tiles} and {self.chunk}; "
                "allowed: 2 or more, then 1 or more each, chunk also None."
            )
            raise RefusedInputError(msg)
        if not 0 < self.temperature < math.inf or not 0 <= self.momentum <= 1:
            msg = (
                f"temperature and momentum got {self.temperature} and {self.momentum}; allowed: "
                "a positive number, and a share in [0, 1]."
            )
            raise RefusedInputError(msg)
        for name, allowed in (("keys", Keys), ("same_slide", SameSlide), ("weight", Weight)):
            if getattr(self, name) not in get_args(allowed):
                msg = (
                    f"{name} got {getattr(self, name)!r}; allowed: {', '.join(get_args(allowed))}."
                )
                raise RefusedInputError(msg)


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
        Tiles of other slides, which `evaluate` scores; None scores nothing.
    about
        What the weights file says beside the tiles: the recipe.

    Raises
    ------
    RefusedInputError
        Fewer than two slides or one batch of tiles, tiles that a view cannot be made of, a slide
        in both pools, or pools of different mpp or size.
    ShapeError
        Tiles that are not square.

    Examples
    --------
    >>> import numpy as np
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
        return TwoViews(drawn, first, second, step)

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


def contrast_masks(
    tile: Int64[Tensor, " queries"],
    slide: Int64[Tensor, " queries"],
    key_tile: Int64[Tensor, " keys"],
    key_slide: Int64[Tensor, " keys"],
    *,
    same_slide: SameSlide,
) -> tuple[Bool[Tensor, "queries keys"], Bool[Tensor, "queries keys"]]:
    """Return which key each view is to find, and which keys take no part.

    Parameters
    ----------
    tile, slide
        Of 2 n views: first the n first views, then the n second ones.
    key_tile, key_slide
        Of the keys, of which the first 2 n are of the same views in the same order.
    same_slide
        Whether other tiles of the same slide are negatives.

    Returns
    -------
    tuple
        The partner view of each; and the view itself, every other view of the same tile, and with
        ``"exclude"`` every view of the same slide.
    """
    n_views = len(tile)
    view = torch.arange(n_views, device=tile.device)
    positive = torch.zeros(n_views, len(key_tile), dtype=torch.bool, device=tile.device)
    positive[view, view.roll(n_views // 2)] = True
    same = tile[:, None] == key_tile
    if same_slide == "exclude":
        same = same | (slide[:, None] == key_slide)
    return positive, same & ~positive


def view_scores(
    first: Float[Tensor, "tiles features"], second: Float[Tensor, "tiles features"]
) -> dict[str, float]:
    """Return how well views of one tile meet, and how far tiles spread, on the unit sphere.

    ``retrieval``
        Share of views whose nearest other view is their partner; by chance ``1 / (2 n - 1)``.
    ``alignment``
        Mean squared distance of partners, 0 to 4; lower is better alone only at equal uniformity.
    ``uniformity``
        ``log mean exp(-2 d^2)`` over pairs of different tiles, 0 when all are one point; lower is
        more spread (both: Wang and Isola 2020, arXiv:2005.10242).
    ``spread``
        Standard deviation over tiles, mean over features, times the root of their number: 1 on a
        uniform sphere, 0 when all are one point (Chen and He 2021, arXiv:2011.10566).

    Parameters
    ----------
    first, second
        Projections of two views of the same tiles, at least two tiles.

    Raises
    ------
    RefusedInputError
        Fewer than two tiles.
    """
    n_tiles = len(first)
    if n_tiles < 2:
        msg = f"got {n_tiles} tile; retrieval needs at least 2 tiles for validation."
        raise RefusedInputError(msg)
    views = nn.functional.normalize(torch.cat([first, second]).double(), dim=-1)
    similarity = (views @ views.T).fill_diagonal_(-math.inf)
    partner = torch.arange(2 * n_tiles, device=views.device).roll(n_tiles)
    found = (similarity.argmax(-1) == partner).double().mean()
    one, other = views.chunk(2)
    distance = torch.pdist(one).square()
    return {
        "retrieval": float(found),
        "alignment": float((one - other).square().sum(-1).mean()),
        "uniformity": float((-_UNIFORMITY * distance).exp().mean().log()),
        "spread": float(views.std(0).mean() * math.sqrt(views.shape[-1])),
    }


@torch.no_grad()
def _two_views(views: Views, batch: TwoViews) -> tuple[Tensor, Tensor]:
    """Make both views in float32: half precision would shift colours by whole grey levels."""
    tiles = batch.drawn.tiles
    with torch.autocast(tiles.device.type, enabled=False):
        return views.apply(tiles, batch.first), views.apply(tiles, batch.second)


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

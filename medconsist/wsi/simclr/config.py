"""How an encoder is trained without labels: views, keys, negatives."""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from medconsist.errors import RefusedInputError
from medconsist.networks.resnet import RESNET18, ResNetConfig
from medconsist.wsi.simclr.tile_pool import Weight
from medconsist.wsi.simclr.views import Views

__all__ = ["Keys", "SameSlide", "SimclrConfig"]

Keys = Literal["batch", "bank"]
SameSlide = Literal["keep", "exclude"]


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
    style
        Largest share of the spectrum in which all tiles of a view take the amplitude of one of
        them, before anything else of the view (Batch Styles Standardization, Scalbert et al. 2023,
        arXiv:2303.06088; see `consistency.style.batch_style`); in [0, 1], drawn for each view. 0
        leaves it out, and no random number is drawn. It needs two scanners or more in a batch, and
        tissue on every tile; ``colour_share=0`` in ``views`` keeps a view in one style. The
        amplitude also carries how dense the nuclei are: keep it at 0.1 or below for tumour.
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
        Tiles of the validation pool that are scored, the same each time; at least 2.

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
    style: float | int = 0.0
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
        numbers = (self.projection, self.bank, self.chunk or 1)
        pairs = (self.batch, self.validation_tiles)
        if min(pairs) < 2 or min(numbers) < 1 or self.chunk == 0:
            msg = (
                f"batch, validation_tiles, projection, bank and chunk got {self.batch}, "
                f"{self.validation_tiles}, {self.projection}, {self.bank} and {self.chunk}; "
                "allowed: 2 or more of the first two, then 1 or more each, chunk also None."
            )
            raise RefusedInputError(msg)
        if not 0 < self.temperature < math.inf or not 0 <= self.momentum <= 1:
            msg = (
                f"temperature and momentum got {self.temperature} and {self.momentum}; allowed: "
                "a positive number, and a share in [0, 1]."
            )
            raise RefusedInputError(msg)
        if not 0 <= self.style <= 1:
            msg = f"style got {self.style}; allowed: a share in [0, 1], 0.1 or below for tumour."
            raise RefusedInputError(msg)
        for name, allowed in (("keys", Keys), ("same_slide", SameSlide), ("weight", Weight)):
            if getattr(self, name) not in get_args(allowed):
                msg = (
                    f"{name} got {getattr(self, name)!r}; allowed: {', '.join(get_args(allowed))}."
                )
                raise RefusedInputError(msg)

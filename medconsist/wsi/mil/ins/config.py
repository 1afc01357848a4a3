"""The numbers of INS."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from medconsist.consistency.schedules import linear
from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.ins.bag_score import Pooling
from medconsist.wsi.mil.ins.noise import FeatureNoise

__all__ = ["BagLoss", "InsConfig", "Predict"]

Predict = Literal["head", Pooling]
BagLoss = Literal["always", "warmup"]
PrototypeRule = Literal["ema", "similarity"]


@dataclass(frozen=True, kw_only=True)
class InsConfig:
    """How INS learns; one set of numbers for features and for tiles.

    The defaults are those of the released scripts (github, AIoT-lab INS) as our specification
    records them, except the lengths: there, prototypes start after 1 of 40 epochs on tiles and 20
    of 150 on features; here lengths are counted in steps.

    Parameters
    ----------
    batch
        Instances a step, of all training bags alike; at least 2.
    projection
        Length of the vectors that are compared.
    bank
        Keys remembered.
    momentum
        Share of the old value in the encoder that makes keys, in [0, 1].
    prototype_momentum, prototype_update
        See `Prototypes`; ``"similarity"`` lets no outlier move a prototype (not in INS).
    temperature
        Of the contrast, positive.
    contrast_weight
        Of the contrast beside the instance loss.
    bag_weight
        Of the bag's loss; the script's default is 1, its README says 0.5.
    bag_loss
        ``"always"`` as in the released feature script, ``"warmup"`` as in the end-to-end one.
    warmup
        Steps on positive bags alone, with plain MoCo as contrast and soft labels that stay.
    least_positive
        Share of a batch's instances of positive slides, rounded up, that is named positive in any
        case. INS has none (0). With it, the name of a class that no instance is given any more
        comes back: see `InsObjective` for what that is worth.
    phi_first, phi_last, phi_steps
        Share of the old soft label: linear from first to last over so many steps after the warm-up.
    noise
        Of the two views of a feature; tiles have views of their own.
    predict
        Where `InsNetwork` takes the probabilities of a bag from: its attention head, or a pooling
        of instance probabilities.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> InsConfig(warmup=100, phi_steps=200).phi(0), InsConfig(warmup=100, phi_steps=200).phi(500)
    (0.95, 0.8)
    """

    batch: int = 64
    projection: int = 128
    bank: int = 8192
    momentum: float | int = 0.999
    prototype_momentum: float | int = 0.9
    prototype_update: PrototypeRule = "ema"
    temperature: float | int = 0.07
    contrast_weight: float | int = 0.5
    bag_weight: float | int = 1.0
    bag_loss: BagLoss = "always"
    warmup: int = 200
    least_positive: float | int = 0.0
    phi_first: float | int = 0.95
    phi_last: float | int = 0.8
    phi_steps: int = 2000
    noise: FeatureNoise = field(default_factory=FeatureNoise)
    predict: Predict = "head"

    def __post_init__(self) -> None:
        counts = (self.batch - 1, self.projection, self.bank, self.warmup + 1, self.phi_steps)
        if min(counts) < 1:
            msg = (
                f"batch, projection, bank, warmup, phi_steps got {self.batch}, {self.projection}, "
                f"{self.bank}, {self.warmup}, {self.phi_steps}; allowed: a batch of 2 or more, a "
                "warm-up of 0 or more, 1 or more of the others."
            )
            raise RefusedInputError(msg)
        for name in ("momentum", "phi_first", "phi_last", "least_positive"):
            if not 0 <= getattr(self, name) <= 1:
                msg = f"{name} got {getattr(self, name)}; allowed: a share in [0, 1]."
                raise RefusedInputError(msg)
        weights = (self.contrast_weight, self.bag_weight)
        if not 0 < self.temperature < math.inf or not all(0 <= w < math.inf for w in weights):
            msg = (
                f"temperature got {self.temperature}, the weights of contrast and bag {weights}; "
                "allowed: a positive temperature, weights >= 0."
            )
            raise RefusedInputError(msg)
        self._refuse_words()

    def phi(self, step: int) -> float:
        """Return the share of the old soft label, ``step`` optimiser steps into the run."""
        after = max(step - self.warmup, 0)
        return linear(self.phi_first, self.phi_last, self.phi_steps)(after)

    def total(self, parts: Mapping[str, Tensor], bag: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Return ``instance + contrast_weight contrast + bag_weight bag``."""
        weighted = parts["instance"] + self.contrast_weight * parts["contrast"]
        return weighted + self.bag_weight * bag

    def _refuse_words(self) -> None:
        predict = ("head", *get_args(Pooling))
        for name, allowed in (("bag_loss", get_args(BagLoss)), ("predict", predict)):
            if getattr(self, name) not in allowed:
                msg = f"{name} got {getattr(self, name)!r}; allowed: {', '.join(allowed)}."
                raise RefusedInputError(msg)

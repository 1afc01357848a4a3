"""What an encoder is: uint8 tiles in, one row of features a tile out, and a card that says how."""

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import RefusedInputError, ShapeError

__all__ = [
    "DTYPES",
    "IMAGENET",
    "Encoder",
    "EncoderCard",
    "Features",
    "Precision",
    "Preprocessing",
    "Tiles",
]

Precision = Literal["fp32", "bf16", "fp16"]
Tiles = UInt8[Tensor, "tiles rows columns 3"]
Features = Float32[Tensor, "tiles dim"]

DTYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How tiles were shown to a network when it was trained.

    A value v of 0 to 255 becomes ``(v / 255 - mean) / std``, channel by channel.

    Parameters
    ----------
    input_px
        Side of a tile [px].
    mean, std
        Of red, green, blue, on the scale of 0 to 1.
    mpp
        Microns per pixel of the training tiles; None where there is no such thing or nobody said.

    Raises
    ------
    RefusedInputError
        A value is outside its range.

    Examples
    --------
    >>> IMAGENET.input_px
    224
    """

    input_px: int = 224
    mean: _Triple = (0.485, 0.456, 0.406)
    std: _Triple = (0.229, 0.224, 0.225)
    mpp: float | int | None = None

    def __post_init__(self) -> None:
        positive = (*self.std, 1 if self.mpp is None else self.mpp)
        finite = all(map(math.isfinite, (*positive, *self.mean)))
        if self.input_px < 1 or min(positive) <= 0 or not finite:
            msg = (
                f"Preprocessing got input_px={self.input_px}, mean={self.mean}, std={self.std}, "
                f"mpp={self.mpp}; allowed: at least one pixel, a finite mean, and positive numbers "
                "(mpp may be None)."
            )
            raise RefusedInputError(msg)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Preprocessing":
        """Return the preprocessing that a weights file of ours holds as JSON.

        Raises
        ------
        RefusedInputError
            ``pixels``, ``mpp``, ``mean`` or ``std`` is missing or no such number.
        """
        try:
            mpp = None if facts["mpp"] is None else float(facts["mpp"])
            return cls(
                input_px=operator.index(facts["pixels"]),
                mean=_triple(facts["mean"]),
                std=_triple(facts["std"]),
                mpp=mpp,
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            msg = f"{facts!r} are no facts of tiles; allowed: pixels, mpp, mean, std: {error}"
            raise RefusedInputError(msg) from error


IMAGENET = Preprocessing()


@dataclass(frozen=True, kw_only=True)
class EncoderCard:
    """All that decides the features of a tile, for the header of what is stored.

    Parameters
    ----------
    name
        By which `make_encoder` makes it.
    dim
        Features a tile.
    preprocessing
        Size, normalisation and microns per pixel of the tiles.
    sha256
        Of the weights file; of the settings where there are no weights.
    precision
        Of the computation: ``"fp32"``, ``"bf16"`` or ``"fp16"``. Features are float32 always.
    settings
        What else decides them, plain JSON values: the architecture.

    Examples
    --------
    >>> card = EncoderCard(name="a", dim=2, preprocessing=IMAGENET, sha256="0" * 64)
    >>> len(card.digest())
    64
    """

    name: str
    dim: int
    preprocessing: Preprocessing
    sha256: str
    precision: Precision = "fp32"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the card as JSON knows it."""
        values = {**asdict(self), "settings": dict(self.settings)}
        preprocessing = values["preprocessing"]
        preprocessing.update(mean=list(preprocessing["mean"]), std=list(preprocessing["std"]))
        return values

    def digest(self) -> str:
        """Return the sha256 of the whole card: equal for equal features, up to the device."""
        return sha256_of_bytes(canonical_json(self.as_dict()))


class Encoder(ABC):
    """Tiles to features; rows do not depend on which other tiles share a batch.

    Makers of encoders write `_features`; callers call the object. The same tiles on the same
    device give the same bits. Features of other batch sizes may differ in the last bits of the
    precision, as matrix products are split otherwise.

    Parameters
    ----------
    card
        What it is.
    device
        Where it computes.

    Examples
    --------
    >>> class Brightness(Encoder):
    ...     def _features(self, tiles):
    ...         return tiles.float().mean(dim=(1, 2, 3))[:, None]
    >>> card = EncoderCard(name="b", dim=1, preprocessing=Preprocessing(input_px=8), sha256="")
    >>> Brightness(card, device="cpu")(torch.full((2, 8, 8, 3), 7, dtype=torch.uint8)).tolist()
    [[7.0], [7.0]]
    """

    has_weights = True
    """False for one whose settings are all that it has."""

    def __init__(self, card: EncoderCard, *, device: torch.device | str) -> None:
        self.card = card
        self.device = torch.device(device)

    @property
    def name(self) -> str:
        """By which `make_encoder` makes it."""
        return self.card.name

    @property
    def dim(self) -> int:
        """Features a tile."""
        return self.card.dim

    @property
    def input_px(self) -> int:
        """Side of a tile [px]."""
        return self.card.preprocessing.input_px

    @property
    def mean(self) -> tuple[float, float, float]:
        """What is subtracted from red, green, blue, on the scale of 0 to 1."""
        return self.card.preprocessing.mean

    @property
    def std(self) -> tuple[float, float, float]:
        """By what red, green, blue are divided, on the scale of 0 to 1."""
        return self.card.preprocessing.std

    @property
    def mpp(self) -> float | int | None:
        """Microns per pixel of the training tiles, None where unknown."""
        return self.card.preprocessing.mpp

    @property
    def sha256(self) -> str:
        """Of the weights, or of the settings where there are none."""
        return self.card.sha256

    def __call__(self, tiles: Tiles) -> Features:
        """Return one row of features a tile, float32, on the device of the encoder.

        Parameters
        ----------
        tiles
            RGB, on any device. From the memory of the host the copy is waited for, so that a
            buffer may be filled again at once; to overlap copies, hand over tiles on the device.

        Raises
        ------
        ShapeError
            The tiles are not of ``input_px``.
        """
        self._check(tiles)
        if len(tiles) == 0:
            return torch.empty(0, self.dim, device=self.device)
        # a caller's autocast would compute in another precision than the card says
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return self._features(tiles.to(self.device)).float()

    @abstractmethod
    def _features(self, tiles: Tensor) -> Tensor:
        """Return features ``tiles dim`` of at least one tile that lies on the device."""

    def _check(self, tiles: Tensor) -> None:
        if tiles.dtype != torch.uint8 or tiles.shape[1:] != (self.input_px, self.input_px, 3):
            msg = (
                f"{self.name} got tiles {tuple(tiles.shape)} {tiles.dtype}; allowed: "
                f"(n, {self.input_px}, {self.input_px}, 3) torch.uint8. Read tiles of "
                f"{self.input_px} px."
            )
            raise ShapeError(msg)


def _triple(values: Any) -> _Triple:  # noqa: ANN401 - whatever a file holds
    red, green, blue = (float(value) for value in values)
    return red, green, blue

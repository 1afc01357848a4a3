"""Colour and texture of a tile as 146 numbers: an encoder that needs no weights.

Stains by colour deconvolution, Ruifrok & Johnston 2001 (Anal Quant Cytol Histol 23:291-299); local
binary patterns, Ojala et al. 2002, doi:10.1109/TPAMI.2002.1017623.
"""

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float32, Int16
from torch import Tensor
from torch.nn import functional

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist.errors import RefusedInputError
from medconsist.wsi.encoders.encoder import Encoder, EncoderCard, Preprocessing
from medconsist.wsi.stain_vectors import HED

__all__ = ["ColourTexture", "ColourTextureSettings", "optical_density", "stains"]

Density = Float32[Tensor, "tiles 3 rows columns"]
Planes = Float32[Tensor, "tiles planes rows columns"]
Rows = Float32[Tensor, "tiles features"]

# Raised when any number of the same tile changes.
_VERSION = 1
_WHITE = 255.0
# Below this spread [optical density] a plane is flat: its third moment and correlations are 0.
_FLAT = 1e-3
_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
_PATTERNS = len(_NEIGHBOURS) + 2
# A pattern compares densities that are rounded to this many levels a unit.
_LEVELS = 100
_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class ColourTextureSettings:
    """What the numbers are taken of.

    Parameters
    ----------
    bins
        Of each histogram of haematoxylin, eosin and saturation.
    radii
        Of the local binary patterns [px].
    scales
        Sides of the squares that are averaged before gradients are taken [px].

    Raises
    ------
    RefusedInputError
        A value is below 1, or a list is empty.

    Examples
    --------
    >>> ColourTextureSettings().dim
    146
    """

    bins: int = 10
    radii: tuple[int, ...] = (1, 2, 4)
    scales: tuple[int, ...] = (1, 2, 4, 8)

    def __post_init__(self) -> None:
        if min((self.bins, *self.radii, *self.scales)) < 1 or not self.radii or not self.scales:
            msg = f"Settings got {asdict(self)}; allowed: at least one of each, all at least 1."
            raise RefusedInputError(msg)

    @property
    def dim(self) -> int:
        """Features a tile: 24 of colour, 3 a bin, 20 a radius, 8 a scale."""
        return 24 + 3 * self.bins + 2 * _PATTERNS * len(self.radii) + 8 * len(self.scales)

    @property
    def least_px(self) -> int:
        """Smallest side of a tile: three averaged squares, and one pixel with all neighbours."""
        return max(3 * max(self.scales), 2 * max(self.radii) + 1)


class ColourTexture(Encoder):
    """Colour moments, histograms, local binary patterns and gradients at several scales.

    With the optical density ``d = -log10(max(v, 1) / 255)`` and the amounts of haematoxylin and
    eosin (`stains`), the features of a tile are, in this order:

    - 18: mean, standard deviation and cube root of the third central moment of d in red, green and
      blue and of the three stains;
    - 6: correlations of the three pairs in d, then of those of the stains;
    - 30: shares of pixels in 10 bins of haematoxylin (0 to 1.5), eosin (0 to 1.5) and saturation
      ``(max - min) / max`` of red, green, blue (0 to 1), the last bin open;
    - 60: shares of the 10 rotation-invariant uniform patterns of 8 neighbours, for luminance and
      haematoxylin at 1, 2 and 4 px;
    - 32: for luminance and haematoxylin averaged over squares of 1, 2, 4 and 8 px, mean and spread
      of the gradient, mean of the absolute Laplacian, and how far gradients agree in direction.

    Turning a tile by 90 degrees or mirroring it changes nothing, up to rounding, where the scales
    divide its side.
    Nothing is trained: these are a baseline and a way to run without weights, not a substitute for
    a pathology network. Stain vectors are those of the paper, not of the scanner.

    Parameters
    ----------
    input_px
        Side of a tile [px], at least 24 with the default settings.
    settings
        See `ColourTextureSettings`.
    device
        Where it computes, in float32.

    Raises
    ------
    RefusedInputError
        The tiles are too small for the settings.

    Examples
    --------
    >>> encoder = ColourTexture(input_px=64)
    >>> encoder(torch.full((2, 64, 64, 3), 200, dtype=torch.uint8)).shape
    torch.Size([2, 146])
    """

    has_weights = False

    def __init__(
        self,
        *,
        input_px: int = 224,
        settings: ColourTextureSettings | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._settings = settings or ColourTextureSettings()
        if input_px < self._settings.least_px:
            msg = f"input_px got {input_px}; allowed: at least {self._settings.least_px}."
            raise RefusedInputError(msg)
        values = {"version": _VERSION, "stains": HED, **asdict(self._settings)}
        card = EncoderCard(
            name="colour-texture",
            dim=self._settings.dim,
            preprocessing=Preprocessing(input_px=input_px, mean=(0.0,) * 3, std=(1.0,) * 3),
            sha256=sha256_of_bytes(canonical_json(values)),
            settings=values,
        )
        super().__init__(card, device=device)

    def _features(self, tiles: Tensor) -> Tensor:
        # planes of a few tiles stay in the cache of a processor, and bound the memory anywhere
        return torch.cat([self._rows(some) for some in torch.split(tiles, _AT_ONCE)])

    def _rows(self, tiles: Tensor) -> Rows:
        density = optical_density(tiles)
        amounts = stains(density)
        luminance = density.mean(dim=1, keepdim=True)
        textured = torch.cat([luminance, amounts[:, :1]], dim=1)
        parts = [
            _moments(torch.cat([density, amounts], dim=1)),
            _correlations(density),
            _correlations(amounts),
            _histograms(tiles, amounts, self._settings.bins),
            *(_binary_patterns(textured, radius) for radius in self._settings.radii),
            *(_gradients(textured, scale) for scale in self._settings.scales),
        ]
        return torch.cat(parts, dim=1)


def optical_density(tiles: Tensor) -> Density:
    """Return ``-log10(max(v, 1) / 255)`` of uint8 tiles ``tiles rows columns 3``; 0 is white."""
    table = -(torch.arange(256, device=tiles.device).clamp_min(1).float() / _WHITE).log10()
    return table[tiles.permute(0, 3, 1, 2).int()].contiguous()


def stains(density: Density) -> Density:
    """Return the amounts of haematoxylin, eosin and diaminobenzidine, which may be negative.

    The density is their sum, each times its vector of unit length.
    """
    vectors = torch.tensor(HED, dtype=torch.float64)
    unmix = functional.normalize(vectors, dim=1).inverse().T.to(density)
    amounts = [sum(unmix[s, c] * density[:, c] for c in range(3)) for s in range(3)]
    return torch.stack([torch.as_tensor(amount) for amount in amounts], dim=1)


def _moments(planes: Planes) -> Rows:
    centred = planes - planes.mean(dim=(2, 3), keepdim=True)
    spread = centred.square().mean(dim=(2, 3)).sqrt()
    third = centred.pow(3).mean(dim=(2, 3))
    skew = third.sign() * third.abs().pow(1 / 3)
    return torch.cat([planes.mean(dim=(2, 3)), spread, skew], dim=1)


def _correlations(planes: Planes) -> Rows:
    centred = planes - planes.mean(dim=(2, 3), keepdim=True)
    spread = centred.square().mean(dim=(2, 3)).sqrt()
    found = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        both = (centred[:, a] * centred[:, b]).mean(dim=(1, 2))
        product = spread[:, a] * spread[:, b]
        found.append(torch.where(product > _FLAT**2, both / product.clamp_min(_FLAT**2), 0.0))
    return torch.stack(found, dim=1)


def _histograms(tiles: Tensor, amounts: Density, bins: int) -> Rows:
    values = tiles.float()
    most, least = values.amax(dim=3), values.amin(dim=3)
    saturation = (most - least) / most.clamp_min(1)
    planes = torch.stack([amounts[:, 0] / 1.5, amounts[:, 1] / 1.5, saturation], dim=1)
    return _shares((planes * bins).long().clamp(0, bins - 1), bins)


def _shares(codes: Tensor, n: int) -> Rows:
    """Return the share of each code of 0 to n - 1 in each plane; counts are exact."""
    flat = codes.flatten(2)
    counts = torch.zeros(*flat.shape[:2], n, device=codes.device)
    # sums of ones are whole numbers below 2^24: exact in float32, in any order
    counts.scatter_add_(2, flat, torch.ones_like(flat, dtype=torch.float32))
    return (counts / flat.shape[2]).flatten(1)


def _binary_patterns(planes: Planes, radius: int) -> Rows:
    levels: Int16[Tensor, "tiles planes rows columns"] = (planes * _LEVELS).round().to(torch.int16)
    rows, columns = (n - 2 * radius for n in levels.shape[2:])

    def moved(down: int, right: int) -> Tensor:
        top, left = radius * (1 + down), radius * (1 + right)
        return levels[:, :, top : top + rows, left : left + columns]

    bits = [(moved(*step) >= moved(0, 0)).to(torch.uint8) for step in _NEIGHBOURS]
    changes = sum(a ^ b for a, b in zip(bits, bits[1:] + bits[:1], strict=True))
    ones = torch.as_tensor(sum(bits))
    return _shares(
        torch.where(torch.as_tensor(changes) <= 2, ones, _PATTERNS - 1).long(), _PATTERNS
    )


def _gradients(planes: Planes, scale: int) -> Rows:
    x = functional.avg_pool2d(planes, scale)
    down = (x[:, :, 2:, 1:-1] - x[:, :, :-2, 1:-1]) / 2
    right = (x[:, :, 1:-1, 2:] - x[:, :, 1:-1, :-2]) / 2
    size = (down.square() + right.square()).sqrt()
    middle = x[:, :, 1:-1, 1:-1]
    around = x[:, :, 2:, 1:-1] + x[:, :, :-2, 1:-1] + x[:, :, 1:-1, 2:] + x[:, :, 1:-1, :-2]
    dd, rr, dr = (
        (a * b).mean(dim=(2, 3)) for a, b in ((down, down), (right, right), (down, right))
    )
    energy = dd + rr
    agreed = ((dd - rr).square() + 4 * dr.square()).sqrt()
    agreed = torch.where(energy > _FLAT**2, agreed / energy.clamp_min(_FLAT**2), 0.0)
    spread = (size - size.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(2, 3)).sqrt()
    laplacian = (around - 4 * middle).abs().mean(dim=(2, 3))
    return torch.cat([size.mean(dim=(2, 3)), spread, laplacian, agreed], dim=1)

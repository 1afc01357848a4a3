"""Random views of tiles: first drawn, on the CPU, then applied, on the device of the tiles."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Generator, Tensor

from medconsist.errors import RefusedInputError
from medconsist.wsi.encoders.encoder import IMAGENET
from medconsist.wsi.simclr.colour import colour_jitter, greyscale, stain_jitter
from medconsist.wsi.simclr.geometry import (
    SYMMETRIES,
    crop_and_resize,
    gaussian_blur,
    symmetry_of_square,
)

__all__ = ["ViewDraw", "Views"]

_WHITEST = 255.0


@dataclass(frozen=True, eq=False)
class ViewDraw:
    """Everything random about one view of each tile; row i is about tile i and no other.

    Parameters
    ----------
    box
        See `crop_and_resize`.
    symmetry
        See `symmetry_of_square`.
    gain, shift
        See `stain_jitter`.
    change
        See `colour_jitter`.
    grey
        Tiles shown without colour.
    sigma
        See `gaussian_blur`.

    Examples
    --------
    >>> Views(pixels=32).draw(5, torch.Generator()).box.shape
    torch.Size([5, 4])
    """

    box: Float[Tensor, "tiles 4"]
    symmetry: Int64[Tensor, " tiles"]
    gain: Float[Tensor, "tiles 3"]
    shift: Float[Tensor, "tiles 3"]
    change: Float[Tensor, "tiles 4"]
    grey: Bool[Tensor, " tiles"]
    sigma: Float[Tensor, " tiles"]

    def at(self, index: Tensor | slice) -> "ViewDraw":
        """Return the draws of some tiles."""
        return ViewDraw(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True, kw_only=True)
class Views:
    """What may differ between two views of one tile; a strength of 0 leaves that part out.

    The defaults are for H&E at a fixed mpp. All eight symmetries, since tissue has no upright.
    Crops keep at least 40 % of the area: SimCLR's 8 % (Chen et al. 2020, arXiv:2002.05709) would
    change the magnification three-fold, and size tells one cell from another. Colour varies along
    the stains (Tellez et al. 2019, arXiv:1902.06543) and a little in brightness, contrast and
    saturation. ``hue`` is 0: a turn of a tenth makes H&E look like another stain or like IHC.
    Grey views are rarer than SimCLR's 20 %, as colour is evidence here. There is no solarising
    and no cut-out: no microscope does that.

    Parameters
    ----------
    pixels
        Rows and columns of a view.
    crop_area, crop_aspect
        Least and largest share of the tile's area; the aspect (width over height, shares) lies
        in ``[1 / crop_aspect, crop_aspect]``, log-uniformly, as far as the area leaves room.
    turn
        Draw one of the eight symmetries of the square.
    stain, stain_shift
        Each stain is multiplied by 1 +- ``stain``, then moved by +- ``stain_shift`` in density.
    brightness, contrast, saturation, hue
        Factors 1 +- the strength; hue +- turns, at most 0.5.
    colour_share
        Share of views with stain and colour changes.
    grey_share
        Share of views in grey.
    blur, blur_share
        Largest standard deviation in pixels of the view, and share of views blurred.
    mean, std
        Normalisation ``(x - mean) / std`` of red, green and blue in [0, 1]; the usual numbers of
        ImageNet. The encoder file records them.

    Raises
    ------
    RefusedInputError
        A number out of its range.

    Examples
    --------
    >>> tiles = torch.zeros(4, 40, 40, 3, dtype=torch.uint8)
    >>> Views(pixels=32)(tiles, torch.Generator().manual_seed(0)).shape
    torch.Size([4, 3, 32, 32])
    """

    pixels: int = 224
    crop_area: tuple[float | int, float | int] = (0.4, 1.0)
    crop_aspect: float | int = 4 / 3
    turn: bool = True
    stain: float | int = 0.2
    stain_shift: float | int = 0.02
    brightness: float | int = 0.2
    contrast: float | int = 0.2
    saturation: float | int = 0.2
    hue: float | int = 0.0
    colour_share: float | int = 0.8
    grey_share: float | int = 0.1
    blur: float | int = 1.5
    blur_share: float | int = 0.5
    mean: tuple[float, float, float] = IMAGENET.mean
    std: tuple[float, float, float] = IMAGENET.std

    def __post_init__(self) -> None:
        least, largest = self.crop_area
        if self.pixels < 1 or not 0 < least <= largest <= 1 or not 1 <= self.crop_aspect < math.inf:
            msg = (
                f"pixels, crop_area and crop_aspect got {self.pixels}, {self.crop_area} and "
                f"{self.crop_aspect}; allowed: 1 or more, 0 < least <= largest <= 1, 1 or more."
            )
            raise RefusedInputError(msg)
        shares = ("brightness", "contrast", "saturation", "colour_share", "grey_share")
        for name in (*shares, "blur_share", "stain", "stain_shift", "hue", "blur"):
            top = {"hue": 0.5, "blur": math.inf}.get(name, 1.0)
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= top):
                msg = f"{name} got {value}; allowed: 0 to {top}, finite."
                raise RefusedInputError(msg)
        if not all(map(math.isfinite, self.mean)) or not all(0 < s < math.inf for s in self.std):
            msg = f"mean and std got {self.mean} and {self.std}; allowed: finite, std positive."
            raise RefusedInputError(msg)

    def plain(self) -> "Views":
        """Return the view without chance: the whole tile, resized and normalised."""
        return Views(
            pixels=self.pixels,
            crop_area=(1, 1),
            turn=False,
            colour_share=0,
            stain=0,
            stain_shift=0,
            brightness=0,
            contrast=0,
            saturation=0,
            grey_share=0,
            blur=0,
            mean=self.mean,
            std=self.std,
        )

    def draw(self, n_tiles: int, generator: Generator) -> ViewDraw:
        """Return one draw for each of ``n_tiles``, on the device of the generator."""

        def uniform(low: float | int, high: float | int, *shape: int) -> Tensor:
            device = generator.device
            share = torch.rand(n_tiles, *shape, generator=generator, device=device)
            return low + (high - low) * share

        coloured = uniform(0, 1) < self.colour_share
        strengths = torch.tensor([self.brightness, self.contrast, self.saturation, self.hue])
        change = uniform(-1, 1, 4) * strengths.to(coloured.device) * coloured[:, None]
        change = change + change.new_tensor([1, 1, 1, 0])
        return ViewDraw(
            box=self._boxes(uniform),
            symmetry=(uniform(0, SYMMETRIES).long().clamp(max=SYMMETRIES - 1)) * self.turn,
            gain=1 + uniform(-self.stain, self.stain, 3) * coloured[:, None],
            shift=uniform(-self.stain_shift, self.stain_shift, 3) * coloured[:, None],
            change=change,
            grey=uniform(0, 1) < self.grey_share,
            sigma=uniform(0, self.blur) * (uniform(0, 1) < self.blur_share),
        )

    def apply(
        self, tiles: UInt8[Tensor, "tiles rows columns 3"], draw: ViewDraw
    ) -> Float[Tensor, "tiles 3 pixels pixels"]:
        """Return the views as drawn, normalised, float32; tiles and draw are on one device.

        Raises
        ------
        RefusedInputError
            The tiles are more than twice as large as the view, or smaller than the blur.
        """
        images = tiles.permute(0, 3, 1, 2).float() / _WHITEST
        images = crop_and_resize(images, draw.box, self.pixels)
        images = symmetry_of_square(images, draw.symmetry)
        if self.stain or self.stain_shift:
            images = stain_jitter(images, draw.gain, draw.shift)
        if self.brightness or self.contrast or self.saturation or self.hue:
            images = colour_jitter(images, draw.change)
        if self.grey_share:
            images = greyscale(images, draw.grey)
        images = gaussian_blur(images, draw.sigma, largest=self.blur)
        mean, std = (images.new_tensor(v)[:, None, None] for v in (self.mean, self.std))
        return (images - mean) / std

    def __call__(
        self, tiles: UInt8[Tensor, "tiles rows columns 3"], generator: Generator
    ) -> Float[Tensor, "tiles 3 pixels pixels"]:
        """Draw and apply one view of each tile."""
        draw = self.draw(len(tiles), generator)
        moved = (getattr(draw, name).to(tiles.device) for name in draw.__dataclass_fields__)
        return self.apply(tiles, ViewDraw(*moved))

    def _boxes(self, uniform: Callable[..., Tensor]) -> Tensor:
        area = uniform(*self.crop_area)
        # w = sqrt(a r) and h = sqrt(a / r) both fit if |log r| <= -log a
        room = (-area.log()).clamp(0, math.log(self.crop_aspect))
        aspect = (uniform(-1, 1) * room).exp()
        size = torch.stack([area / aspect, area * aspect], -1).sqrt().clamp(max=1)
        return torch.cat([uniform(0, 1, 2) * (1 - size), size], -1)

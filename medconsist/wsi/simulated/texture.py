"""How much of each stain lies where: glands, stroma, lymphocytes and tumour nests."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Integer

from medconsist.wsi.simulated.anatomy import Anatomy
from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.noise import NoiseField, cell_randoms
from medconsist.wsi.simulated.nuclei import (
    EPITHELIUM,
    LYMPHOCYTE,
    REACH_UM,
    SPINDLE,
    TUMOUR,
    nuclei_drawer,
    stamp,
)

__all__ = ["StainMaps", "Texture"]

_CELL_UM = 6.0
_NONE = np.zeros((1, 1), np.float32)
_POSITIVE_TUMOUR, _POSITIVE_OTHER = 0.8, 0.04
_PITCHES_UM = {
    "gland": 62.0,
    "wobble": 15.0,
    "aggregate": 170.0,
    "thickness": 260.0,
    "grain": 2.6,
    "flow": 95.0,
}

Plane = Float[np.ndarray, "rows columns"]
MapOrZero = Float[np.ndarray, "#rows #columns"]
Rows = Integer[np.ndarray, " rows"]
Columns = Integer[np.ndarray, " columns"]


@dataclass(frozen=True)
class StainMaps:
    """Optical density of each stain before the scanner sees it; a ``1 1`` map of zero for none.

    Examples
    --------
    >>> empty = np.zeros((2, 2), np.float32)
    >>> StainMaps(haematoxylin=empty, counter=empty, dab=empty).counter.shape
    (2, 2)
    """

    haematoxylin: MapOrZero
    counter: MapOrZero
    dab: MapOrZero


Weights = Float[np.ndarray, "*place"]


@dataclass(frozen=True)
class _Regions:
    """Weights between 0 and 1 of what each place belongs to."""

    tissue: Weights
    tumour: Weights
    lumen: Weights
    nest: Weights
    basal: Weights
    lymphoid: Weights

    def at(self, *index: slice | Integer[np.ndarray, " places"]) -> "_Regions":
        return _Regions(**{name: plane[index] for name, plane in vars(self).items()})


@dataclass(frozen=True)
class _Nuclei:
    """Where nuclei lie (pixels of the wide rectangle), of which kind, and their own numbers."""

    y: Integer[np.ndarray, " nuclei"]
    x: Integer[np.ndarray, " nuclei"]
    kind: Integer[np.ndarray, " nuclei"]
    shape: Float[np.ndarray, " nuclei"]
    is_brown: Bool[np.ndarray, " nuclei"]

    def at(self, chosen: Bool[np.ndarray, " nuclei"]) -> "_Nuclei":
        return _Nuclei(**{name: values[chosen] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Texture:
    """Draw the stain of any rectangle.

    Normal tissue has glands (a lumen, tall cells, nuclei in a row at the base), pink fibrous
    stroma with spindle cells, and lymphocyte aggregates, which are as blue as tumour. Tumour has
    solid nests of large unequal nuclei. So the mean colour alone does not tell them apart.

    Parameters
    ----------
    anatomy
        Where tissue and tumour lie.

    Examples
    --------
    >>> texture = Texture(Anatomy(SlideConfig(width=256, height=256)))
    >>> texture.draw(np.arange(100, 132), np.arange(90, 130)).haematoxylin.shape
    (32, 40)
    """

    anatomy: Anatomy

    @property
    def config(self) -> SlideConfig:
        """The slide that is drawn."""
        return self.anatomy.config

    @cached_property
    def margin(self) -> int:
        """Pixels around a rectangle in which a nucleus may start that reaches into it."""
        return int(REACH_UM / self.config.rendered_mpp) + 3

    def is_empty(self, ys: Rows, xs: Columns) -> bool:
        """Say whether neither tissue nor a nucleus reaches these rows and columns."""
        wide_y, wide_x = (_widened(axis, self.margin) for axis in (ys, xs))
        return bool((self.anatomy.tissue(wide_y, wide_x) <= 0).all())

    def draw(self, ys: Rows, xs: Columns) -> StainMaps:
        """Return the stain maps at consecutive rows ``ys`` and columns ``xs``."""
        margin = self.margin
        wide_y, wide_x = (_widened(axis, margin) for axis in (ys, xs))
        regions = self._regions(wide_y, wide_x)
        inner = slice(margin, margin + len(ys)), slice(margin, margin + len(xs))
        nuclei = self._place(regions, wide_y, wide_x)
        size = len(wide_y), len(wide_x)
        if self.config.stain != "ihc":
            return self._stains(regions.at(*inner), self._stamped(nuclei, size), ys, xs)
        blue, brown = (
            self._stamped(nuclei.at(nuclei.is_brown == is_brown), size)
            for is_brown in (False, True)
        )
        maps = self._stains(regions.at(*inner), blue, ys, xs)
        return StainMaps(
            haematoxylin=maps.haematoxylin * np.float32(0.7),
            counter=_NONE,
            dab=brown * np.float32(1.1) + np.float32(0.15) * maps.counter,
        )

    def _regions(self, ys: Rows, xs: Columns) -> _Regions:
        crisp = 0.1 * min(self.config.width, self.config.height)
        tissue = _step(self.anatomy.tissue(ys, xs) * np.float32(crisp))
        tumour = _step(self.anatomy.tumour(ys, xs) * np.float32(8))
        gland = self._field("gland", ys, xs) + np.float32(0.22) * self._field("wobble", ys, xs)
        solid = np.float32(0.45) * tumour
        base = gland - (np.float32(0.1) - solid)
        return _Regions(
            tissue=tissue,
            tumour=tumour,
            lumen=_step((gland - np.float32(1.05) - solid) * np.float32(9)),
            nest=_step(base * np.float32(12)),
            basal=_step(np.float32(6) * (np.float32(0.3) - np.abs(base - np.float32(0.2)))),
            lymphoid=_step((self._field("aggregate", ys, xs) - 1.2 - 0.6 * tumour) * 6),
        )

    def _place(self, regions: _Regions, ys: Rows, xs: Columns) -> _Nuclei:
        """Choose the nuclei whose centres lie in the rectangle: at most one per cell of a grid."""
        pitch = _CELL_UM / self.config.rendered_mpp
        rows, columns = (
            np.arange(int(axis[0] // pitch) - 1, int(axis[-1] // pitch) + 2) for axis in (ys, xs)
        )
        chances = cell_randoms(self.config.seed, rows, columns, count=6)
        y = ((rows[:, None] + chances[0]) * pitch).astype(int) - ys[0]
        x = ((columns[None] + chances[1]) * pitch).astype(int) - xs[0]
        seen = (y >= 0) & (y < len(ys)) & (x >= 0) & (x < len(xs))
        here = regions.at(y[seen], x[seen])
        kind, density = _population(here, chances[2][seen])
        brown = np.where(here.tumour > 0.5, _POSITIVE_TUMOUR, _POSITIVE_OTHER)
        candidates = _Nuclei(y[seen], x[seen], kind, chances[4][seen], chances[5][seen] < brown)
        return candidates.at(chances[3][seen] < density)

    def _stamped(self, nuclei: _Nuclei, size: tuple[int, int]) -> Float[np.ndarray, "_ _"]:
        """Draw the nuclei on a wide rectangle of ``size`` and return its part without margins."""
        margin, drawer = self.margin, nuclei_drawer(self.config.rendered_mpp)
        picks = (nuclei.shape * len(drawer[0])).astype(int).tolist()
        shapes = [
            drawer[kind][pick] for kind, pick in zip(nuclei.kind.tolist(), picks, strict=True)
        ]
        canvas = np.zeros((size[0] + 2 * margin, size[1] + 2 * margin), np.float32)
        stamp(canvas, shapes, ys=nuclei.y + margin, xs=nuclei.x + margin)
        return canvas[2 * margin : -2 * margin, 2 * margin : -2 * margin]

    def _stains(self, regions: _Regions, nuclei: Plane, ys: Rows, xs: Columns) -> StainMaps:
        grain = self._field("grain", ys, xs)
        # Fibres follow the contour lines of a smooth field: parallel, curved, never crossing.
        flow = self._field("flow", ys, xs) + np.float32(0.02) * grain
        fibres = np.sin(np.float32(17) * flow) + np.float32(0.7) * np.sin(np.float32(43) * flow)
        thickness = 1 + np.float32(0.09) * self._field("thickness", ys, xs)
        open_tissue = regions.tissue * (1 - regions.lumen) * thickness
        stroma = np.float32(0.23) + np.float32(0.055) * fibres + np.float32(0.02) * grain
        cells = np.float32(0.18) + np.float32(0.028) * grain
        covered = np.minimum(nuclei * np.float32(2.2), 1)
        pink = stroma + regions.nest * (cells - stroma)
        counter = np.maximum(pink, 0) * (1 - np.float32(0.45) * covered) * open_tissue
        plasma = np.float32(0.015) + np.float32(0.055) * regions.nest * (
            1 + np.float32(0.3) * regions.tumour
        )
        plasma = plasma + np.float32(0.06) * regions.lymphoid * (1 - regions.nest)
        plasma *= 1 + np.float32(0.3) * grain
        haematoxylin = np.maximum(plasma * open_tissue, nuclei * thickness)
        return StainMaps(haematoxylin=haematoxylin, counter=counter, dab=_NONE)

    def _field(self, name: str, ys: Rows, xs: Columns) -> Plane:
        return self._fields[name].sample(ys, xs)

    @cached_property
    def _fields(self) -> dict[str, NoiseField]:
        mpp = self.config.rendered_mpp
        return {
            name: NoiseField.draw((self.config.seed, 200 + number), pitch=pitch_um / mpp)
            for number, (name, pitch_um) in enumerate(_PITCHES_UM.items())
        }


def _population(
    here: _Regions, chance: Float[np.ndarray, " places"]
) -> tuple[Integer[np.ndarray, " places"], Float[np.ndarray, " places"]]:
    """Return which kind of nucleus may lie at a place, and with which probability."""
    nest, tumour = here.nest > 0.5, here.tumour > 0.5
    lymphoid = (here.lymphoid > 0.5) & ~nest
    kind = np.where(nest, np.where(tumour, TUMOUR, EPITHELIUM), SPINDLE)
    stray = (chance < 0.25) & ~nest
    kind = np.where(lymphoid | stray, LYMPHOCYTE, kind)
    normal = np.where(here.basal > 0.5, 0.85, 0.14)
    density = np.where(nest, np.where(tumour, 0.44, normal), np.where(lymphoid, 0.85, 0.2))
    return kind, density * (1 - here.lumen) * (here.tissue > 0.5)


def _step(values: Plane) -> Plane:
    """Rise from 0 to 1 as ``values`` go from -1/2 to 1/2."""
    return np.clip(values + np.float32(0.5), 0, 1)


def _widened(axis: Integer[np.ndarray, " pixels"], margin: int) -> Integer[np.ndarray, " wider"]:
    return np.arange(int(axis[0]) - margin, int(axis[-1]) + margin + 1)

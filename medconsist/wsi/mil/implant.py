"""Implanted lesions and shams: pieces of a picture of real tissue with a truth that is known.

A lesion and a sham are made alike: normal tissue of elsewhere in the picture is turned and blended
in over the same feathered ellipse. Into that of a lesion nuclei are drawn before it is blended. So
seam, displacement and turning give nothing away, and what tells the two apart is texture alone.
They are simulated implants on real tissue, and say nothing about lesions of patients.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from medconsist._extras import require
from medconsist._ids import nearest
from medconsist.errors import RefusedInputError
from medconsist.wsi.regions import Geometry
from medconsist.wsi.simulated.nuclei import (
    EPITHELIUM,
    LYMPHOCYTE,
    SPINDLE,
    TUMOUR,
    nuclei_drawer,
    stamp,
)
from medconsist.wsi.stain_vectors import RUIFROK

__all__ = [
    "FAMILIES",
    "Family",
    "Implant",
    "Place",
    "Shape",
    "draw_implants",
    "implanted",
    "truth_mask",
]

_OUTLINE_POINTS = 72
_TURNS = 8
_TRIES = 4_000
_BRIGHT = 0.75  # quantile of the stained pixels of a donor that gaps are filled with
_STAINED = 215  # a pixel whose darkest channel is below it, grey level
Picture = UInt8[np.ndarray, "rows columns 3"]
Mask = Bool[np.ndarray, "rows columns"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """What is drawn into a lesion: nuclei of one kind, crowded, without gaps between the cells.

    Parameters
    ----------
    kind
        Of nucleus, see `medconsist.wsi.simulated.nuclei`.
    pitch_um
        Side of the squares that hold at most one nucleus each [um].
    filled
        Share of the squares that hold one.
    plasma
        Haematoxylin between the nuclei [optical density].

    Examples
    --------
    >>> FAMILIES["small-cell"].kind == LYMPHOCYTE
    True
    """

    kind: int
    pitch_um: float
    filled: float
    plasma: float


FAMILIES: Mapping[str, Family] = {
    "large-cell": Family(kind=TUMOUR, pitch_um=9.0, filled=0.9, plasma=0.05),
    "epithelioid": Family(kind=EPITHELIUM, pitch_um=7.5, filled=0.9, plasma=0.04),
    "spindle-cell": Family(kind=SPINDLE, pitch_um=7.0, filled=0.9, plasma=0.03),
    "small-cell": Family(kind=LYMPHOCYTE, pitch_um=6.0, filled=0.9, plasma=0.06),
}
"""Families of texture by name: some for training, another one for the test."""


@dataclass(frozen=True, kw_only=True)
class Place:
    r"""A turned ellipse with a feathered edge.

    With :math:`r` the elliptic distance from the centre, 1 on the ellipse, and :math:`f` the
    feather, the weight of the implant is 1 for :math:`r \le 1 - f`, 0 for :math:`r \ge 1`, and half
    a cosine between. What counts as inside is a weight of 1/2 or more: :math:`r \le 1 - f / 2`.

    Parameters
    ----------
    y, x
        Pixel of the centre [level-0 px].
    semi
        Half axes [px], 4 or more.
    angle
        Of the first of them against x [rad].
    feather
        Share of the radius over which the weight falls, above 0 to 1.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> place = Place(y=50, x=60, semi=(20, 10))
    >>> place.weights().shape, place.box
    ((41, 41), (slice(30, 71, None), slice(40, 81, None)))
    """

    y: int
    x: int
    semi: tuple[int, int]
    angle: float = 0.0
    feather: float = 0.3

    def __post_init__(self) -> None:
        if min(self.semi) < 4 or not 0 < self.feather <= 1:
            msg = (
                f"got half axes {self.semi} and feather {self.feather}; allowed: 4 px or more, and "
                "a share above 0 to 1."
            )
            raise RefusedInputError(msg)

    @property
    def reach(self) -> int:
        """Pixels from the centre to the furthest that may change."""
        return max(self.semi)

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the square around it."""
        return _box(self.y, self.x, self.reach)

    def weights(self) -> Float[np.ndarray, "side side"]:
        """Return the weight of the implant at each pixel of `box`, 0 to 1."""
        step = np.arange(-self.reach, self.reach + 1)
        down, right = step[:, None], step[None]
        along = right * math.cos(self.angle) + down * math.sin(self.angle)
        across = down * math.cos(self.angle) - right * math.sin(self.angle)
        radius = np.hypot(along / self.semi[0], across / self.semi[1])
        fallen = np.clip((radius - (1 - self.feather)) / self.feather, 0, 1)
        weights: Float[np.ndarray, "side side"] = (1 + np.cos(math.pi * fallen)) / 2
        weights[fallen >= 1] = 0
        return weights

    def polygon(self) -> Geometry:
        """Return the outline of what counts as inside, in level-0 pixels (pixel i: i to i + 1)."""
        turn = np.linspace(0, 2 * math.pi, _OUTLINE_POINTS, endpoint=False)
        inside = 1 - self.feather / 2
        along, across = (
            half * inside * wave
            for half, wave in zip(self.semi, (np.cos(turn), np.sin(turn)), strict=True)
        )
        x = self.x + 0.5 + along * math.cos(self.angle) - across * math.sin(self.angle)
        y = self.y + 0.5 + along * math.sin(self.angle) + across * math.cos(self.angle)
        return require("shapely", extra="wsi").Polygon(np.stack([x, y], axis=1))


@dataclass(frozen=True, kw_only=True)
class Implant:
    """One implant: where it goes, where its tissue comes from, and what is drawn into that.

    Parameters
    ----------
    place
        Where.
    donor
        Centre (y, x) of the tissue that is put there [level-0 px].
    turn
        0 to 7: quarter turns, and mirrored from 4 on.
    family
        Of `FAMILIES`; None is a sham.
    seed
        Of the nuclei.

    Raises
    ------
    RefusedInputError
        No such family or turn.

    Examples
    --------
    >>> Implant(place=Place(y=50, x=60, semi=(20, 10)), donor=(90, 90)).is_sham
    True
    """

    place: Place
    donor: tuple[int, int]
    turn: int = 0
    family: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.family is not None and self.family not in FAMILIES:
            msg = f"There is no family {self.family!r}. {nearest(self.family, FAMILIES)}"
            raise RefusedInputError(msg)
        if not 0 <= self.turn < _TURNS:
            msg = f"turn got {self.turn}; allowed: 0 to {_TURNS - 1}."
            raise RefusedInputError(msg)

    @property
    def is_sham(self) -> bool:
        """Whether nothing is drawn into it."""
        return self.family is None


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How large implants are drawn.

    Parameters
    ----------
    semi
        Least and most half axis [px].
    feather
        See `Place`.
    tissue
        Least share of tissue, of a place and of a donor, both weighted as the blending is.

    Examples
    --------
    >>> Shape().semi
    (100, 140)
    """

    semi: tuple[int, int] = (100, 140)
    feather: float = 0.3
    tissue: float = 0.9


def implanted(picture: Picture, implants: Sequence[Implant], *, mpp: float) -> Picture:
    """Return a copy of a picture with implants; where no weight is above 0 every bit is the same.

    Donors are read from the picture as it was given. In a lesion gaps of the donor take the
    colour of its brighter stained pixels, so that cells lie close; what is drawn absorbs by
    Beer-Lambert's law: the colours times ``10^(-h v)``, ``h`` the haematoxylin and ``v`` its
    density over red, green and blue (`medconsist.wsi.stain_vectors`).

    Parameters
    ----------
    picture
        H&E.
    implants
        Whose places do not overlap, which is not checked: the later one lies on top.
    mpp
        Microns per pixel of the picture: nuclei are drawn to scale.

    Raises
    ------
    RefusedInputError
        A place or a donor leaves the picture.

    Examples
    --------
    >>> white = np.full((100, 200, 3), 255, np.uint8)
    >>> one = Implant(place=Place(y=50, x=60, semi=(20, 10)), donor=(50, 140), family="small-cell")
    >>> bool((implanted(white, [one], mpp=0.5) != white).any())
    True
    """
    done = picture.copy()
    for one in implants:
        place = one.place
        source = _box(*one.donor, place.reach)
        for rows, columns in (place.box, source):
            if min(rows.start, columns.start) < 0 or (
                rows.stop > picture.shape[0] or columns.stop > picture.shape[1]
            ):
                msg = (
                    f"an implant takes the rows {rows.start} to {rows.stop} and the columns "
                    f"{columns.start} to {columns.stop}; the picture has {picture.shape[0]} x "
                    f"{picture.shape[1]} px. Move it inside."
                )
                raise RefusedInputError(msg)
        content = _turned(picture[source], one.turn).astype(np.float64)
        if one.family is not None:
            content = _grown(content, FAMILIES[one.family], mpp=mpp, seed=one.seed)
        weights = place.weights()[..., None]
        under = done[place.box]
        mixed = np.rint(under * (1 - weights) + content * weights).astype(np.uint8)
        done[place.box] = np.where(weights > 0, mixed, under)
    return done


def truth_mask(implants: Sequence[Implant], shape: tuple[int, int]) -> Mask:
    """Return which pixels of a picture of ``shape`` lie inside one of the implants."""
    inside = np.zeros(shape, np.bool_)
    for one in implants:
        inside[one.place.box] |= one.place.weights() >= 0.5
    return inside


def draw_implants(
    tissue: Mask,
    families: Sequence[str | None],
    *,
    shape: Shape | None = None,
    generator: torch.Generator,
) -> tuple[Implant, ...]:
    """Draw places and donors on tissue, one implant a family; no place overlaps another or a donor.

    Places, axes and turns are drawn before it is asked what goes there: lesions and shams differ in
    nothing else.

    Parameters
    ----------
    tissue
        Of every level-0 pixel.
    families
        Of `FAMILIES`, None for a sham.
    shape
        None takes the defaults.
    generator
        On the CPU.

    Raises
    ------
    RefusedInputError
        There is not enough tissue for so many.

    Examples
    --------
    >>> tissue = np.ones((600, 600), np.bool_)
    >>> pair = draw_implants(tissue, ("small-cell", None), shape=Shape(semi=(30, 40)),
    ...                      generator=torch.Generator().manual_seed(0))
    >>> [one.family for one in pair]
    ['small-cell', None]
    """
    search = _Search(tissue, shape or Shape(), generator)
    places = [search.place() for _ in families]
    return tuple(
        Implant(
            place=place,
            donor=search.donor(place),
            turn=search.whole(0, _TURNS),
            family=family,
            seed=search.whole(0, 2**31),
        )
        for place, family in zip(places, families, strict=True)
    )


@dataclass
class _Search:
    """Places that are drawn until they fit, and those that were."""

    tissue: Mask
    shape: Shape
    generator: torch.Generator
    taken: list[Place] = field(default_factory=list)
    tries: int = _TRIES

    def whole(self, low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=self.generator))

    def place(self) -> Place:
        low, high = self.shape.semi
        while True:
            semi = self.whole(low, high + 1), self.whole(low, high + 1)
            y, x = self._centre(max(semi))
            angle = float(torch.rand((), generator=self.generator)) * math.pi
            place = Place(y=y, x=x, semi=semi, angle=angle, feather=self.shape.feather)
            if self._fits(place.weights(), y, x):
                self.taken.append(place)
                return place

    def donor(self, place: Place) -> tuple[int, int]:
        # a donor is turned: what counts is a disc
        disc = Place(y=0, x=0, semi=(place.reach, place.reach), feather=place.feather).weights()
        while True:
            y, x = self._centre(place.reach)
            if self._fits(disc, y, x):
                return y, x

    def _centre(self, reach: int) -> tuple[int, int]:
        rows, columns = self.tissue.shape
        if self.tries == 0 or min(rows, columns) <= 2 * reach:
            msg = (
                f"no more place for an implant of {reach} px was found beside {len(self.taken)} "
                f"others in {rows} x {columns} px; ask for fewer or smaller ones."
            )
            raise RefusedInputError(msg)
        self.tries -= 1
        return self.whole(reach, rows - reach), self.whole(reach, columns - reach)

    def _fits(self, weights: Float[np.ndarray, "side side"], y: int, x: int) -> bool:
        reach = len(weights) // 2
        if any(math.hypot(y - p.y, x - p.x) <= reach + p.reach for p in self.taken):
            return False
        here = self.tissue[_box(y, x, reach)]
        return float((weights * here).sum() / weights.sum()) >= self.shape.tissue


def _box(y: int, x: int, reach: int) -> tuple[slice, slice]:
    return slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1)


def _turned(square: Picture, turn: int) -> Picture:
    mirrored = square[:, ::-1] if turn >= _TURNS // 2 else square
    turned: Picture = np.rot90(mirrored, turn % 4)
    return turned


def _grown(
    tissue: Float[np.ndarray, "side side 3"], family: Family, *, mpp: float, seed: int
) -> Float[np.ndarray, "side side 3"]:
    """Return tissue without gaps and with drawn nuclei."""
    stained = tissue[tissue.min(axis=2) < _STAINED]
    filled = np.minimum(tissue, np.quantile(stained, _BRIGHT, axis=0)) if len(stained) else tissue
    density = np.maximum(_nuclei(family, len(tissue), mpp=mpp, seed=seed), family.plasma)
    grown: Float[np.ndarray, "side side 3"] = filled * 10 ** (
        -density[..., None] * np.array(RUIFROK["haematoxylin"])
    )
    return grown


def _nuclei(family: Family, side: int, *, mpp: float, seed: int) -> Float[np.ndarray, "side side"]:
    """Return the haematoxylin of nuclei on a jittered lattice."""
    draw = np.random.default_rng(seed)
    shapes = nuclei_drawer(mpp)[family.kind]
    margin = max(len(shape) for shape in shapes) // 2 + 1
    pitch = family.pitch_um / mpp
    cells = math.ceil(side / pitch)
    corners = np.indices((cells, cells)).reshape(2, -1) * pitch
    centres = (corners + draw.uniform(0, pitch, corners.shape)).astype(int)
    chosen = (draw.random(cells**2) < family.filled) & (centres < side).all(axis=0)
    ys, xs = centres[:, chosen] + margin
    picks = draw.integers(0, len(shapes), len(ys)).tolist()
    canvas = np.zeros((side + 2 * margin, side + 2 * margin), np.float32)
    stamp(canvas, [shapes[pick] for pick in picks], ys=ys, xs=xs)
    return canvas[margin:-margin, margin:-margin]

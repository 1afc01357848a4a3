"""Planted faults: pen, fold, blur and missing tiles, each with the region that it covers."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from medconsist.wsi.simulated.anatomy import Anatomy
from medconsist.wsi.simulated.config import FAULTS

__all__ = ["BLUR_SIGMA_UM", "FOLD_GAIN", "INK", "Fault", "plant"]

INK = {
    "pen-blue": (1.15, 0.75, 0.12),
    "pen-green": (0.95, 0.22, 0.70),
    "pen-black": (1.10, 1.12, 1.05),
}
"""Optical density of the inks over red, green, blue."""
FOLD_GAIN = 2.1
"""Tissue that lies double, and a little more: its optical densities add."""
BLUR_SIGMA_UM = 4.0
_LARGEST_SHARE = 0.02

Rows = Integer[np.ndarray, " rows"]
Columns = Integer[np.ndarray, " columns"]


@dataclass(frozen=True, eq=False)
class Fault:
    """One fault and its shape: a thick line through points, an ellipse or a rectangle.

    Parameters
    ----------
    name
        One of ``pen-blue pen-green pen-black fold blur blank``.
    points
        Points of the line as y, x; for blur and blank the centre alone.
    size
        Half width of the line; half axes of the ellipse and the rectangle are this value along y
        and 1.5 times it along x [px].

    Examples
    --------
    >>> fault = Fault("blank", np.array([[50.0, 50.0]]), 10.0)
    >>> int((fault.depth(np.arange(100), np.arange(100)) > 0).sum())
    551
    """

    name: str
    points: Float[np.ndarray, "points 2"]
    size: float

    def depth(self, ys: Rows, xs: Columns) -> Float[np.ndarray, "rows columns"]:
        """Return how many pixels a place lies inside the region; outside is below zero."""
        y, x = ys.astype(np.float32)[:, None], xs.astype(np.float32)[None]
        if self.name in ("blur", "blank"):
            away_y, away_x = np.abs(y - self.points[0, 0]), np.abs(x - self.points[0, 1]) / 1.5
            if self.name == "blank":
                return (self.size - np.maximum(away_y, away_x)).astype(np.float32)
            return (self.size - np.hypot(away_y, away_x)).astype(np.float32)
        nearest = np.full((len(ys), len(xs)), np.inf, np.float32)
        for start, end in zip(self.points[:-1], self.points[1:], strict=True):
            np.minimum(nearest, _to_segment(y, x, start, end), out=nearest)
        return np.float32(self.size) - np.sqrt(nearest)

    def cover(self, ys: Rows, xs: Columns, *, softness: float) -> Float[np.ndarray, "rows columns"]:
        """Return 0 outside to 1 inside, rising over ``softness`` px."""
        return np.clip(self.depth(ys, xs) / np.float32(softness) + np.float32(0.5), 0, 1)

    def touches(self, ys: Rows, xs: Columns) -> bool:
        """Say whether the region may reach these rows and columns."""
        reach = 1.5 * self.size + 2
        low, high = self.points.min(0) - reach, self.points.max(0) + reach
        return bool(ys[-1] >= low[0] and ys[0] <= high[0] and xs[-1] >= low[1] and xs[0] <= high[1])


def _to_segment(
    y: Float[np.ndarray, "rows 1"],
    x: Float[np.ndarray, "1 columns"],
    start: Float[np.ndarray, "2"],
    end: Float[np.ndarray, "2"],
) -> Float[np.ndarray, "rows columns"]:
    """Squared distance to a segment."""
    along = (end - start).astype(np.float32)
    length = float(along @ along) or 1.0
    t = ((y - start[0]) * along[0] + (x - start[1]) * along[1]) / np.float32(length)
    t = np.clip(t, 0, 1)
    return ((y - start[0] - t * along[0]) ** 2 + (x - start[1] - t * along[1]) ** 2).astype(
        np.float32
    )


def plant(anatomy: Anatomy) -> tuple[Fault, ...]:
    """Draw the faults of the slide's config, each through a random place of the tissue."""
    config = anatomy.config
    side = min(config.width, config.height)
    ys, xs = (np.arange(0, span, max(1, span // 128)) for span in (config.height, config.width))
    inside = np.argwhere(anatomy.tissue(ys, xs) > 0)
    faults = []
    for name in config.faults:
        draw = np.random.default_rng((config.seed, 400 + FAULTS.index(name)))
        centre = np.array([config.height / 2, config.width / 2])
        if len(inside):
            row, column = inside[draw.integers(len(inside))]
            centre = np.array([float(ys[row]), float(xs[column])])
        if name in ("blur", "blank"):
            faults.append(Fault(name, centre[None], 0.13 * side))
            continue
        microns, length = (20.0, 0.5) if name == "fold" else (45.0, 0.7)
        half_width = min(microns / config.rendered_mpp, _LARGEST_SHARE * side)
        faults.append(Fault(name, _wave(centre, length * side, draw), half_width))
    return tuple(faults)


def _wave(
    centre: Float[np.ndarray, "2"], length: float, draw: np.random.Generator
) -> Float[np.ndarray, "points 2"]:
    angle, phase, swing = draw.uniform(0, math.pi), draw.uniform(0, 6), draw.uniform(0.05, 0.12)
    t = np.linspace(-0.5, 0.5, 17)
    along, across = t * length, swing * length * (np.sin(7 * t + phase) - math.sin(phase))
    turn = np.array([[math.sin(angle), math.cos(angle)], [math.cos(angle), -math.sin(angle)]])
    return centre + np.stack([along, across], 1) @ turn

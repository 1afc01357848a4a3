"""Cell nuclei: a drawer of shapes per kind, and stamping them where they belong."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Integer

__all__ = ["EPITHELIUM", "LYMPHOCYTE", "REACH_UM", "SPINDLE", "TUMOUR", "nuclei_drawer", "stamp"]

SPINDLE, EPITHELIUM, LYMPHOCYTE, TUMOUR = range(4)
REACH_UM = 10.0
"""No nucleus reaches further from its centre [um]."""
_SHAPES = 40
_MEMBRANE_UM = 0.7


@dataclass(frozen=True)
class _Kind:
    """Sizes [um] and darkness [optical density] of one kind of nucleus, each as low and high."""

    length: tuple[float, float]
    aspect: tuple[float, float]
    ragged: float
    density: tuple[float, float]
    clumped: float
    nucleoli: int


_KINDS = (
    _Kind((9.0, 14.0), (0.24, 0.38), 0.03, (0.42, 0.62), 0.10, 0),
    _Kind((6.5, 8.5), (0.7, 0.95), 0.03, (0.36, 0.52), 0.16, 1),
    _Kind((4.8, 6.0), (0.88, 1.0), 0.02, (0.62, 0.82), 0.10, 0),
    _Kind((8.0, 14.0), (0.6, 1.0), 0.10, (0.34, 0.74), 0.26, 2),
)


@lru_cache(maxsize=8)
def nuclei_drawer(mpp: float) -> tuple[tuple[Float[np.ndarray, "rows columns"], ...], ...]:
    """Return the shapes of each kind, as haematoxylin density, drawn at ``mpp`` microns per px.

    Spindle: fibroblasts. Epithelium: oval, pale, one nucleolus. Lymphocyte: small, round, dark.
    Tumour: large, ragged, of unequal size and darkness, clumped chromatin, several nucleoli.
    """
    draw = np.random.default_rng(20_040)
    return tuple(tuple(_shape(kind, mpp=mpp, draw=draw) for _ in range(_SHAPES)) for kind in _KINDS)


def _shape(
    kind: _Kind, *, mpp: float, draw: np.random.Generator
) -> Float[np.ndarray, "rows columns"]:
    length, aspect, density = (
        draw.uniform(*span) for span in (kind.length, kind.aspect, kind.density)
    )
    waves = draw.normal(0, kind.ragged, 4), draw.uniform(0, 2 * math.pi, 4)
    angle = draw.uniform(0, math.pi)
    reach = int(min(REACH_UM, length * 0.5 * (1 + 3 * kind.ragged) + 1) / mpp) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] * mpp
    along = x * math.cos(angle) + y * math.sin(angle)
    across = (y * math.cos(angle) - x * math.sin(angle)) / aspect
    radius, theta = np.hypot(along, across), np.arctan2(across, along)
    edge = sum(
        height * np.cos((order + 2) * theta + phase)
        for order, (height, phase) in enumerate(zip(*waves, strict=True))
    )
    depth = length / 2 * (1 + edge) - radius
    inside = np.clip(depth / max(0.8, 1.2 * mpp) + 0.5, 0, 1)
    membrane = np.exp(-((depth / _MEMBRANE_UM) ** 2))
    value = density * (0.82 + 0.3 * membrane + kind.clumped * _clumps(y.shape, mpp, draw))
    for _ in range(kind.nucleoli):
        at = draw.uniform(-length / 5, length / 5, 2)
        value += 0.35 * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 0.6)
    return np.clip(inside * value, 0, None).astype(np.float32)


def _clumps(
    shape: tuple[int, ...], mpp: float, draw: np.random.Generator
) -> Float[np.ndarray, "rows columns"]:
    grain = max(1, round(1.0 / mpp))
    coarse = draw.normal(size=tuple(size // grain + 2 for size in shape))
    fine = np.kron(coarse, np.ones((grain, grain)))
    smooth = (fine + np.roll(fine, 1, 0) + np.roll(fine, 1, 1) + np.roll(fine, (1, 1), (0, 1))) / 4
    return smooth[: shape[0], : shape[1]]


def stamp(
    canvas: Float[np.ndarray, "rows columns"],
    shapes: list[Float[np.ndarray, "_ _"]],
    *,
    ys: Integer[np.ndarray, " nuclei"],
    xs: Integer[np.ndarray, " nuclei"],
) -> None:
    """Draw each shape centred at ``ys, xs``; where nuclei overlap the darker one shows.

    The maximum does not depend on the order, so two blocks that share a nucleus agree on it. The
    shapes must lie inside ``canvas``, which is not checked.
    """
    for shape, y, x in zip(shapes, ys.tolist(), xs.tolist(), strict=True):
        reach = len(shape) // 2
        part = canvas[y - reach : y + reach + 1, x - reach : x + reach + 1]
        np.maximum(part, shape, out=part)

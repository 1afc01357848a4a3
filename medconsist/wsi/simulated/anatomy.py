"""Where tissue and tumour lie: smooth level sets with the shares that were asked for."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Integer

from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.noise import NoiseField

__all__ = ["Anatomy"]

_PROBES = 192
_OUTSIDE = 10.0
_TISSUE_NOISE, _TUMOUR_NOISE = 101, 102


@dataclass(frozen=True)
class Anatomy:
    """Two level sets over the slide; inside is above zero.

    Tissue islands are ellipses with ragged borders that stay away from the border of the picture;
    tumours are the peaks of a smooth field within them. Thresholds are quantiles over a coarse
    grid, so the shares of ``config`` are met to about one percent.

    Parameters
    ----------
    config
        Size, scale, shares and seed.

    Examples
    --------
    >>> anatomy = Anatomy(SlideConfig(width=512, height=512, tissue=0.5))
    >>> share = (anatomy.tissue(np.arange(0, 512, 4), np.arange(0, 512, 4)) > 0).mean()
    >>> round(float(share), 1)
    0.5
    """

    config: SlideConfig

    def tissue(
        self, ys: Integer[np.ndarray, " rows"], xs: Integer[np.ndarray, " columns"]
    ) -> Float[np.ndarray, "rows columns"]:
        """Return the level set of tissue, about one per tenth of the slide's shorter side."""
        return self._islands(ys, xs) - np.float32(self._tissue_threshold)

    def tumour(
        self, ys: Integer[np.ndarray, " rows"], xs: Integer[np.ndarray, " columns"]
    ) -> Float[np.ndarray, "rows columns"]:
        """Return the level set of tumour, regardless of whether there is tissue."""
        if self.config.tumour_share == 0:
            return np.full((len(ys), len(xs)), -_OUTSIDE, np.float32)
        return self._growth(ys, xs) - np.float32(self._tumour_threshold)

    def _islands(
        self, ys: Integer[np.ndarray, " rows"], xs: Integer[np.ndarray, " columns"]
    ) -> Float[np.ndarray, "rows columns"]:
        config = self.config
        y = (ys / config.height).astype(np.float32)[:, None]
        x = (xs / config.width).astype(np.float32)[None]
        height = np.full((len(ys), len(xs)), -_OUTSIDE, np.float32)
        for centre_y, centre_x, radius, angle in self._ellipses:
            along = (x - centre_x) * math.cos(angle) + (y - centre_y) * math.sin(angle)
            across = (y - centre_y) * math.cos(angle) - (x - centre_x) * math.sin(angle)
            squared = (along / (1.4 * radius)) ** 2 + (across / radius) ** 2
            np.maximum(height, 1 - np.sqrt(squared), out=height)
        for field, strength in self._tissue_fields:
            height += np.float32(strength) * field.sample(ys, xs)
        to_border = np.minimum(np.minimum(y, 1 - y), np.minimum(x, 1 - x))
        return height - np.maximum(0, 0.12 - to_border) * np.float32(14)

    def _growth(
        self, ys: Integer[np.ndarray, " rows"], xs: Integer[np.ndarray, " columns"]
    ) -> Float[np.ndarray, "rows columns"]:
        fields = [field.sample(ys, xs) * np.float32(share) for field, share in self._tumour_fields]
        return fields[0] + fields[1]

    @cached_property
    def _ellipses(self) -> list[tuple[float, float, float, float]]:
        draw = np.random.default_rng((self.config.seed, 100))
        count = int(draw.integers(1, 4))
        return [
            (
                float(draw.uniform(0.3, 0.7)),
                float(draw.uniform(0.25, 0.75)),
                float(draw.uniform(0.25, 0.4)),
                float(draw.uniform(0, math.pi)),
            )
            for _ in range(count)
        ]

    @cached_property
    def _tissue_fields(self) -> list[tuple[NoiseField, float]]:
        side = min(self.config.width, self.config.height)
        return [
            (self._noise(_TISSUE_NOISE, side / 5), 0.25),
            (self._noise(_TISSUE_NOISE + 10, side / 25), 0.05),
            (self._noise(_TISSUE_NOISE + 20, 12 / self.config.rendered_mpp), 0.01),
        ]

    @cached_property
    def _tumour_fields(self) -> list[tuple[NoiseField, float]]:
        side = min(self.config.width, self.config.height)
        return [
            (self._noise(_TUMOUR_NOISE, side / 3), 1.0),
            (self._noise(_TUMOUR_NOISE + 10, 70 / self.config.rendered_mpp), 0.12),
        ]

    def _noise(self, name: int, pitch: float) -> NoiseField:
        return NoiseField.draw((self.config.seed, name), pitch=pitch, size=128)

    @cached_property
    def _probes(self) -> tuple[Integer[np.ndarray, " rows"], Integer[np.ndarray, " columns"]]:
        spans = self.config.height, self.config.width
        ys, xs = (((np.arange(_PROBES) + 0.5) * span / _PROBES).astype(int) for span in spans)
        return ys, xs

    @cached_property
    def _tissue_threshold(self) -> float:
        if self.config.tissue == 0:
            return math.inf
        return float(np.quantile(self._islands(*self._probes), 1 - self.config.tissue))

    @cached_property
    def _tumour_threshold(self) -> float:
        inside = self._islands(*self._probes) > self._tissue_threshold
        growth = self._growth(*self._probes)[inside]
        if not growth.size:
            return math.inf
        return float(np.quantile(growth, 1 - self.config.tumour_share))

"""Stains and scanners: from optical density to the colours that a camera records.

Light through stain of density c follows Beer-Lambert, I = I0 * 10^(-sum_s c_s * v_s), with v_s the
optical-density vector of stain s over red, green, blue (`medconsist.wsi.stain_vectors`).
Fluorescence adds light to a dark field instead.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medconsist.wsi.simulated.config import SlideConfig
from medconsist.wsi.simulated.texture import StainMaps
from medconsist.wsi.stain_vectors import RUIFROK

__all__ = ["Palette"]


@dataclass(frozen=True)
class _Scanner:
    """Lamp colour, gain of the stain vectors over red, green, blue, crosstalk and noise.

    A row of ``crosstalk`` says how much red, green and blue light a recorded channel sees; it is
    what makes eosin pink on a screen and not magenta.
    """

    lamp: tuple[float, float, float]
    gain: tuple[float, float, float]
    crosstalk: tuple[tuple[float, float, float], ...]
    noise: float


_SCANNERS = {
    "a": _Scanner(
        (243.0, 243.0, 245.0),
        (1.00, 1.00, 1.00),
        ((0.88, 0.12, 0.00), (0.10, 0.84, 0.06), (0.00, 0.34, 0.66)),
        1.8,
    ),
    "b": _Scanner(
        (247.0, 243.0, 234.0),
        (0.86, 1.04, 1.25),
        ((0.94, 0.06, 0.00), (0.06, 0.90, 0.04), (0.00, 0.40, 0.60)),
        2.6,
    ),
    "c": _Scanner(
        (234.0, 239.0, 246.0),
        (1.12, 0.95, 0.80),
        ((0.84, 0.16, 0.00), (0.08, 0.84, 0.08), (0.00, 0.18, 0.82)),
        1.4,
    ),
}
_EMISSION = {"haematoxylin": (30.0, 60.0, 260.0), "eosin": (20.0, 240.0, 40.0)}
_DARK = (6.0, 7.0, 10.0)
_LN10 = float(np.log(10.0))


@dataclass(frozen=True)
class Palette:
    """Colours of one slide: a scanner profile and the strength of this slide's staining.

    Parameters
    ----------
    config
        Stain, scanner and seed; the seed varies the strength of each stain by about 8 %.

    Examples
    --------
    >>> Palette(SlideConfig()).background.tolist()
    [243.0, 243.0, 245.0]
    """

    config: SlideConfig

    @property
    def background(self) -> Float[np.ndarray, "3"]:
        """Colour where there is no tissue."""
        dark = self.config.stain == "fluorescence"
        return np.array(_DARK if dark else self._scanner.lamp, np.float32)

    @property
    def noise(self) -> float:
        """Standard deviation of the camera, in grey levels."""
        return self._scanner.noise

    def colours(self, maps: StainMaps) -> Float[np.ndarray, "3 rows columns"]:
        """Return red, green and blue planes, 0 to 255, without noise."""
        strength = 1 + 0.08 * np.random.default_rng((self.config.seed, 300)).standard_normal(3)
        planes = np.empty((3, *maps.haematoxylin.shape), np.float32)
        gain = self._scanner.gain
        glowing = self.config.stain == "fluorescence"
        vectors = _EMISSION if glowing else RUIFROK
        for channel, plane in enumerate(planes):
            h, e = (vectors[name][channel] * gain[channel] for name in ("haematoxylin", "eosin"))
            dab = RUIFROK["dab"][channel] * gain[channel]
            density = np.float32(h * strength[0]) * maps.haematoxylin
            density += np.float32(e * strength[1]) * maps.counter
            if glowing:
                plane[:] = density + self.background[channel]
                continue
            if self.config.stain == "ihc":
                density += np.float32(dab * strength[2]) * maps.dab
            np.exp(np.float32(-_LN10) * density, out=plane)
        return planes if glowing else self._recorded(planes)

    def _recorded(
        self, light: Float[np.ndarray, "3 rows columns"]
    ) -> Float[np.ndarray, "3 rows columns"]:
        mixed = np.empty_like(light)
        for channel, shares in enumerate(self._scanner.crosstalk):
            red, green, blue = (np.float32(share * self.background[channel]) for share in shares)
            mixed[channel] = red * light[0] + green * light[1] + blue * light[2]
        return mixed

    @property
    def _scanner(self) -> _Scanner:
        return _SCANNERS[self.config.scanner]

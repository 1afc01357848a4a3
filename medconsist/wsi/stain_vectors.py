"""Optical densities of the dyes over red, green and blue: what each takes from the light.

A. C. Ruifrok and D. A. Johnston, Anal. Quant. Cytol. Histol. 23:291 (2001): of their dyes, not of
a slide. The table is in use with two and with three digits; either decides the bits of what is
computed from it, so both stay.
"""

__all__ = ["HED", "RUIFROK"]

Vector = tuple[float, float, float]

HED: tuple[Vector, Vector, Vector] = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
"""Haematoxylin, eosin and diaminobenzidine with two digits, as scikit-image has them."""

RUIFROK: dict[str, Vector] = {
    "haematoxylin": (0.650, 0.704, 0.286),
    "eosin": (0.072, 0.990, 0.105),
    "dab": (0.268, 0.570, 0.776),
}
"""By name, with three digits."""

"""Whether two grids cut tissue into tiles of the same size, so that features can be compared."""

from typing import Protocol, runtime_checkable

__all__ = ["FOREIGN", "same_tiles"]

FOREIGN = ("clam", "trident")  # their step is the common divisor of their places, no setting
_SAME = 0.01  # of a physical width: TRIDENT rounds the width of a tile to a pixel, below 1 %


@runtime_checkable  # beartype looks
class Tiled(Protocol):
    """What a grid of tiles says of itself; None is unknown."""

    @property
    def tile_px(self) -> int | None:
        """Width of a tile [px at target_mpp]."""

    @property
    def step_px(self) -> int | None:
        """From one tile to the next [px at target_mpp]."""

    @property
    def target_mpp(self) -> float | None:
        """Of the tiles [um/px]."""


def same_tiles(one: Tiled, other: Tiled, *, engines: tuple[str, ...]) -> bool:
    """Say whether tiles are as wide, and as far apart, to 1 % of their physical width.

    Parameters
    ----------
    one, other
        Of known widths; a resolution known of one alone never fits.
    engines
        What made the bags; where one of `FOREIGN` is among them, steps are not compared.
    """
    if (one.target_mpp is None) != (other.target_mpp is None):
        return False
    scale = (one.target_mpp or 1.0) / (other.target_mpp or 1.0)
    pairs = [(one.tile_px, other.tile_px)]
    if not set(engines) & set(FOREIGN):
        pairs.append((one.step_px, other.step_px))
    return all(a and b and abs(a * scale / b - 1) <= _SAME for a, b in pairs)

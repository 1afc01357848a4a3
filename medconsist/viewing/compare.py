"""Two panes compared: the absolute difference on a scale that is fixed and stated."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Num, Real

from medconsist.errors import ShapeError
from medconsist.viewing.windowing import magnitude

__all__ = ["DIFFERENCE_SHARE", "absolute_difference", "check_same_grid"]

DIFFERENCE_SHARE = 0.2
"""The difference is drawn from 0 to this share of the white level of the case."""


def absolute_difference(
    image: Num[np.ndarray, "..."], other: Num[np.ndarray, "..."]
) -> Real[np.ndarray, "..."]:
    """Return ``| |image| - |other| |``, what the eye sees as different between two panes.

    Both are taken as they are stored: no rescaling, no registration.

    Raises
    ------
    ShapeError
        If the two have different shapes.
    """
    check_same_grid({"first image": image, "second image": other})
    return np.abs(magnitude(image) - magnitude(other))


def check_same_grid(panes: Mapping[str, Num[np.ndarray, "..."]]) -> None:
    """Raise if the panes do not share one grid, for then a pixel has no partner.

    Raises
    ------
    ShapeError
        If two shapes differ.
    """
    shapes = {name: pane.shape for name, pane in panes.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        msg = f"shapes differ: {listed}; allowed: one shape for all. Compare results of one grid."
        raise ShapeError(msg)

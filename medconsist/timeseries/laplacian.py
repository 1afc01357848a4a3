"""Where electrodes of the 10-10 system lie on an ideal head, and the Laplacian of Hjorth."""

import re

import numpy as np
from jaxtyping import Float

from medconsist.errors import RefusedInputError
from medconsist.timeseries.montage import Montage
from medconsist.timeseries.readers.channel_names import normalise_channel

__all__ = ["NEIGHBOURS", "electrode_position", "laplacian"]

NEIGHBOURS = 4
"""Of each electrode."""

# Angle of a row along the rim of the cap from its front, and along the midline from the vertex
# [degrees]: steps of 10 % of the way from nasion to inion are 18 degrees.
_ROWS = {
    "FP": (18, -72),
    "AF": (36, -54),
    "F": (54, -36),
    "FT": (72, -18),
    "FC": (72, -18),
    "T": (90, 0),
    "C": (90, 0),
    "TP": (108, 18),
    "CP": (108, 18),
    "P": (126, 36),
    "PO": (144, 54),
    "O": (162, 72),
}
_RIM = 72  # degrees from the vertex
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_QUARTERS = {1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4}
_NAME = re.compile(r"([A-Z]+)(Z|[1-8])")


def electrode_position(name: str) -> Float[np.ndarray, " 3"] | None:
    """Return the place of an electrode on a sphere of radius 1: right, front, up.

    By the rules of the 10-10 system (Oostenveld, Praamstra 2001,
    doi:10.1016/S1388-2457(00)00527-7) on an ideal head, not measured on anybody. None where the
    name is no electrode of the cap, such as A1, or a difference of two.

    Examples
    --------
    >>> electrode_position("C4").round(2).tolist(), electrode_position("A1") is None
    ([0.59, 0.0, 0.81], True)
    """
    usual = normalise_channel(name)
    found = _NAME.fullmatch(_OLD_NAMES.get(usual, usual).upper())
    if found is None or found[1] not in _ROWS:
        return None
    around, midline = _ROWS[found[1]]
    middle = _sphere(0.0, -np.sin(np.deg2rad(midline)), np.cos(np.deg2rad(midline)))
    if found[2] == "Z":
        return middle
    number = int(found[2])
    side = -1.0 if number % 2 else 1.0  # odd numbers are on the left
    turn, down = np.deg2rad(around), np.deg2rad(_RIM)
    rim = _sphere(side * np.sin(turn) * np.sin(down), np.cos(turn) * np.sin(down), np.cos(down))
    if found[1] in ("FP", "O"):
        return rim  # they lie on the rim, whatever their number
    return _between(middle, rim, _QUARTERS[number] / 4)


def laplacian(channels: tuple[str, ...]) -> Montage:
    r"""Return each electrode less the mean of its four nearest, the nearer the heavier.

    .. math:: s_i = v_i - \sum_{j \in N_i} w_{ij} v_j, \qquad
              w_{ij} = d_{ij}^{-1} / \sum_{k \in N_i} d_{ik}^{-1}

    with distances d along straight lines between ideal positions (Hjorth 1975,
    doi:10.1016/0013-4694(75)90056-5, of which this is the form for any cap). At the rim of the cap
    the nearest electrodes lie on one side, and the value is no curvature. Channels without a
    position are dropped.

    Parameters
    ----------
    channels
        Names of the recorded channels.

    Raises
    ------
    RefusedInputError
        Fewer than five electrodes whose positions are known.

    Examples
    --------
    >>> montage = laplacian(("Cz", "C3", "C4", "Fz", "Pz"))
    >>> montage.weights[0].round(2).tolist()
    [1.0, -0.25, -0.25, -0.25, -0.25]
    """
    places = {name: electrode_position(name) for name in channels}
    known = {name: place for name, place in places.items() if place is not None}
    if len(known) <= NEIGHBOURS:
        msg = (
            f"a Laplacian needs {NEIGHBOURS + 1} electrodes whose positions are known by their "
            f"names in the 10-10 system, these channels have {len(known)}."
        )
        raise RefusedInputError(msg)
    points = np.stack(list(known.values()))
    far = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(far, np.inf)
    column = {name: channels.index(name) for name in known}
    weights = np.zeros((len(known), len(channels)))
    for row, name in enumerate(known):
        near = np.argsort(far[row], kind="stable")[:NEIGHBOURS]
        closeness = 1 / np.maximum(far[row, near], 1e-6)  # T3 and T7 are one place
        weights[row, [column[list(known)[k]] for k in near]] = -closeness / closeness.sum()
        weights[row, column[name]] += 1.0
    outputs = tuple(known)
    return Montage(name="Laplacian (Hjorth)", inputs=channels, outputs=outputs, weights=weights)


def _sphere(
    right: float | np.floating, front: float | np.floating, up: float | np.floating
) -> Float[np.ndarray, " 3"]:
    return np.array([right, front, up], np.float64)


def _between(
    first: Float[np.ndarray, " 3"], last: Float[np.ndarray, " 3"], share: float
) -> Float[np.ndarray, " 3"]:
    """Return the point a share of the way along the great circle."""
    angle = np.arccos(np.clip(first @ last, -1, 1))
    mixed = np.sin((1 - share) * angle) * first + np.sin(share * angle) * last
    return np.asarray(mixed / np.sin(angle), np.float64)

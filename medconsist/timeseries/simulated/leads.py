"""From a heart dipole to electrodes and from electrodes to the twelve leads, all of it linear."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from medconsist.errors import RefusedInputError
from medconsist.timeseries.readers.channel_names import TWELVE_LEADS

__all__ = ["ELECTRODES", "LEADS", "derivation", "electrode_vectors"]

LEADS = TWELVE_LEADS
ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")

_DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
# I, II, V1 to V6 from x (to the left), y (to the feet), z (to the back), as Frank has them


def electrode_vectors() -> Float[np.ndarray, "electrodes 3"]:
    """Return the potential of each electrode of a unit dipole along x, y and z.

    The matrix of Dower et al. 1980 (Clin Cardiol 3:87) for leads I, II and V1 to V6, x to the left,
    y to the feet, z to the back, written as electrodes against the mean of the three limbs.
    """
    first, second, chest = _DOWER[0], _DOWER[1], _DOWER[2:]
    limbs = np.stack([-(first + second), 2 * first - second, 2 * second - first]) / 3
    return np.concatenate([limbs, chest])


def derivation(leads: Sequence[str]) -> Float[np.ndarray, "leads electrodes"]:
    """Return what each lead takes of each electrode.

    I = LA - RA, II = LL - RA, III = LL - LA; aVR, aVL, aVF: a limb less the mean of the other two;
    V1 to V6: less the mean of the three limbs. Whatever lies on the electrodes, I + III = II
    and aVR + aVL + aVF = 0.

    Raises
    ------
    RefusedInputError
        A name that is none of the twelve leads.

    Examples
    --------
    >>> derivation(["II"])[0, :3].tolist()
    [-1.0, 0.0, 1.0]
    """
    unknown = [lead for lead in leads if lead not in LEADS]
    if unknown:
        msg = f"lead {unknown[0]!r} is none of {', '.join(LEADS)}; name leads as these are."
        raise RefusedInputError(msg)
    limbs, chest = np.eye(3, len(ELECTRODES)), np.eye(len(ELECTRODES))[3:]
    right, left, foot = limbs
    centre = limbs.mean(0)
    rows = [left - right, foot - right, foot - left, *(1.5 * (limbs - centre)), *(chest - centre)]
    return np.stack([rows[LEADS.index(lead)] for lead in leads])

"""Zero mean and unit variance for each channel of a trial, as COMET's preparation does it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

__all__ = ["Normalised", "z_scores"]

# Below one rounding step of float32 a spread is that of the numbers, not of the signal.
_FLAT = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Normalised:
    """Signals without a unit, and which of their channels were flat.

    Parameters
    ----------
    signals
        ``... time channels``; they have no physical unit any more.
    flat
        ``... channels``: True where nothing varied; such a channel is 0 everywhere.

    Examples
    --------
    >>> z_scores(np.ones((5, 2), np.float32)).flat.tolist()
    [True, True]
    """

    signals: Float[npt.NDArray[np.floating], "*trials time channels"]
    flat: Bool[npt.NDArray[np.bool_], "*trials channels"]


def z_scores(
    signals: Float[npt.NDArray[np.floating], "*trials time channels"],
    *,
    flat: Bool[npt.NDArray[np.bool_], " channels"] | None = None,
) -> Normalised:
    """Return ``(x - mean) / std`` over time, for each trial and channel by itself.

    The standard deviation is that of the sample itself (divided by n, as scikit-learn's
    StandardScaler). NaN has no part in mean and deviation and stays NaN. Sums are in float64.

    Parameters
    ----------
    signals
        ``... time channels``.
    flat
        Channels known to be flat from the raw samples: filtering leaves rounding noise in
        them, which scaling would blow up. Others are flat where their spread is below one rounding
        step of float32 of their largest value.

    Returns
    -------
    normalised
        Of the same dtype; its unit is None.

    References
    ----------
    Y. Wang et al., Contrast Everything (COMET), arXiv 2310.14017, section on data preprocessing.

    Examples
    --------
    >>> z_scores(np.array([[1.0], [3.0]])).signals.ravel().tolist()
    [-1.0, 1.0]
    """
    values = signals.astype(np.float64)
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=-2, keepdims=True), 1)
    mean = np.where(known, values, 0.0).sum(axis=-2, keepdims=True) / count
    centred = np.where(known, values - mean, 0.0)
    spread = np.sqrt((centred**2).sum(axis=-2, keepdims=True) / count)
    largest = np.abs(np.where(known, values, 0.0)).max(axis=-2, keepdims=True)
    still = spread <= _FLAT * largest
    if flat is not None:
        still = still | flat
    scaled = np.where(still, 0.0, centred / np.where(still, 1.0, spread))
    scaled[~known] = np.nan
    return Normalised(scaled.astype(signals.dtype), still[..., 0, :])

"""Missing samples (NaN): where they are, and the sentence for what cannot work across them."""

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64, Shaped

from medconsist.errors import RefusedInputError

__all__ = ["finite_runs", "refuse_nan"]


def finite_runs(
    signal: Shaped[npt.NDArray[np.floating], "time channels"],
) -> Int64[npt.NDArray[np.int64], "runs 2"]:
    """Return begin and end of every longest run of samples that are finite in all channels.

    Parameters
    ----------
    signal
        ``time channels``.

    Returns
    -------
    runs
        ``runs 2``; the end is not part of the run.

    Examples
    --------
    >>> finite_runs(np.array([[1.0], [np.nan], [2.0], [3.0]])).tolist()
    [[0, 1], [2, 4]]
    """
    whole = np.isfinite(signal).all(axis=1)
    edges = np.flatnonzero(np.diff(whole.astype(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2).astype(np.int64)


def refuse_nan(signal: Shaped[npt.NDArray[np.floating], "time ..."], *, doing: str) -> None:
    """Refuse a signal that is not finite everywhere.

    Parameters
    ----------
    signal
        Time first.
    doing
        What it cannot, such as ``"be filtered"``.

    Raises
    ------
    RefusedInputError
        Says how many samples are missing and where the first one is.

    Examples
    --------
    >>> refuse_nan(np.zeros(3), doing="be filtered")
    """
    missing = ~np.isfinite(signal)
    if missing.any():
        rows = missing.reshape(len(missing), -1).any(axis=1)
        msg = (
            f"{int(rows.sum())} of {len(rows)} samples are missing (not finite), the first is "
            f"sample {int(rows.argmax())}: a signal with gaps cannot {doing}. Cut it at its gaps "
            "first (medconsist.timeseries.gaps.finite_runs)."
        )
        raise RefusedInputError(msg)

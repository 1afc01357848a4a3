"""How well scores tell classes apart: areas, errors, calibration, operating points."""

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError

__all__ = ["area_under_roc"]


def area_under_roc(score: Float[Tensor, " units"], positive: Bool[Tensor, " units"]) -> float:
    """Return the share of pairs (positive, negative) in the right order, a tie counting half.

    Parameters
    ----------
    score
        More is more positive; finite.
    positive
        The truth; both kinds must occur.

    Raises
    ------
    RefusedInputError
        One kind only, or a score that is not finite.

    Examples
    --------
    >>> import torch
    >>> area_under_roc(torch.tensor([0.1, 0.4, 0.4]), torch.tensor([False, False, True]))
    0.75
    """
    if not bool(score.isfinite().all()) or not 0 < int(positive.sum()) < len(positive):
        msg = (
            f"got {int(positive.sum())} positive of {len(positive)} units, "
            f"{int((~score.isfinite()).sum())} scores not finite; allowed: both kinds, finite."
        )
        raise RefusedInputError(msg)
    ranks = require("scipy.stats", extra="wsi").rankdata(score.double().cpu().numpy())
    high = np.asarray(positive.cpu())
    n_high = int(high.sum())
    below = ranks[high].sum() - n_high * (n_high + 1) / 2
    return float(below / (n_high * (len(high) - n_high)))

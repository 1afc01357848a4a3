"""Which windows a network of convolutions can take, and the sentence for others."""

import torch
from torch import Tensor

from medconsist.errors import RefusedInputError, ShapeError

__all__ = ["require_pairs", "require_windows"]


def require_windows(signals: Tensor, *, channels: int, samples: int | None = None) -> None:
    """Refuse windows of another size, or with missing samples: one NaN would spread to all.

    Parameters
    ----------
    signals
        ``batch time channels``.
    channels
        That the network was built for.
    samples
        That it was built for, where it matters.

    Raises
    ------
    ShapeError
        Another number of channels or samples.
    RefusedInputError
        A value that is not finite.

    Examples
    --------
    >>> require_windows(torch.zeros(2, 8, 1), channels=1)
    """
    _, time, found = signals.shape
    if found != channels or (samples is not None and time != samples):
        length = "any" if samples is None else samples
        msg = (
            f"the windows have {time} samples and {found} channels; the network was built for "
            f"{length} samples and {channels} channels."
        )
        raise ShapeError(msg)
    missing = ~torch.isfinite(signals)
    if missing.any():
        windows = int(missing.flatten(1).any(1).sum())
        msg = (
            f"{windows} of {len(signals)} windows have samples that are not finite; leave them "
            "out, or fill the gaps (COMET and TS2Vec mask them)."
        )
        raise RefusedInputError(msg)


def require_pairs(signals: Tensor) -> None:
    """Refuse a batch of one window: it has nothing to be told from.

    Parameters
    ----------
    signals
        ``batch time channels``.

    Raises
    ------
    RefusedInputError
        Fewer than two windows.

    Examples
    --------
    >>> require_pairs(torch.zeros(2, 8, 1))
    """
    if len(signals) < 2:
        msg = f"a batch of {len(signals)} windows; contrast needs 2 or more."
        raise RefusedInputError(msg)

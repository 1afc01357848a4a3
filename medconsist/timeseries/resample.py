"""Another sampling rate, with everything removed first that the new rate cannot hold."""

from fractions import Fraction
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.timeseries.gaps import refuse_nan

__all__ = ["exact_ratio", "resample", "resampled_length"]

_F = TypeVar("_F", bound=npt.NDArray[np.floating])
_LARGEST = 10_000  # of a ratio's terms: the filter of 1000/9999 has a million taps
_STOP_DB = 80.0
_PASS = 0.9  # of the new Nyquist frequency


def exact_ratio(rate: float, to: float) -> Fraction:
    """Return ``to / rate`` as a fraction of the two decimal numbers, never rounded.

    Parameters
    ----------
    rate, to
        Samples per second, before and after; positive.

    Raises
    ------
    RefusedInputError
        A rate that is not positive, or a ratio with a term above 10,000.

    Examples
    --------
    >>> exact_ratio(360.0, 256.0)
    Fraction(32, 45)
    """
    if not (0 < rate < float("inf") and 0 < to < float("inf")):
        msg = f"sampling rates must be positive and finite, got {rate} and {to} Hz."
        raise RefusedInputError(msg)
    # str gives the decimal that was meant: 0.1 is a tenth here, not its binary neighbour.
    ratio = Fraction(str(to)) / Fraction(str(rate))
    if max(ratio.numerator, ratio.denominator) > _LARGEST:
        near = float(Fraction(str(rate)) * ratio.limit_denominator(100))
        msg = (
            f"{rate} to {to} Hz is a ratio of {ratio}; allowed are terms up to {_LARGEST}. The "
            f"nearest simple rate is {near:g} Hz."
        )
        raise RefusedInputError(msg)
    return ratio


def resampled_length(samples: int, ratio: Fraction) -> int:
    """Return how many samples ``samples`` become: those at times before the old end."""
    return -(-samples * ratio.numerator // ratio.denominator)


def resample(
    signal: _F, *, rate: float, to: float, upsampling: Literal["refuse", "allow"] = "refuse"
) -> _F:
    r"""Return a signal at another rate, by one linear-phase polyphase filter.

    Sample ``k`` is the band-limited signal at time ``k / to``: nothing is delayed. The Kaiser
    filter is flat up to 0.9 of the lower of the two Nyquist frequencies and at -80 dB from that
    frequency on, so that nothing folds back. (COMET's own data were interpolated linearly, without
    any such filter: `medconsist.timeseries.beats.interpolated`.) Before the first and behind the
    last sample the straight line between the two goes on; half a filter length (50 samples of the
    lower rate) at either end feels that.

    Parameters
    ----------
    signal
        ``time`` or ``time channels``, finite.
    rate, to
        Samples per second, before and after.
    upsampling
        ``"allow"`` to reach a rate above that of the source, which adds samples and no information.

    Returns
    -------
    signal
        ``ceil(time * to / rate)`` samples, of the same dtype; the input itself where the rates are
        equal.

    Raises
    ------
    RefusedInputError
        NaN in the signal, a higher rate that was not asked for by name, or see `exact_ratio`.

    References
    ----------
    R. E. Crochiere, L. R. Rabiner, Multirate Digital Signal Processing, 1983, ch. 2-3.

    Examples
    --------
    >>> resample(np.ones((1000, 2), np.float32), rate=1000.0, to=250.0).shape
    (250, 2)
    """
    ratio = exact_ratio(rate, to)
    if ratio > 1 and upsampling == "refuse":
        msg = (
            f"the signal has {rate} Hz and {to} Hz are asked for: more samples hold no more "
            f"information. Ask for at most {rate} Hz, or for upsampling='allow'."
        )
        raise RefusedInputError(msg)
    refuse_nan(signal, doing="be resampled")
    if ratio == 1:
        return signal
    scipy_signal = require("scipy.signal", extra="timeseries")
    taps = _taps(max(ratio.numerator, ratio.denominator))
    new = scipy_signal.resample_poly(
        signal.astype(np.float64),
        ratio.numerator,
        ratio.denominator,
        axis=0,
        window=taps,
        padtype="line",
    )
    return new.astype(signal.dtype)


def _taps(widest: int) -> npt.NDArray[np.float64]:
    """Return a filter whose stop band begins at ``1 / widest`` of the Nyquist frequency."""
    scipy_signal = require("scipy.signal", extra="timeseries")
    edge = 1 / widest
    count, beta = scipy_signal.kaiserord(_STOP_DB, (1 - _PASS) * edge)
    odd = count | 1  # symmetric about a sample: no delay
    return scipy_signal.firwin(odd, (1 + _PASS) / 2 * edge, window=("kaiser", beta))

"""Band power: the hand-made features that any learned representation of an EEG has to beat."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medconsist.errors import RefusedInputError
from medconsist.timeseries.evaluation.fixed import FixedRepresentation
from medconsist.timeseries.window_set import WindowSet

__all__ = ["EEG_BANDS", "BandPower"]

EEG_BANDS = ((1.0, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0), (30.0, 50.0))
"""Delta, theta, alpha, beta, gamma in Hz; a limit belongs to the band above it."""

_BATCH = 256


@dataclass(frozen=True)
class BandPower(FixedRepresentation):
    r"""Logarithm of the mean power in each band, for each channel.

    :math:`\log(\overline{|F_k|^2} + 10^{-6})` over the frequencies k of a band, low <= f < high,
    with F the discrete Fourier transform (not normalised) of a window whose mean was removed, in
    the units of the window. Bands follow one another, and channels within a band.

    Parameters
    ----------
    bands
        In Hz; each must hold a frequency of the window.
    floor
        Added to the power, in squared units of the sum: 1e-6 for microvolts.
    name
        As a table prints it.

    Examples
    --------
    >>> BandPower().bands[2]
    (8.0, 13.0)
    """

    bands: tuple[tuple[float, float], ...] = EEG_BANDS
    floor: float = 1e-6
    name: str = "band power"

    def features(self, windows: WindowSet) -> npt.NDArray[np.float64]:
        """Return the features, ``windows (bands channels)``.

        Raises
        ------
        RefusedInputError
            A band without a frequency: the windows are too short, or the rate too low.
        """
        frequency = np.fft.rfftfreq(windows.samples, 1 / windows.rate)
        inside = [(frequency >= low) & (frequency < high) for low, high in self.bands]
        for (low, high), here in zip(self.bands, inside, strict=True):
            if not here.any():
                msg = (
                    f"{windows.samples} samples at {windows.rate:g} Hz hold no frequency from "
                    f"{low:g} to {high:g} Hz; take longer windows, or other bands."
                )
                raise RefusedInputError(msg)
        found = np.empty((len(windows), len(self.bands) * len(windows.channels)))
        for first in range(0, len(windows), _BATCH):
            rows = np.arange(first, min(first + _BATCH, len(windows)))
            signals = windows.batch(rows).double().numpy()
            signals -= signals.mean(1, keepdims=True)
            power = np.abs(np.fft.rfft(signals, axis=1)) ** 2
            means = [np.log(power[:, here].mean(1) + self.floor) for here in inside]
            found[rows] = np.concatenate(means, axis=1)
        return found

"""How beats that were found agree with reference beats, or with those of another detector."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Int64

__all__ = ["PeakScore", "compare_peaks"]

Samples = Int64[npt.NDArray[np.int64], " _peaks"]
_TOLERANCE = 0.15  # s; the match window of ANSI/AAMI EC57 for beats


@dataclass(frozen=True, kw_only=True)
class PeakScore:
    """How found beats agree with reference beats.

    Parameters
    ----------
    matched
        Pairs within the tolerance, each beat in one pair at most.
    reference, found
        Numbers of beats.

    Examples
    --------
    >>> PeakScore(matched=9, reference=10, found=9).sensitivity
    0.9
    """

    matched: int
    reference: int
    found: int

    @property
    def sensitivity(self) -> float:
        """Share of the reference beats that were found; NaN without any."""
        return self.matched / self.reference if self.reference else float("nan")

    @property
    def positive_predictivity(self) -> float:
        """Share of the found beats that are reference beats; NaN without any."""
        return self.matched / self.found if self.found else float("nan")

    @property
    def agreement(self) -> float:
        """Matched beats over all different beats, 1 where both are empty."""
        union = self.reference + self.found - self.matched
        return self.matched / union if union else 1.0


def compare_peaks(
    found: Samples, reference: Samples, *, rate: float, tolerance: float = _TOLERANCE
) -> PeakScore:
    """Match found beats with reference beats, each with one at most, in order of time.

    Parameters
    ----------
    found, reference
        Samples, ascending.
    rate
        Samples per second.
    tolerance
        Largest distance of a pair [s].

    Examples
    --------
    >>> compare_peaks(np.array([10, 99]), np.array([12]), rate=100.0).matched
    1
    """
    widest = tolerance * rate
    matched = first = second = 0
    while first < len(found) and second < len(reference):
        distance = found[first] - reference[second]
        if abs(distance) <= widest:
            matched, first, second = matched + 1, first + 1, second + 1
        elif distance < 0:
            first += 1
        else:
            second += 1
    return PeakScore(matched=matched, reference=len(reference), found=len(found))

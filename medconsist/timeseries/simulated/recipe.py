"""What a simulated cohort is: its worlds, effects, sites and sizes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np

from medconsist.errors import RefusedInputError
from medconsist.timeseries.simulated import ecg, eeg
from medconsist.timeseries.simulated.truth import Effects

__all__ = ["CLASSES", "COMPONENT", "TWO_WORLDS", "CohortRecipe", "Modality", "Sites", "World"]

CLASSES = ("control", "case")
Modality = Literal["ecg", "eeg"]
World = Literal["shared", "by_trial", "by_window"]
"""Who shares the class effect: all of a patient's windows, those of a recording, or none."""

COMPONENT = 0.3
"""Logarithm of an amplitude for a unit of the component."""
_EIGHT = {
    "ecg": ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"),
    "eeg": ("Fp1", "Fp2", "C3", "C4", "T5", "T6", "O1", "O2"),
}


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Where patients come from, and how that shows.

    Parameters
    ----------
    count
        Sites of one size.
    shift
        Length of the shift of a site, in a direction of its own among the traits; never along the
        component that carries the class.
    label_association
        0: all sites have as many cases as controls. 1: even sites have cases alone, odd sites
        controls alone. Between: a share of ``(1 + association) / 2`` cases in even sites.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> Sites(count=2, shift=3.0, label_association=0.8).count
    2
    """

    count: int = 1
    shift: float | int = 0.0
    label_association: float | int = 0.0

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.shift < np.inf or not 0 <= self.label_association <= 1:
            msg = f"{self}: 1 site or more, a shift of 0 or more, an association in [0, 1]."
            raise RefusedInputError(msg)
        if self.count == 1 and self.label_association > 0:
            msg = f"{self}: with one site no label can go with it; take 2 sites or more."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True)
class CohortRecipe:
    r"""What is simulated, apart from the draws.

    A window has nine coordinates: one component, that of T in an ECG and of theta in an EEG (its
    amplitude is multiplied by :math:`e^{0.3 A}`), and eight traits (`ecg.TRAITS`, `eeg.TRAITS`).

    .. math:: A_{prw} = \tau_A a_p + \sigma b_{pr} + \omega c_{prw} + \delta e_{prw}, \qquad
              t_{pr} = \tau a'_p + \sigma b'_{pr} + s_{site}

    with standard normal a, b, c. Whether the class effect e is there decides the world:

    - ``"shared"``: e = 1 in every window of a case: a trait. A contrast that pulls the recordings
      of a patient together keeps it.
    - ``"by_trial"``, ``"by_window"``: e is drawn for each recording or each window, with
      probability ``rates[0]`` in a control and ``rates[1]`` in a case. Two windows of one patient
      differ in it as often as not, so such a contrast removes it; only a count over windows tells.

    The same component, noise and patients come from the same draw in each world. The class is the
    smaller effect: two patients of one class are :math:`\tau \sqrt{18} = 4.2` apart (root mean
    square), the two classes :math:`\delta = 2` at most. See `class_to_subject`.

    Parameters
    ----------
    modality
        ``"ecg"`` [mV] or ``"eeg"`` [uV].
    patients
        Half of them cases, unless sites say otherwise; an odd one by chance.
    trials, windows, samples
        Recordings a patient, windows a recording, samples a window; windows do not overlap.
    rate
        Samples per second.
    channels
        None takes eight: I, II, V1 to V6, or Fp1, Fp2, C3, C4, T5, T6, O1, O2.
    world
        See above.
    rates
        See above; not used in the shared world, where they are 0 and 1.
    effects
        :math:`\delta, \tau, \sigma, \tau_A, \omega`.
    sites
        Where patients come from.
    ecg_noise, eeg_noise
        Of the modality.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> round(CohortRecipe().class_to_subject, 2)
    0.47
    """

    modality: Modality = "eeg"
    patients: int = 40
    trials: int = 10
    windows: int = 1
    samples: int = 256
    rate: float | int = 256.0
    channels: tuple[str, ...] | None = None
    world: World = "shared"
    rates: tuple[float | int, float | int] = (0.35, 0.65)
    effects: Effects = field(default_factory=Effects)
    sites: Sites = field(default_factory=Sites)
    ecg_noise: ecg.EcgNoise = field(default_factory=ecg.EcgNoise)
    eeg_noise: eeg.EegNoise = field(default_factory=eeg.EegNoise)

    def __post_init__(self) -> None:
        for value, kinds in ((self.modality, Modality), (self.world, World)):
            if value not in get_args(kinds):
                msg = f"{value!r} is none of {', '.join(get_args(kinds))}."
                raise RefusedInputError(msg)
        counts = (self.patients, self.trials, self.windows, self.samples)
        if min(counts) < 1 or not 0 < self.rate < np.inf:
            msg = (
                f"{self.patients} patients, {self.trials} trials, {self.windows} windows of "
                f"{self.samples} samples at {self.rate} Hz; allowed: 1 or more, a rate above 0."
            )
            raise RefusedInputError(msg)
        if not 0 <= self.rates[0] <= self.rates[1] <= 1:
            msg = f"rates got {self.rates}; allowed: 0 <= that of controls <= that of cases <= 1."
            raise RefusedInputError(msg)
        if self.sites.count > self.patients:
            msg = f"{self.sites.count} sites for {self.patients} patients; give each site one."
            raise RefusedInputError(msg)

    @property
    def names(self) -> tuple[str, ...]:
        """Channels, as they come."""
        return self.channels or _EIGHT[self.modality]

    @property
    def unit(self) -> str:
        """Of all channels."""
        return {"ecg": "mV", "eeg": "uV"}[self.modality]

    @property
    def class_to_subject(self) -> float:
        """Distance of the class means over the typical distance of two patients of one class.

        The first is ``shift`` times the difference of the rates, the second the root mean square
        over pairs of patients, over all nine coordinates; infinite without a subject effect.
        """
        low, high = (0, 1) if self.world == "shared" else self.rates
        squares = len(ecg.TRAITS) * self.effects.subject**2 + self.effects.component**2
        classes = self.effects.shift * (high - low)
        return float(classes / np.sqrt(2 * squares)) if squares else float("inf")


TWO_WORLDS: Mapping[World, CohortRecipe] = MappingProxyType(
    {
        "shared": CohortRecipe(patients=80, windows=4, effects=Effects(session=1.0)),
        "by_window": CohortRecipe(
            patients=80,
            windows=4,
            world="by_window",
            rates=(0.25, 0.75),
            effects=Effects(shift=3.0, component=0.3),
        ),
    }
)
"""One cohort in which a patient's recordings share the class, and one in which they do not.

Sized so that plain features tell the classes apart in both: without that nothing could be lost in
the second. The tests hold that the four directions in which the patients differ most, against their
own windows, keep the component that carries the class in the first and drop it in the second.
"""

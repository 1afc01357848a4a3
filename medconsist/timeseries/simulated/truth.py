"""What is true of a simulated cohort, and the best that any score could do."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64

from medconsist.errors import RefusedInputError
from medconsist.metrics.classification import area_under_roc

__all__ = ["Effects", "Truth", "log_odds"]

_SMALLEST = 1e-300
_REACH = 6.0  # standard deviations on either side; beyond it lies 2e-9 of a normal distribution


@dataclass(frozen=True, kw_only=True)
class Effects:
    """How far things move a window along each coordinate, in one common unit.

    Parameters
    ----------
    shift
        Of the component that carries the class, in a window in which it is present.
    subject, session
        Standard deviations between patients and between the recordings of one.
    component
        Standard deviation between patients along the component, in place of ``subject``.
    window
        Standard deviation of the component between the windows of a recording; above 0.

    Raises
    ------
    RefusedInputError
        A value out of its range.

    Examples
    --------
    >>> Effects(shift=1.0).subject
    1.0
    """

    shift: float | int = 2.0
    subject: float | int = 1.0
    session: float | int = 0.5
    component: float | int = 1.0
    window: float | int = 0.2

    def __post_init__(self) -> None:
        sizes = (self.shift, self.subject, self.session, self.component, self.window)
        if not all(0 <= size < np.inf for size in sizes) or self.window == 0:
            msg = f"{self}: effects must be finite and 0 or more, that of the window above 0."
            raise RefusedInputError(msg)


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What no training may see.

    Parameters
    ----------
    label
        Of each patient: 0 control, 1 case.
    component
        The coordinate along which the class shows, of each window.
    present
        Where the class effect was added to it.
    traits
        The other coordinates of each recording; they say nothing of the class, unless by the site.
    effects, rates, by_trial
        How the component came about; see `log_odds`.

    Examples
    --------
    >>> at = np.array([[[0.0]], [[2.0]]])
    >>> Truth(label=np.array([0, 1]), component=at, present=at > 0, traits=np.zeros((2, 1, 8)),
    ...       effects=Effects(), rates=(0, 1), by_trial=False).ceiling
    1.0
    """

    label: Int64[np.ndarray, " patients"]
    component: Float[np.ndarray, "patients trials windows"]
    present: Bool[np.ndarray, "patients trials windows"]
    traits: Float[np.ndarray, "patients trials 8"]
    effects: Effects
    rates: tuple[float | int, float | int]
    by_trial: bool

    @cached_property
    def score(self) -> Float[np.ndarray, " patients"]:
        """`log_odds` of each patient, the Bayes score: it knows every component and all effects.

        No score of signals orders patients better, on average over cohorts whose sites say nothing
        of the class.
        """
        return log_odds(self.component, self.effects, rates=self.rates, by_trial=self.by_trial)

    @property
    def ceiling(self) -> float:
        """Area under the ROC curve of the best score on these patients; both classes must occur."""
        return area_under_roc(torch.from_numpy(self.score), torch.from_numpy(self.label == 1))


def log_odds(
    component: Float[np.ndarray, "patients trials windows"],
    effects: Effects,
    *,
    rates: tuple[float | int, float | int],
    by_trial: bool,
) -> Float[np.ndarray, " patients"]:
    r"""Return the logarithm of the likelihood ratio of case against control, patient by patient.

    With component :math:`A_{rw} = p + s_r + \omega_{rw} + \delta e_{rw}`, all normal but
    :math:`e \sim` Bernoulli(rate of the class),

    .. math:: P(A | c) = \int N(p) \prod_r \int N(s_r) \prod_w
              [\pi_c N(A_{rw} - \delta - p - s_r) + (1 - \pi_c) N(A_{rw} - p - s_r)]

    by sums over a grid with a third of the width of the narrowest likelihood as its step.

    Parameters
    ----------
    component
        Of each window.
    effects
        As they were simulated.
    rates
        :math:`\pi_c` of control and case; 0 and 1 make the class a trait.
    by_trial
        One e for all windows of a recording instead of one for each.

    Examples
    --------
    >>> at = np.array([[[0.0]], [[2.0]]])
    >>> log_odds(at, Effects(), rates=(0, 1), by_trial=False).round(2).tolist()
    [-1.55, 1.55]
    """
    widths = (effects.window / np.sqrt(component.shape[2]), effects.component, effects.session)
    step = min(width for width in widths if width > 0) / 3
    patient, session = _weights(effects.component, step), _weights(effects.session, step)
    reach = (len(patient) + len(session)) // 2 - 1
    level = step * np.arange(-reach, reach + 1)
    either = [
        _log_likelihood(component, effects, rate, by_trial=by_trial, level=level) for rate in rates
    ]
    control, case = (_integrated(values, patient, session) for values in either)
    return case - control


def _weights(deviation: float | int, step: float) -> Float[np.ndarray, " odd"]:
    """Return a normal distribution on a grid about 0."""
    if deviation == 0:
        return np.ones(1)
    reach = int(np.ceil(_REACH * deviation / step))
    density = np.exp(-0.5 * (step * np.arange(-reach, reach + 1) / deviation) ** 2)
    return density / density.sum()


def _log_likelihood(
    component: Float[np.ndarray, "patients trials windows"],
    effects: Effects,
    rate: float | int,
    *,
    by_trial: bool,
    level: Float[np.ndarray, " levels"],
) -> Float[np.ndarray, "patients trials levels"]:
    """Return the logarithm of that of each recording, if its windows lay around each level."""
    away = (component[..., None] - level) / effects.window
    absent = -0.5 * away**2
    present = -0.5 * (away - effects.shift / effects.window) ** 2
    if by_trial:
        absent, present = absent.sum(2, keepdims=True), present.sum(2, keepdims=True)
    with np.errstate(divide="ignore"):  # a rate of 0 has the logarithm that it should have
        share, others = np.log(float(rate)), np.log1p(-float(rate))
    return np.logaddexp(present + share, absent + others).sum(2)


def _integrated(
    likelihood: Float[np.ndarray, "patients trials levels"],
    patient: Float[np.ndarray, " odd"],
    session: Float[np.ndarray, " others"],
) -> Float[np.ndarray, " patients"]:
    """Return the logarithm of the mean over patients of the product over sessions of means."""
    top = likelihood.max(-1, keepdims=True)
    trials = np.exp(likelihood - top)
    rows = [np.convolve(row, session, "valid") for row in trials.reshape(-1, trials.shape[-1])]
    means = np.log(np.maximum(np.array(rows), _SMALLEST)).reshape(*trials.shape[:2], -1)
    exponent = (means + top).sum(1)
    high = exponent.max(-1, keepdims=True)
    return np.log(np.exp(exponent - high) @ patient) + high[:, 0]

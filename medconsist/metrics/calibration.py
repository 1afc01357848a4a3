"""Whether probabilities mean what they say: reliability, proper scores, one temperature."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from numpy.typing import NDArray
from torch import Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics._checks import refuse_labels, refuse_probabilities, refuse_test

__all__ = [
    "Reliability",
    "ReliabilityBin",
    "Temperature",
    "brier_score",
    "fit_temperature",
    "log_loss",
    "reliability",
    "top_label",
]

_LARGEST = 1e3  # temperatures from 1 / 1000 to 1000 are searched


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The units whose probability lies in (low, high], and how often they were right.

    Parameters
    ----------
    low, high
        Limits of the bin; the first bin holds its lower limit too.
    n
        Units in it, one or more.
    mean_probability
        What was said.
    share
        What came true.

    Examples
    --------
    >>> ReliabilityBin(low=0.8, high=1.0, n=10, mean_probability=0.95, share=0.7).n
    10
    """

    low: float
    high: float
    n: int
    mean_probability: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """The table of a reliability diagram; empty bins are left out.

    Parameters
    ----------
    bins
        By ascending probability.
    by
        Equal ``width`` of the bins, or equal ``mass``, as many units in each.
    n
        Number of units.
    unit_of_analysis
        What a unit is.

    Examples
    --------
    >>> import torch
    >>> said, true = torch.tensor([0.9, 0.9, 0.1]), torch.tensor([True, False, False])
    >>> round(reliability(said, true, unit="patient").expected_error, 4)
    0.3
    """

    bins: tuple[ReliabilityBin, ...]
    by: Literal["width", "mass"]
    n: int
    unit_of_analysis: str

    @property
    def expected_error(self) -> float:
        r"""Expected calibration error, :math:`\sum_b (n_b / n) |share_b - said_b|`.

        Above 0 even for perfect calibration, as the shares of few units scatter: about
        :math:`.31 \sqrt{bins / n}` for probabilities spread evenly over [0, 1]. Compare at one n
        and one number of bins only.
        """
        return math.fsum(b.n / self.n * abs(b.share - b.mean_probability) for b in self.bins)

    @property
    def largest_error(self) -> float:
        """Maximum calibration error, the largest of ``|share - said|`` over the bins."""
        return max(abs(b.share - b.mean_probability) for b in self.bins)


def top_label(
    probabilities: Float[Tensor, "units classes"], label: Int64[Tensor, " units"]
) -> tuple[Float[Tensor, " units"], Bool[Tensor, " units"]]:
    """Return the probability of the likeliest class, and whether that class is the true one.

    These two go into `reliability` for more than two classes (C. Guo et al., ICML 2017,
    arXiv:1706.04599); for two, the probability of the positive class says more.
    """
    refuse_probabilities(probabilities)
    refuse_labels(label, probabilities.shape[1])
    top = probabilities.max(1)
    return top.values, top.indices == label


def reliability(
    probability: Float[Tensor, " units"],
    came_true: Bool[Tensor, " units"],
    *,
    unit: str,
    bins: int = 15,
    by: Literal["width", "mass"] = "width",
) -> Reliability:
    """Return what was said and what came true, bin by bin.

    Parameters
    ----------
    probability
        Of the event, in [0, 1]: the positive class, or the first of `top_label`.
    came_true
        Whether it happened.
    unit
        What a row is, e.g. ``"patient"``.
    bins
        How many; 15 is the usual number (Guo et al. 2017). Equal probabilities share a bin, so
        bins of equal mass may be fewer.
    by
        Equal width in probability, or as many units in each bin.

    Raises
    ------
    RefusedInputError
        No unit, a number outside [0, 1], or no bin.

    References
    ----------
    M. P. Naeini et al., AAAI 2015, doi:10.1609/aaai.v29i1.9602; equal mass: K. Nguyen,
    B. O'Connor, EMNLP 2015, arXiv:1508.05154.
    """
    said = probability.detach().double().cpu().numpy()
    if bins < 1 or not len(said) or not bool(((said >= 0) & (said <= 1)).all()):
        bad = int((~((said >= 0) & (said <= 1))).sum())
        msg = (
            f"got {len(said)} probabilities, {bad} outside [0, 1], and {bins} bins; allowed: one "
            "or more in [0, 1], one bin or more. Pass probabilities, not logits."
        )
        raise RefusedInputError(msg)
    inner = _inner_edges(said, bins, by)
    edges = [0.0, *inner.tolist(), 1.0]
    place = np.searchsorted(inner, said, side="left")
    true = came_true.cpu().numpy()
    rows = [
        ReliabilityBin(
            low=edges[b],
            high=edges[b + 1],
            n=int((place == b).sum()),
            mean_probability=float(said[place == b].mean()),
            share=float(true[place == b].mean()),
        )
        for b in np.unique(place).tolist()
    ]
    return Reliability(bins=tuple(rows), by=by, n=len(said), unit_of_analysis=unit)


def brier_score(
    probabilities: Float[Tensor, "units classes"], label: Int64[Tensor, " units"]
) -> float:
    r"""Return the mean over units of :math:`\sum_c (p_c - [y = c])^2`, from 0 to 2.

    Brier's own definition, also for two classes, where many programs print half of it.
    G. W. Brier, Mon. Weather Rev. 78 (1950) 1.
    """
    refuse_probabilities(probabilities)
    refuse_labels(label, probabilities.shape[1])
    truth = torch.nn.functional.one_hot(label, probabilities.shape[1])
    return float((probabilities.double() - truth).square().sum(1).mean())


def log_loss(logits: Float[Tensor, "units classes"], label: Int64[Tensor, " units"]) -> float:
    """Return the mean of ``-log softmax(logits)`` at the true class, in nats, in float64.

    From logits, or logarithms of probabilities: nothing is clipped, so that one sure error costs
    what it costs. All must be finite.
    """
    _refuse_logits(logits, label)
    return float(torch.nn.functional.cross_entropy(logits.double(), label))


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """One positive number by which logits are divided; it changes no decision and no order.

    Parameters
    ----------
    value
        1 leaves the logits as they are, more makes probabilities less sure.
    fitted_on
        The part of the data it was fitted to, e.g. ``"validation"``.
    n
        Units in that part.
    log_loss_before, log_loss_after
        On that part, in nats.
    note
        Why the value is 1 where no best one exists, or empty.

    Raises
    ------
    RefusedInputError
        If the value is not positive and finite.

    Examples
    --------
    >>> import torch
    >>> logits, label = torch.tensor([[4.0, 0], [4, 0], [0, 4], [0, 4]]), torch.tensor([0, 1, 1, 1])
    >>> found = fit_temperature(logits, label, fitted_on="validation")
    >>> round(found.value, 3), found.apply(logits).shape
    (3.641, torch.Size([4, 2]))
    """

    value: float
    fitted_on: str
    n: int
    log_loss_before: float
    log_loss_after: float
    note: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.value < math.inf:
            msg = f"the temperature must be positive and finite, got {self.value}."
            raise RefusedInputError(msg)

    def apply(self, logits: Float[Tensor, "units classes"]) -> Float[Tensor, "units classes"]:
        """Return ``logits / value``."""
        return logits / self.value


def fit_temperature(
    logits: Float[Tensor, "units classes"], label: Int64[Tensor, " units"], *, fitted_on: str
) -> Temperature:
    r"""Return the temperature with the least log loss.

    The log loss is convex in :math:`\beta = 1/T`, with the slope :math:`\overline{\sum_c p_c z_c -
    z_y}` for logits z and :math:`p = \mathrm{softmax}(\beta z)`; its zero is the minimum. Where
    none lies between 1/1000 and 1000 (all units right: T would go to 0; logits that say nothing
    of the label: to infinity) the value is 1 and ``note`` says why.

    Parameters
    ----------
    logits
        Of units that the model was not trained on, and that are not the test; finite.
    label
        Their classes.
    fitted_on
        Name of that part of the data; it must not name the test.

    Raises
    ------
    RefusedInputError
        Logits that are not finite, labels out of range, or a part called test.

    References
    ----------
    C. Guo et al., "On calibration of modern neural networks", ICML 2017, arXiv:1706.04599.
    """
    _refuse_logits(logits, label)
    refuse_test(fitted_on, "a temperature")
    z = logits.detach().double()
    least, most = -math.log(_LARGEST), math.log(_LARGEST)
    value, note = 1.0, ""
    if _slope(most, z, label) <= 0:
        note = "all units are right by their logits, so the best temperature is 0; left at 1"
    elif _slope(least, z, label) >= 0:
        note = "the logits say nothing of the label, so the best temperature is infinite; left at 1"
    else:
        root = require("scipy.optimize", extra="wsi").brentq
        value = math.exp(-root(_slope, least, most, args=(z, label)))
    return Temperature(
        value=value,
        fitted_on=fitted_on,
        n=len(label),
        log_loss_before=log_loss(z, label),
        log_loss_after=log_loss(z / value, label),
        note=note,
    )


def _slope(log_beta: float, z: Float64[Tensor, "units classes"], label: Tensor) -> float:
    expected = (torch.softmax(math.exp(log_beta) * z, 1) * z).sum(1)
    return float((expected - z.gather(1, label[:, None])[:, 0]).mean())


def _inner_edges(
    said: NDArray[np.float64], bins: int, by: Literal["width", "mass"]
) -> NDArray[np.float64]:
    shares = np.linspace(0, 1, bins + 1)[1:-1]
    if by == "width":
        return shares
    return np.unique(np.quantile(said, shares, method="inverted_cdf"))


def _refuse_logits(logits: Tensor, label: Tensor) -> None:
    refuse_labels(label, logits.shape[1])
    if not bool(logits.isfinite().all()):
        msg = "logits hold NaN or infinity. Look at the model, or take log_softmax in float64."
        raise RefusedInputError(msg)

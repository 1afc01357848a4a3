"""The bootstrap of any figure over independent units, each of which may hold several rows.

Units are drawn with replacement, never rows: what belongs to one unit stays together.
With strata, as many units of each class are drawn as there are.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Generator, Tensor

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.metrics._checks import FEW, refuse_confidence
from medconsist.metrics.report import Estimate

__all__ = ["Figure", "Resampling", "Units", "bootstrap", "bootstrap_difference"]

Figure = Callable[[Int64[Tensor, " drawn"]], float]
"""A figure of the rows with these numbers; a row may be drawn several times."""

_BATCH = 256  # resamples whose unit numbers are in memory at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """Which rows belong together, and which units are alike.

    Parameters
    ----------
    of_row
        Number of the unit of each row; any integers.
    name
        What a unit is, e.g. ``"patient"``.
    stratum
        Class of the unit of each row, one for all rows of a unit; units are drawn within it.
        Without it a resample may lack a class, on which many figures do not exist.

    Raises
    ------
    RefusedInputError
        No row, or a unit in two strata.

    Examples
    --------
    >>> import torch
    >>> units = Units(of_row=torch.tensor([7, 7, 9]), name="patient")
    >>> units.rows[0].tolist(), units.strata
    ([0, 1], [[0, 1]])
    """

    of_row: Int64[Tensor, " rows"]
    name: str
    stratum: Int64[Tensor, " rows"] | None = None

    def __post_init__(self) -> None:
        if not len(self.of_row):
            msg = "there is no row to resample. Pass the unit number of each row."
            raise RefusedInputError(msg)
        if self.stratum is None:
            return
        for number, rows in zip(torch.unique(self.of_row).tolist(), self.rows, strict=True):
            kinds = torch.unique(self.stratum[rows]).tolist()
            if len(kinds) > 1:
                msg = (
                    f"unit {number} ({self.name}) has rows in strata {kinds}; allowed: one stratum "
                    "per unit, e.g. the highest label of its rows."
                )
                raise RefusedInputError(msg)

    @property
    def rows(self) -> list[Int64[Tensor, " of_unit"]]:
        """The rows of each unit, units by ascending number."""
        order = torch.argsort(self.of_row, stable=True)
        sizes = torch.unique(self.of_row, return_counts=True)[1]
        return list(torch.split(order, sizes.tolist()))

    @property
    def strata(self) -> list[list[int]]:
        """The places in `rows` of the units of each stratum."""
        rows = self.rows
        if self.stratum is None:
            return [list(range(len(rows)))]
        kinds = [int(self.stratum[of_unit[0]]) for of_unit in rows]
        return [[u for u, kind in enumerate(kinds) if kind == k] for k in sorted(set(kinds))]


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How often to resample, and how the limits are read from the resamples.

    Parameters
    ----------
    resamples
        How many, 100 or more.
    method
        ``percentile``, or ``bca``, which corrects it for bias and skewness.
    confidence
        Nominal coverage, in (0, 1).

    Examples
    --------
    >>> Resampling(resamples=499).method
    'bca'
    """

    resamples: int = 1999
    method: Literal["bca", "percentile"] = "bca"
    confidence: float = 0.95

    def __post_init__(self) -> None:
        refuse_confidence(self.confidence)
        if self.resamples < 100:
            msg = f"{self.resamples} resamples have no tails to read; use 100 or more."
            raise RefusedInputError(msg)


def bootstrap(
    figure: Figure, units: Units, *, generator: Generator, plan: Resampling | None = None
) -> Estimate:
    """Return a figure of all rows with its bootstrap interval over the units.

    ``mean`` is the figure itself, ``n`` the number of units. No interval is made up where a
    stratum has one unit or all resamples give the same figure; ``note`` says so. Where BCa does
    not exist (the figure lies outside its resamples, or cannot lose a unit) the limits are
    percentiles and ``note`` says it; it warns below ten units in a stratum.

    Parameters
    ----------
    figure
        Takes the numbers of rows, gives a finite number.
    units
        Which rows are one unit, and the strata.
    generator
        Source of the resampling; the same state gives the same interval.
    plan
        Number, method and confidence; None takes the defaults of `Resampling`.

    Raises
    ------
    RefusedInputError
        The figure is not finite, or does not exist on a resample, as the area under the ROC curve
        on one class. Such resamples are not dropped, which would narrow the interval.

    References
    ----------
    B. Efron, JASA 82 (1987) 171, doi:10.1080/01621459.1987.10478410; computed by
    ``scipy.stats.bootstrap``. C. A. Field, A. H. Welsh, J. R. Stat. Soc. B 69 (2007) 369,
    doi:10.1111/j.1467-9868.2007.00593.x (clusters).

    Examples
    --------
    >>> import torch
    >>> values, of_row = torch.rand(30), torch.arange(30) // 2
    >>> units = Units(of_row=of_row, name="patient")
    >>> bootstrap(lambda r: float(values[r].mean()), units, generator=torch.Generator()).n
    15
    """
    plan = plan or Resampling()
    rows, strata = units.rows, units.strata
    whole = Estimate(
        mean=_finite(figure(torch.arange(len(units.of_row)))),
        ci_low=None,
        ci_high=None,
        n=len(rows),
        unit_of_analysis=units.name,
        confidence=plan.confidence,
    )
    fewest = min(map(len, strata))
    if fewest < 2:
        return replace(whole, note=f"a stratum of one unit ({units.name}): no interval")

    def of_units(*drawn: NDArray[np.int64]) -> float:
        return _finite(figure(torch.cat([rows[u] for u in np.concatenate(drawn)])))

    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    low, high, note = _limits(of_units, [np.asarray(s) for s in strata], plan, seed)
    if low is not None and fewest < FEW:
        few = f"only {fewest} units ({units.name}) in a stratum: too narrow below {FEW}"
        note = f"{note}; {few}" if note else few
    return replace(whole, ci_low=low, ci_high=high, note=note)


def bootstrap_difference(
    first: Figure,
    second: Figure,
    units: Units,
    *,
    generator: Generator,
    plan: Resampling | None = None,
) -> Estimate:
    """Return ``first - second`` with the interval of `bootstrap`, both on the same resamples."""
    return bootstrap(
        lambda rows: _finite(first(rows)) - _finite(second(rows)),
        units,
        generator=generator,
        plan=plan,
    )


def _limits(
    of_units: Callable[..., float], strata: list[NDArray[np.int64]], plan: Resampling, seed: int
) -> tuple[float | None, float | None, str]:
    resample = require("scipy.stats", extra="wsi").bootstrap
    settings: dict[str, Any] = {
        "vectorized": False,
        "paired": False,
        "confidence_level": plan.confidence,
        "batch": _BATCH,
    }
    try:
        done = resample(
            strata,
            of_units,
            n_resamples=plan.resamples,
            method="percentile",
            rng=np.random.default_rng(seed),
            **settings,
        )
    except RefusedInputError as error:
        msg = f"a resample has no figure: {error} Draw within classes: Units(..., stratum=...)."
        raise RefusedInputError(msg) from error
    values = done.bootstrap_distribution
    if np.ptp(values) == 0:
        return None, None, f"all {plan.resamples} resamples give {values[0]:g}: no interval"
    low, high = map(float, done.confidence_interval)
    if plan.method == "percentile":
        return low, high, ""
    value = of_units(*strata)
    if not values.min() < value < values.max():
        return low, high, "percentile interval: BCa does not exist at an end of the resamples"
    try:
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore")  # of limits that are NaN, which the note tells
            better = resample(
                strata, of_units, n_resamples=0, method="BCa", bootstrap_result=done, **settings
            ).confidence_interval
    except RefusedInputError:
        return low, high, "percentile interval: BCa does not exist, no figure without one unit"
    if not math.isfinite(better.low) or not math.isfinite(better.high):
        return low, high, "percentile interval: BCa does not exist, no single unit changes it"
    return float(better.low), float(better.high), ""


def _finite(value: float) -> float:
    if not math.isfinite(value):
        msg = f"the figure is {value}; allowed: finite figures."
        raise RefusedInputError(msg)
    return value

"""Can a group be read off the features, and does it go with the label: of rows that have owners."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from torch.nn import functional

from medconsist._extras import require
from medconsist.errors import RefusedInputError

__all__ = ["GroupProbe", "ProbeSettings", "association", "probe_groups"]

_STEPS = 150
_FLAT = 1e-9  # of the largest singular value: no direction of the data


@dataclass(frozen=True, kw_only=True)
class GroupProbe:
    """How well a linear probe tells the groups.

    Parameters
    ----------
    balanced_accuracy
        Over the held-out rows of all folds.
    permuted
        Its mean under permuted groups.
    p
        One-sided.

    Examples
    --------
    >>> GroupProbe(balanced_accuracy=0.9, permuted=0.5, p=0.01).p
    0.01
    """

    balanced_accuracy: float
    permuted: float
    p: float


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How the probe is fitted and judged.

    Parameters
    ----------
    folds
        Of units that stay together.
    permutations
        Of the groups among units, for the null.
    components
        Principal components of the features that it sees.
    penalty
        Of the squared weights, per row.

    Raises
    ------
    RefusedInputError
        Fewer than two folds, 19 permutations or one component: 19 are the fewest for 0.05.

    Examples
    --------
    >>> ProbeSettings(permutations=199).folds
    5
    """

    folds: int = 5
    permutations: int = 99
    components: int = 16
    penalty: float = 0.01

    def __post_init__(self) -> None:
        if self.folds < 2 or self.permutations < 19 or self.components < 1 or self.penalty <= 0:
            msg = (
                f"got {self.folds} folds, {self.permutations} permutations, {self.components} "
                f"components, penalty {self.penalty}; allowed: from 2, 19, 1, and above 0."
            )
            raise RefusedInputError(msg)


def probe_groups(
    features: Float[Tensor, "rows dim"],
    group: Int64[Tensor, " rows"],
    owner: Int64[Tensor, " rows"],
    *,
    generator: Generator,
    settings: ProbeSettings | None = None,
) -> GroupProbe:
    """Return how well the group is told from features, cross-validated by owner.

    Multinomial logistic regression on principal components; the null permutes groups among owners.

    Parameters
    ----------
    features
        In float64, one row a bag or window.
    group
        Site of each row, 0 to the number of groups less 1; one for all rows of an owner.
    owner
        Whose a row is, 0 to the number of owners less 1.
    generator
        Of folds and permutations.
    settings
        None takes the defaults.
    """
    settings = settings or ProbeSettings()
    n, draws = int(owner.max()) + 1, range(settings.permutations)
    of_owner = torch.zeros(n, dtype=torch.int64)
    of_owner[owner] = group
    orders = [torch.arange(n), *(torch.randperm(n, generator=generator) for _ in draws)]
    drawn = torch.stack([of_owner[order][owner] for order in orders])
    # folds that do not look at the groups, so that all draws are exchangeable under the null
    fold = (torch.randperm(n, generator=generator) % settings.folds)[owner]
    seen = _balanced(features, drawn, fold, settings, classes=int(group.max()) + 1)
    value, null = float(seen[0]), seen[1:]
    # equal accuracies must count as equal in spite of rounding
    p = float((1 + int((null >= value - 1e-12).sum())) / (1 + len(null)))
    return GroupProbe(balanced_accuracy=value, permuted=float(null.mean()), p=p)


def association(
    labels: Int64[Tensor, " units"], groups: Int64[Tensor, " units"], *, generator: Generator
) -> tuple[float, float]:
    """Return Cramer's V, corrected for bias, and its p-value: Fisher's exact one for 2 x 2.

    Larger tables are tested by 999 permutations of chi-square.

    Parameters
    ----------
    labels, groups
        Of each unit, numbered from 0, each number there.
    generator
        Of the permutations.

    References
    ----------
    W. Bergsma, Journal of the Korean Statistical Society 42 (2013) 323,
    doi:10.1016/j.jkss.2012.10.002.
    """
    table = _crossed(labels, groups)
    return _cramers_v(table), _p_of(table, labels, groups, generator)


def _balanced(
    means: Float[Tensor, "bags dim"],
    drawn: Int64[Tensor, "draws bags"],
    fold: Int64[Tensor, " bags"],
    settings: ProbeSettings,
    *,
    classes: int,
) -> Float[Tensor, " draws"]:
    """Return the balanced accuracy of each draw of sites, over the held-out bags of all folds."""
    said = torch.zeros_like(drawn)
    for number in range(settings.folds):
        held = fold == number
        if not bool(held.any()):
            continue
        train, test = _components(means[~held], means[held], settings.components)
        weight = _fitted(train, functional.one_hot(drawn[:, ~held], classes).double(), settings)
        said[:, held] = (functional.pad(test, (0, 1), value=1.0) @ weight).argmax(2)
    right = (said == drawn).double()
    own = functional.one_hot(drawn, classes).double()
    per_site = torch.einsum("db,dbs->ds", right, own) / own.sum(1).clamp(min=1)
    return per_site.mean(1)


def _components(train: Tensor, test: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return principal components of the training bags, scaled to a spread of 1, and the same."""
    mean = train.mean(0)
    _, scale, axes = torch.linalg.svd(train - mean, full_matrices=False)
    kept = max(1, min(count, int((scale > _FLAT * scale[0]).sum())))
    basis = axes[:kept].T / (scale[:kept].clamp(min=_FLAT) / len(train) ** 0.5)
    return (train - mean) @ basis, (test - mean) @ basis


def _fitted(
    x: Float[Tensor, "bags dim"], wanted: Float[Tensor, "draws bags classes"], own: ProbeSettings
) -> Float[Tensor, "draws dim_and_one classes"]:
    """Minimise the mean log loss plus the penalty, all draws at once, by accelerated descent."""
    x = functional.pad(x, (0, 1), value=1.0)
    # half the largest eigenvalue bounds the curvature of a softmax
    curvature = 0.5 * float(torch.linalg.matrix_norm(x, ord=2)) ** 2 / len(x) + own.penalty
    weight = torch.zeros(len(wanted), x.shape[1], wanted.shape[2], dtype=x.dtype)
    ahead, momentum = weight, 1.0
    for _ in range(_STEPS):
        slope = x.T @ ((x @ ahead).softmax(2) - wanted) / len(x) + own.penalty * ahead
        stepped = ahead - slope / curvature
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = stepped + (momentum - 1) / following * (stepped - weight)
        weight, momentum = stepped, following
    return weight


def _crossed(labels: Tensor, sites: Tensor) -> Float[Tensor, "labels sites"]:
    shape = (int(labels.max()) + 1, int(sites.max()) + 1)
    flat = torch.bincount(labels * shape[1] + sites, minlength=shape[0] * shape[1])
    return flat.reshape(shape).double()


def _chi_square(table: Tensor) -> float:
    wanted = table.sum(1, keepdim=True) * table.sum(0, keepdim=True) / table.sum()
    return float(((table - wanted) ** 2 / wanted).sum())


def _cramers_v(table: Tensor) -> float:
    n, (rows, columns) = float(table.sum()), table.shape
    free = (rows - 1) * (columns - 1) / (n - 1)
    phi = max(0.0, _chi_square(table) / n - free)
    sides = [side - (side - 1) ** 2 / (n - 1) for side in (rows, columns)]
    least = min(sides) - 1
    return float((phi / least) ** 0.5) if least > 0 else 0.0


def _p_of(table: Tensor, labels: Tensor, sites: Tensor, generator: Generator) -> float:
    if tuple(table.shape) == (2, 2):
        stats = require("scipy.stats", extra="wsi")
        return float(stats.fisher_exact(table.numpy().astype(np.int64)).pvalue)
    seen, draws = _chi_square(table), 999
    null = [
        _chi_square(_crossed(labels[torch.randperm(len(labels), generator=generator)], sites))
        for _ in range(draws)
    ]
    # equal tables must count as equal in spite of rounding
    return (1 + sum(value >= seen * (1 - 1e-9) for value in null)) / (1 + draws)

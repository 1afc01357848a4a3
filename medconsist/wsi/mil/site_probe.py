"""Can the site be read off the features, and does it go with the label? Together: a shortcut."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from torch.nn import functional

from medconsist._extras import require
from medconsist.errors import RefusedInputError
from medconsist.wsi.mil.audit import Finding
from medconsist.wsi.mil.cohort import BagInfo, Cohort
from medconsist.wsi.mil.fingerprints import bag_means

__all__ = ["ProbeSettings", "label_by_site", "shortcut", "site_from_features"]

_STEPS = 150
_LEVEL = 0.05
_FLAT = 1e-9  # of the largest singular value: no direction of the data


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How the probe is fitted and judged.

    Parameters
    ----------
    folds
        By patient.
    permutations
        Of the sites among patients, for the null.
    components
        Principal components of the mean features that it sees.
    penalty
        Of the squared weights, per bag.

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


def site_from_features(
    cohort: Cohort, *, generator: Generator, settings: ProbeSettings | None = None
) -> Finding:
    """Say whether a linear probe predicts the site from mean features better than by chance.

    Multinomial logistic regression on the principal components of the mean feature of each bag,
    cross-validated by patient; balanced accuracy against the same with sites permuted among
    patients. It almost always can: scanner and stain are in most encoders' features. That alone is
    no leak; see `shortcut`.

    Parameters
    ----------
    cohort
        Bags with a site; those without, and sites of one patient, are left out. Labels are not
        read: a sealed test may be among them.
    generator
        Of folds and permutations.
    settings
        None takes the defaults.

    Raises
    ------
    RefusedInputError
        Fewer than two sites with two patients or more, or patients of several sites.
    """
    settings = settings or ProbeSettings()
    kept, sites, patients = _usable(cohort)
    means = bag_means(cohort.part(kept)).double()
    names = sorted(set(sites))
    truth = torch.tensor([names.index(site) for site in sites])
    people = sorted(set(patients))
    person = torch.tensor([people.index(patient) for patient in patients])
    of_person = torch.zeros(len(people), dtype=torch.int64)
    of_person[person] = truth
    n, draws = len(people), range(settings.permutations)
    orders = [torch.arange(n), *(torch.randperm(n, generator=generator) for _ in draws)]
    drawn = torch.stack([of_person[order][person] for order in orders])
    # folds that do not look at the sites, so that all draws are exchangeable under the null
    fold = (torch.randperm(n, generator=generator) % settings.folds)[person]
    seen = _balanced(means, drawn, fold, settings, classes=len(names))
    value, null = float(seen[0]), seen[1:]
    p = float((1 + int((null >= value).sum())) / (1 + len(null)))
    passed = p > _LEVEL
    sentence = (
        f"A linear probe {'cannot tell' if passed else 'tells'} the {len(names)} sites by mean "
        f"features {'from chance' if passed else 'apart'}: balanced accuracy {value:.3f}, permuted "
        f"{float(null.mean()):.3f}, p = {p:.3g} ({len(people)} patients, {len(kept)} bags)."
    )
    numbers = {
        "balanced_accuracy": value,
        "permuted": float(null.mean()),
        "p": p,
        "sites": len(names),
        "patients": len(people),
        "bags": len(kept),
    }
    return Finding(
        name="site probe", passed=passed, sentence=sentence, numbers=numbers, weight="warning"
    )


def label_by_site(infos: Sequence[BagInfo], *, generator: Generator) -> Finding:
    """Say whether label and site go together: Cramer's V, with Fisher's exact test for 2 x 2.

    V is corrected for bias (Bergsma, Journal of the Korean Statistical Society 42 (2013),
    doi:10.1016/j.jkss.2012.10.002). Larger tables are tested by 999 permutations of chi-square. The
    unit is the patient: each counts once for each label and site of theirs.

    Parameters
    ----------
    infos
        Of training and validation; without label or site they are left out.
    generator
        Of the permutations.

    Raises
    ------
    RefusedInputError
        Fewer than two labels or two sites.
    """
    known = sorted(
        {
            (info.patient, info.label, info.site)
            for info in infos
            if info.label is not None and info.site is not None
        }
    )
    names = sorted({site for _, _, site in known})
    sites = torch.tensor([names.index(site) for _, _, site in known])
    kinds = sorted({label for _, label, _ in known})
    if len(names) < 2 or len(kinds) < 2:
        msg = (
            f"got {len(known)} patients with label and site, of {len(names)} sites; allowed: two "
            "or more labels and sites."
        )
        raise RefusedInputError(msg)
    labels = torch.tensor([kinds.index(label) for _, label, _ in known])
    table = _crossed(labels, sites)
    v, p = _cramers_v(table), _p_of(table, labels, sites, generator)
    passed = p > _LEVEL
    sentence = (
        f"Label and site {'show no' if passed else 'show'} association over {len(known)} patients "
        f"and {len(names)} sites: Cramer's V {v:.3f}, p = {p:.3g}."
    )
    return Finding(
        name="label by site",
        passed=passed,
        sentence=sentence,
        numbers={"cramers_v": v, "p": p, "patients": len(known), "sites": len(names)},
        weight="warning",
    )


def shortcut(probe: Finding, association: Finding, sites: Finding) -> Finding:
    """Put three findings together: the site is in the features, goes with the label, on both sides.

    Then a model may score by telling the site, and the test rewards it. A split by site ends that.

    Parameters
    ----------
    probe, association, sites
        Of `site_from_features`, `label_by_site` and `audit.sites_apart`.
    """
    found = not (probe.passed or association.passed or sites.passed)
    sentence = "The site is no shortcut to the label here: " + (
        "its sites are kept apart." if sites.passed else "it does not go with label and features."
    )
    if found:
        sentence = (
            "The features tell the site, the site goes with the label, and sites are in more than "
            "one part: the test may reward telling the site. Split again with --group site."
        )
    return Finding(name="shortcut", passed=not found, sentence=sentence)


def _usable(cohort: Cohort) -> tuple[list[int], list[str], list[str]]:
    of_site = dict[str, set[str]]()
    of_patient = dict[str, set[str]]()
    for info in cohort.infos:
        if info.site is not None:
            of_site.setdefault(info.site, set()).add(info.patient)
            of_patient.setdefault(info.patient, set()).add(info.site)
    torn = sorted(patient for patient, own in of_patient.items() if len(own) > 1)
    large = {site for site, patients in of_site.items() if len(patients) > 1}
    if torn or len(large) < 2:
        msg = (
            f"got {len(large)} sites of two patients or more, and {len(torn)} patients of several "
            "sites; allowed: two such sites or more, each patient in one."
        )
        raise RefusedInputError(msg)
    kept = [n for n, info in enumerate(cohort.infos) if info.site in large]
    infos = [cohort.infos[n] for n in kept]
    return kept, [info.site or "" for info in infos], [info.patient for info in infos]


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

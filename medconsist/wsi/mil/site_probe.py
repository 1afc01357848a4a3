"""Can the site be read off the features, and does it go with the label? Together: a shortcut."""

from collections.abc import Sequence

import torch
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.metrics.group_probe import ProbeSettings, association, probe_groups
from medconsist.results.finding import Finding
from medconsist.wsi.mil.cohort import BagInfo, Cohort
from medconsist.wsi.mil.fingerprints import bag_means

__all__ = ["label_by_site", "shortcut", "site_from_features"]

_LEVEL = 0.05


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
    told = probe_groups(means, truth, person, generator=generator, settings=settings)
    value, p = told.balanced_accuracy, told.p
    passed = p > _LEVEL
    sentence = (
        f"A linear probe {'cannot tell' if passed else 'tells'} the {len(names)} sites by mean "
        f"features {'from chance' if passed else 'apart'}: balanced accuracy {value:.3f}, permuted "
        f"{told.permuted:.3f}, p = {p:.3g} ({len(people)} patients, {len(kept)} bags)."
    )
    numbers = {
        "balanced_accuracy": value,
        "permuted": told.permuted,
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
    v, p = association(labels, sites, generator=generator)
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

"""Whether the site can be read off the features of a trial, and whether it goes with the label."""

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64
from torch import Generator

from medconsist.errors import RefusedInputError
from medconsist.metrics.group_probe import ProbeSettings, association, probe_groups
from medconsist.results.finding import Finding
from medconsist.timeseries.window_set import UNKNOWN, WindowTable

__all__ = ["label_by_site", "site_from_features"]

_LEVEL = 0.05
_TWO = 2


def site_from_features(
    features: Float64[npt.NDArray[np.float64], "windows dim"],
    table: WindowTable,
    *,
    generator: Generator,
    settings: ProbeSettings | None = None,
) -> Finding:
    """Say whether a linear probe predicts the site from a trial's mean features: a warning.

    One row a trial, cross-validated by patient, against sites permuted among patients; see
    `metrics.group_probe`. That alone is no leak; with `label_by_site` it is a shortcut.

    Parameters
    ----------
    features
        One row a window.
    table
        Of the windows; patients without a site, and sites of one patient, are left out.
    generator
        Of folds and permutations.
    settings
        None takes the defaults.

    Raises
    ------
    RefusedInputError
        Fewer than two sites of two patients or more.
    """
    site = _sites(table)
    names = [name for name in sorted(set(site)) if name and site.count(name) >= _TWO]
    if len(names) < _TWO:
        msg = f"{len(names)} sites have two patients or more; allowed: two such sites or more."
        raise RefusedInputError(msg)
    trials = np.unique(table.trial)
    owner = np.array([table.patient[table.trial == trial][0] for trial in trials])
    kept = [n for n, patient in enumerate(owner.tolist()) if site[patient] in names]
    means = np.stack([features[table.trial == trials[n]].mean(0) for n in kept])
    people, person = np.unique(owner[kept], return_inverse=True)
    group = torch.tensor([names.index(site[patient]) for patient in owner[kept].tolist()])
    told = probe_groups(
        torch.from_numpy(means).double(),
        group,
        torch.from_numpy(person),
        generator=generator,
        settings=settings,
    )
    passed = told.p > _LEVEL
    sentence = (
        f"A linear probe {'cannot tell' if passed else 'tells'} the {len(names)} sites "
        f"{'from chance' if passed else 'apart'}: balanced accuracy {told.balanced_accuracy:.3f}, "
        f"permuted {told.permuted:.3f}, p = {told.p:.3g} ({len(people)} patients, {len(kept)} "
        "trials)."
    )
    numbers = {
        "balanced_accuracy": told.balanced_accuracy,
        "permuted": told.permuted,
        "p": told.p,
        "sites": len(names),
        "patients": len(people),
    }
    return Finding(
        name="site probe", passed=passed, sentence=sentence, numbers=numbers, weight="warning"
    )


def label_by_site(table: WindowTable, *, generator: Generator) -> Finding:
    """Say whether label and site go together over the patients: a warning.

    Parameters
    ----------
    table
        Of the windows; patients without label or site are left out.
    generator
        Of the permutations of larger tables than 2 x 2.

    Raises
    ------
    RefusedInputError
        Fewer than two labels or two sites.
    """
    site, labels = _sites(table), table.patient_labels.tolist()
    known = [n for n in range(len(labels)) if labels[n] != UNKNOWN and site[n]]
    names = sorted({site[n] for n in known})
    kinds = sorted({labels[n] for n in known})
    if min(len(names), len(kinds)) < _TWO:
        msg = (
            f"{len(known)} patients with label and site, of {len(names)} sites and {len(kinds)} "
            "labels; allowed: two or more of each."
        )
        raise RefusedInputError(msg)
    v, p = association(
        torch.tensor([kinds.index(labels[n]) for n in known]),
        torch.tensor([names.index(site[n]) for n in known]),
        generator=generator,
    )
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


def _sites(table: WindowTable) -> list[str]:
    """Return the site of each patient with windows; empty where it is not known."""
    present = set(table.patient.tolist())
    return [(site or "") if n in present else "" for n, site in enumerate(table.sites)]

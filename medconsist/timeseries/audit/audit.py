"""All looks at one split, one verdict: a leak ends with exit code 4 unless it is allowed."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from medconsist import RESEARCH_USE_ONLY
from medconsist.errors import RefusedInputError
from medconsist.results.finding import Finding
from medconsist.timeseries.audit.across import (
    Parts,
    names_apart,
    overlaps_across,
    patients_apart,
    sites_apart,
)
from medconsist.timeseries.audit.copies import copies_across
from medconsist.timeseries.audit.leakage import LeakageSettings, identity_probe, leakage
from medconsist.timeseries.audit.sites import label_by_site, site_from_features
from medconsist.timeseries.evaluation.fixed import FixedRepresentation
from medconsist.timeseries.window_set import WindowSet
from medconsist.training.draws import generator_for

__all__ = ["LEAK_FOUND", "AuditReport", "audit", "audit_split"]

LEAK_FOUND = 4
"""Exit code of an audit that found a leak."""

_COPIES, _IDENTITY, _LEAKAGE, _SITES, _BY_SITE = range(5)  # places of random numbers


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """What all looks found.

    Parameters
    ----------
    findings
        In the order of the looks.
    allowed
        Whether a leak is let pass, by someone who said so.

    Examples
    --------
    >>> AuditReport(findings=(), allowed=False).exit_code
    0
    """

    findings: tuple[Finding, ...]
    allowed: bool = False

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Those that make the numbers of the test void."""
        return tuple(one for one in self.findings if one.is_leak)

    @property
    def exit_code(self) -> int:
        """0, or 4 where a leak was found and not allowed."""
        return LEAK_FOUND if self.leaks and not self.allowed else 0

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        verdict = {"leaks": len(self.leaks), "exit_code": self.exit_code}
        return {"said": RESEARCH_USE_ONLY, **asdict(self), **verdict}

    @property
    def text(self) -> str:
        """One line a finding, and the verdict."""
        told = [RESEARCH_USE_ONLY]
        for one in self.findings:
            mark = "ok" if one.passed else one.weight.upper()
            told.append(f"{mark:<8}{one.name:<14}{one.sentence}")
        verdict = "No leak was found."
        if self.leaks:
            names = ", ".join(one.name for one in self.leaks)
            verdict = f"{len(self.leaks)} leaks ({names}): figures of this split say nothing."
            if self.allowed:
                verdict += " They were allowed by the one who ran this."
        return "\n".join([*told, verdict])


def audit_split(windows: WindowSet, parts: Parts, *, seed: int = 0) -> tuple[Finding, ...]:
    """Return what is on two sides of a split: patients, ids, sites, copies, shared samples.

    Parameters
    ----------
    windows
        All of them.
    parts
        Rows of each part; two or more.
    seed
        Of the projection that finds near copies.

    Raises
    ------
    RefusedInputError
        Fewer than two parts.
    """
    return (
        patients_apart(windows.table, parts),
        names_apart(windows.table, parts),
        sites_apart(windows.table, parts),
        *copies_across(windows, parts, generator=generator_for(seed, _COPIES)),
        overlaps_across(windows.table, parts, samples=windows.samples),
    )


def audit(
    windows: WindowSet,
    parts: Parts,
    representation: FixedRepresentation,
    *,
    settings: LeakageSettings | None = None,
    allow_leak: bool = False,
    seed: int = 0,
) -> AuditReport:
    """Look at a split in all ways, and at what identity and site are worth in these windows.

    Parameters
    ----------
    windows
        All of them.
    parts
        Rows of each part; two or more.
    representation
        Features for the probes: hand-made, or of an untrained encoder, so that no label is in them.
    settings
        Of leaked against honest accuracy.
    allow_leak
        Whether a leak ends with exit code 0 all the same; it is reported in either case.
    seed
        Of all that is drawn.

    Raises
    ------
    RefusedInputError
        Fewer than two parts, or features that are not finite.
    """
    features = representation.features(windows.without_labels())
    bad = int((~np.isfinite(features)).any(1).sum())
    if bad:
        msg = f"{representation.name}: {bad} of {len(features)} windows have features not finite."
        raise RefusedInputError(msg)
    table, drawn = windows.table, partial(generator_for, seed)
    looks: dict[str, Callable[[], Finding]] = {
        "identity": lambda: identity_probe(features, table, generator=drawn(_IDENTITY)),
        "dependence": lambda: (
            leakage(features, table, generator=drawn(_LEAKAGE), settings=settings).finding
        ),
        "site probe": lambda: site_from_features(features, table, generator=drawn(_SITES)),
        "label by site": lambda: label_by_site(table, generator=drawn(_BY_SITE)),
    }
    found = [*audit_split(windows, parts, seed=seed), *(_or_why(*one) for one in looks.items())]
    return AuditReport(findings=tuple(found), allowed=allow_leak)


def _or_why(name: str, look: Callable[[], Finding]) -> Finding:
    """Return a finding, or why these windows do not allow the look: a warning."""
    try:
        return look()
    except RefusedInputError as error:
        sentence = f"Not looked at: {error}"
        return Finding(name=name, passed=False, sentence=sentence, weight="warning")

"""One table over the scans of a study: image quality and measured evidence, with intervals."""

import logging
from collections import defaultdict
from pathlib import Path

import torch

from medconsist._digests import canonical_json
from medconsist.errors import MissingInputError, RefusedInputError
from medconsist.metrics.report import Estimate, interval
from medconsist.mri.settings import KIND
from medconsist.results.bench import BenchRow
from medconsist.results.methods import labelled_method, settings_of
from medconsist.results.schema import Result
from medconsist.results.store import ResultStore

__all__ = ["evaluate_study"]

logger = logging.getLogger(__name__)


def evaluate_study(root: Path, study: str, *, seed: int = 0) -> list[BenchRow]:
    """Return one row per method and metric over the current results of a study.

    Unit of analysis: the scan. Intervals: 95 % BCa bootstrap over scans; none for one scan, and
    a warning where there are too few for it.
    Only results with a reference count; scores of the trust record are no image quality and are
    not in this table.

    Parameters
    ----------
    root, study
        Where the results lie.
    seed
        Of the bootstrap.

    Raises
    ------
    MissingInputError
        There is no such study.
    RefusedInputError
        No result of the study has a reference, or a method has other settings in another case:
        one row would pool two methods.
    """
    if not (root / study).is_dir():
        msg = (
            f"{root / study} is not there. Pass the folder that was given to --out, and the study "
            "as --study."
        )
        raise MissingInputError(msg)
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    settings: dict[str, dict[str, str]] = defaultdict(dict)
    store = ResultStore(root, study)
    for case in store.cases():
        if store.current(case) is None:
            continue
        result = store.read(case).result
        if result.kind != KIND:
            continue
        for metric in result.metrics:
            role = metric.role or "reconstruction"
            name = labelled_method(result, role)
            settings[name].setdefault(_settings_of(result, role), case)
            values[name, metric.name, metric.unit].append(metric.value)
    if not values:
        msg = (
            f"no result in {root / study} has a reference to compare with. Reconstruct scans of "
            "`medconsist mri simulate`, which carry one."
        )
        raise RefusedInputError(msg)
    _refuse_mixed(settings)
    generator = torch.Generator().manual_seed(seed)
    estimates = {
        names: interval(found, unit="scan", generator=generator) for names, found in values.items()
    }
    for note in sorted({estimate.note for estimate in estimates.values() if estimate.note}):
        logger.warning("%s", note)
    return [_row(*names, estimate, seed) for names, estimate in estimates.items()]


def _settings_of(result: Result, role: str) -> str:
    """Return what decides the image of a role, as canonical JSON."""
    method = settings_of(result, role)
    shared = {name: result.config.get(name) for name in ("combine", "prepare")}
    return canonical_json({"method": method, **shared}).decode()


def _refuse_mixed(settings: dict[str, dict[str, str]]) -> None:
    for method, cases in settings.items():
        if len(cases) > 1:
            first, second, *_ = cases.values()
            msg = (
                f"{method} has other settings in case {first} than in case {second} (see config "
                "in their result.json), and one row cannot pool them. Reconstruct all cases with "
                "the same settings, or give each setting a --study of its own."
            )
            raise RefusedInputError(msg)


def _row(method: str, metric: str, unit: str, estimate: Estimate, seed: int) -> BenchRow:
    return BenchRow(
        case=method,
        metric=metric,
        value=estimate.mean,
        unit=unit,
        n=estimate.n,
        unit_of_analysis="scan",
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        seed=seed,
    )

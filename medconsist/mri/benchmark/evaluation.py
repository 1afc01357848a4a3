"""Every method on one scan in all its cells; a scan that is finished is kept."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

from torch import Generator

from medconsist.metrics.image import image_quality
from medconsist.mri.bench.learned.scans import DrawnScan, Measured, SliceKind, measured_in
from medconsist.mri.bench.learned.scores import Reconstruct, Scores
from medconsist.mri.bench.learned.tuning import Families, Tuned, best_of, candidates_of
from medconsist.mri.benchmark.cells import MAIN, ShiftedCell, kinds_of
from medconsist.mri.benchmark.design import Design
from medconsist.mri.benchmark.sources import Source
from medconsist.mri.benchmark.training import Outcome
from medconsist.mri.draw_seeds import Role
from medconsist.mri.learned.method import LearnedMethod
from medconsist.mri.learned.model import load_model
from medconsist.mri.methods import Zerofilled
from medconsist.mri.quality import QUALITY_UNITS
from medconsist.results.kept import KeptFolder

__all__ = ["Judged", "Unit", "judge_unit", "judged", "measured_with_error", "methods_of"]
__all__ += ["units_of"]

logger = logging.getLogger(__name__)

_MAPS_SEED = 2**31  # apart from the seeds of masks, which lie below


@dataclass(frozen=True)
class Unit:
    """One scan of one kind: the least that is kept.

    Parameters
    ----------
    role
        ``"validation"`` tries the candidates of the classical methods, ``"test"`` judges.
    number, kind
        Which scan.

    Examples
    --------
    >>> Unit("test", 3, SliceKind(contrast="T1w")).name
    'test/T1w 8 coils SNR 30 scan 3'
    """

    role: Role
    number: int
    kind: SliceKind

    @property
    def name(self) -> str:
        """As its file is called."""
        kind = self.kind
        return f"{self.role}/{kind.contrast} {kind.coils} coils SNR {kind.snr:g} scan {self.number}"


@dataclass(frozen=True)
class Judged:
    """What every method reached, by the name of the cell.

    Parameters
    ----------
    scores
        One value a test scan, in order; methods that gave an image that is not finite are not in.
    tuned
        The classical methods of each cell.
    broken
        Networks without finite images, and where.

    Examples
    --------
    >>> Judged().scores
    {}
    """

    scores: dict[str, Scores] = field(default_factory=dict)
    tuned: dict[str, dict[str, Tuned]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


def units_of(source: Source, role: Role) -> list[Unit]:
    """Return the scans of a role, kind by kind."""
    return [
        Unit(role, number, kind)
        for kind in kinds_of(source.cells)
        for number in range(source.count(role, kind))
    ]


def judge_unit(
    design: Design, source: Source, kept: KeptFolder, trained: Sequence[Outcome], unit: Unit
) -> None:
    """Reconstruct one scan with every method in every cell of its kind, and keep the figures."""
    kept.part(unit.name, lambda: _figures(design, source, kept, trained, unit))


def judged(design: Design, source: Source, kept: KeptFolder, trained: Sequence[Outcome]) -> Judged:
    """Return what is kept of all test scans; every unit has been judged."""
    found = Judged()
    for kind, cells in kinds_of(source.cells).items():
        tuned = _tuned(design.families, source, kept, kind)
        for cell in cells:
            found.tuned[cell.name] = tuned[cell.name]
        units = [Unit("test", number, kind) for number in range(source.count("test", kind))]
        values = [kept.find(unit.name) or {} for unit in units]
        for cell in cells:
            here = [_ordered(one[cell.name], design) for one in values]
            found.scores[cell.name] = _scores(here, found, cell.name)
    order = {cell.name: place for place, cell in enumerate(source.cells)}
    scores = dict(sorted(found.scores.items(), key=lambda item: order[item[0]]))
    broken = {one.name: one.diverged for one in trained if one.diverged} | found.broken
    return Judged(scores, found.tuned, broken)


def measured_with_error(cell: ShiftedCell, scan: DrawnScan) -> Measured:
    """Return the scan as a cell samples it, with its maps wrong by as much as the cell says."""
    (seen,) = measured_in((cell,), scan)
    generator = Generator().manual_seed(_MAPS_SEED + scan.mask_seed)
    measurement = seen.measurement
    wrong = cell.maps(measurement.maps, generator)
    return Measured(
        type(measurement)(measurement.samples, measurement.mask, wrong, measurement.sigma),
        seen.reference,
    )


def _figures(
    design: Design, source: Source, kept: KeptFolder, trained: Sequence[Outcome], unit: Unit
) -> Mapping[str, Any]:
    logger.info("%s ...", unit.name)
    cells = kinds_of(source.cells)[unit.kind]
    scan = source.scan(unit.role, unit.number, unit.kind)
    if unit.role == "validation":
        candidates: Mapping[str, Reconstruct] = candidates_of(design.families)
        return {cell.name: _qualities(candidates, cell, scan) for cell in cells}
    methods = methods_of(design, source, kept, trained, unit.kind)
    return {cell.name: _qualities(methods[cell.name], cell, scan) for cell in cells}


def methods_of(
    design: Design,
    source: Source,
    kept: KeptFolder,
    trained: Sequence[Outcome],
    kind: SliceKind,
) -> dict[str, dict[str, Reconstruct]]:
    """Return every method of the cells of a kind, once its validation scans have been judged."""
    tuned = _tuned(design.families, source, kept, kind)
    found = dict[str, dict[str, Reconstruct]]()
    for cell in kinds_of(source.cells)[kind]:
        classical = {name: best.method for name, best in tuned[cell.name].items()}
        networks = _networks(design, trained, cell)
        found[cell.name] = {"zerofilled": Zerofilled(), **classical, **networks}
    return found


def _qualities(
    methods: Mapping[str, Reconstruct], cell: ShiftedCell, scan: DrawnScan
) -> dict[str, dict[str, float] | None]:
    seen = measured_with_error(cell, scan)
    found = dict[str, dict[str, float] | None]()
    for name, method in methods.items():
        start = process_time()
        image = method(seen.measurement).abs()
        seconds = (process_time() - start) / len(image)
        is_finite = bool(image.isfinite().all())
        quality = image_quality(image, seen.reference) if is_finite else None
        found[name] = None if quality is None else quality | {"seconds": seconds}
    return found


def _networks(
    design: Design, trained: Sequence[Outcome], cell: ShiftedCell
) -> dict[str, Reconstruct]:
    """Return the networks of a cell: those of equal parameters stand in the main cells alone."""
    views = {one.name: set(one.views) for one in design.entrants}
    return {
        one.name: _loaded(one.weights)
        for one in trained
        if one.weights is not None and (cell.name in MAIN or views[one.name] != {"parameters"})
    }


@cache
def _loaded(weights: Path) -> LearnedMethod:
    return LearnedMethod(load_model(weights))


def _tuned(
    families: Families, source: Source, kept: KeptFolder, kind: SliceKind
) -> dict[str, dict[str, Tuned]]:
    units = [Unit("validation", n, kind) for n in range(source.count("validation", kind))]
    values = [kept.find(unit.name) or {} for unit in units]
    found = {}
    for cell in kinds_of(source.cells)[kind]:
        reached = Scores()
        for one in values:
            _add(reached, one[cell.name])
        found[cell.name] = best_of(families, reached)
    return found


def _scores(values: Sequence[Mapping[str, Any]], found: Judged, cell: str) -> Scores:
    """Return the scores of methods whose images were finite on every scan; name the others."""
    torn = {name for one in values for name, quality in one.items() if quality is None}
    for name in torn:
        found.broken.setdefault(name, f"an image of cell {cell} is not finite")
    reached = Scores()
    for one in values:
        _add(reached, {name: quality for name, quality in one.items() if name not in torn})
    return reached


def _ordered(qualities: Mapping[str, Any], design: Design) -> dict[str, Any]:
    """Return the classical methods first, then networks as they were asked for."""
    order = ("zerofilled", *design.families, *design.networks)
    return {name: qualities[name] for name in order if name in qualities}


def _add(reached: Scores, qualities: Mapping[str, Mapping[str, float]]) -> None:
    for name, quality in qualities.items():
        reached.seconds[name].append(quality["seconds"])
        for metric in QUALITY_UNITS:
            reached.values[name, metric].append(quality[metric])

"""``medconsist bench implants``: whether maps answer to lesions above shams, on unseen textures.

One real slide is cut into an upper and a lower half, and copies of each half get implants
(`medconsist.wsi.mil.implant`): a lesion and a sham, or two shams. Every copy is written as an SVS
pyramid and goes the way of any slide: tiled, embedded, trained on by the label of the copy alone,
predicted into result folders, and judged by the maps that lie there.

A model is trained on copies of one half, with lesions of all families but one, and asked about
copies of the other half with lesions of that family: neither the texture nor the tissue was seen.
Each half is the test once, each family is left out once. The unit of analysis is the test copy; all
copies are of one slide of one person, so that intervals say nothing about other slides. Implants
are simulated; nothing here is a lesion of a patient.

One contrast was fixed beforehand for each method: mean of the map ``instance_probability`` (that
which the GeoJSON follows) inside the lesion less that inside the sham of the same copy, interval
above 0. All other rows describe.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from torch import Generator

from medconsist.batch.worker_pool import worker_pool
from medconsist.errors import RefusedInputError
from medconsist.manifests.cases import CaseRow
from medconsist.metrics.classification import area_under_roc
from medconsist.metrics.report import Estimate, interval, paired_difference
from medconsist.results.bench import BenchReport, BenchRow, Target, real_data
from medconsist.results.store import StoredResult
from medconsist.training.draws import generator_for
from medconsist.wsi.bags.bag import Bag
from medconsist.wsi.bench.implanted_copies import CLASSES, Copy, TissuePart, halves_of, write_copy
from medconsist.wsi.encoders.colour_texture import ColourTexture
from medconsist.wsi.heatmap import HeatMap
from medconsist.wsi.jobs import embed_all, slide_jobs
from medconsist.wsi.mil.card import SpaceRecord
from medconsist.wsi.mil.implant import (
    FAMILIES,
    Place,
    Shape,
    draw_implants,
)
from medconsist.wsi.mil.maps import TileValues
from medconsist.wsi.mil.methods import MethodChoice
from medconsist.wsi.mil.objective import Sampling
from medconsist.wsi.mil.predict import by_tile
from medconsist.wsi.mil.predict_study import predict_all, study_jobs
from medconsist.wsi.mil.predictor import Predictor
from medconsist.wsi.mil.sources import Classes, StudyBags, cohort_of, study_bags
from medconsist.wsi.mil.training_run import MilTraining, Provenance
from medconsist.wsi.regions import items_inside
from medconsist.wsi.settings import Embedding

__all__ = ["Sizes", "area_of", "mean_inside", "run_bench"]

logger = logging.getLogger(__name__)

SLIDE = Path("wsi", "CMU-1-Small-Region.svs")
UNIT = "implanted copy of one slide"
MODEL = "model trained on copies of one slide"
AGAINST_SHAM = "lesion against sham"
_HALVES = ("upper", "lower")
_HAEMATOXYLIN = 3  # feature of colour-texture: its mean amount
_STAIN = "haematoxylin"
_TILE = 64
MAPS = ("instance_probability", "attention")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the bench is.

    Parameters
    ----------
    lesions, shams
        Copies of each half with a lesion of each family, and with shams alone.
    validation
        Of ten copies of training, how many calibrate.
    families
        Of texture; each is left out once.
    methods
        Of `medconsist.wsi.mil.methods.METHODS`.
    epochs, lr, width
        Of a training; chosen on validation copies of the half that was learnt.
    shape
        Of the implants.
    seed
        Of places, textures and trainings.
    workers
        Processes: 1 or 2, one for each half.

    Raises
    ------
    RefusedInputError
        Too few copies, families or workers.

    Examples
    --------
    >>> Sizes().families
    ('large-cell', 'epithelioid', 'spindle-cell', 'small-cell')
    """

    lesions: int = 8
    shams: int = 24
    validation: int = 3
    families: tuple[str, ...] = tuple(FAMILIES)
    methods: tuple[str, ...] = ("abmil", "ins", "mhim")
    epochs: int = 80
    lr: float = 3e-3
    width: int = 64
    shape: Shape = field(default_factory=lambda: Shape(tissue=0.75))
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        few = min(self.lesions, self.shams // 2, len(self.families)) < 2
        if few or not 1 <= self.validation <= 9 or self.workers not in (1, 2):
            msg = (
                f"got {self.lesions} lesions, {self.shams} shams, {len(self.families)} families, "
                f"validation {self.validation}, {self.workers} workers; allowed: 2 lesions, 4 "
                "shams and 2 families or more, 1 to 9, 1 or 2."
            )
            raise RefusedInputError(msg)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What one model said of one test copy."""

    method: str
    model: str
    family: str
    lesion: dict[str, float]
    sham: dict[str, float]
    areas: dict[tuple[str, str], float]


def run_bench(*, data: Path | None = None, sizes: Sizes | None = None) -> BenchReport:
    """Implant, embed, train, predict, and compare lesions with shams.

    Parameters
    ----------
    data
        Folder of real data; None takes MEDCONSIST_TEST_DATA.
    sizes
        None takes the defaults.

    Raises
    ------
    MissingInputError
        The slide is not there.
    """
    chosen = sizes or Sizes()
    slide = real_data(data) / SLIDE
    parts = halves_of(slide)
    with TemporaryDirectory() as folder:
        work = Path(folder)
        logger.info("writing and embedding copies of both halves ...")
        made = _both(partial(_make_half, parts=parts, work=work, sizes=chosen), chosen)
        copies = dict(zip(_HALVES, made, strict=True))
        logger.info("training and predicting ...")
        asked = _both(partial(_ask_half, copies=copies, work=work, sizes=chosen), chosen)
    return _report([one for half in asked for one in half], chosen)


def _both(of_half: Callable[[str], _Answer], sizes: Sizes) -> list[_Answer]:
    """Return the answers of both halves, from two processes where asked for."""
    with worker_pool(sizes.workers) as run:
        return run("halves", of_half, _HALVES)


def _make_half(
    half: str, parts: dict[str, TissuePart], work: Path, sizes: Sizes
) -> tuple[Copy, ...]:
    """Write the copies of a half and embed them into the study of its name."""
    planned: list[str | None] = [one for one in sizes.families for _ in range(sizes.lesions)]
    planned += [None] * sizes.shams
    folder = work / half
    folder.mkdir()
    copies = []
    for number, family in enumerate(planned):
        place = generator_for(sizes.seed, _HALVES.index(half), number)
        implants = draw_implants(
            parts[half].tissue, (family, None), shape=sizes.shape, generator=place
        )
        copies.append(write_copy(parts[half], folder / f"{half}-{number:03d}.svs", implants))
    jobs = slide_jobs(
        [one.path for one in copies],
        out=work / "results",
        study=half,
        encoder=ColourTexture(input_px=_TILE),
        settings=Embedding(),
        threads=1,
    )
    refused = embed_all(jobs).refused
    if refused:
        msg = f"{refused[0].slide.name} was not embedded: {refused[0].sentence}"
        raise RefusedInputError(msg)
    return tuple(copies)


def _ask_half(
    tested: str, copies: dict[str, tuple[Copy, ...]], work: Path, sizes: Sizes
) -> list[_Asked]:
    """Train on the other half without each family in turn, and ask about this half."""
    (learnt,) = (half for half in _HALVES if half != tested)
    source = study_bags(work / "results", learnt)
    asked = []
    for family in sizes.families:
        known = [one for one in copies[learnt] if one.family != family]
        test = {one.case: one for one in copies[tested] if one.family == family}
        for method in sizes.methods:
            out = work / f"model-{learnt}-{family}-{method}"
            predictor = _train(source, known, method, out, sizes)
            jobs = study_jobs(work / "results", tested, predictor=predictor, cases=sorted(test))
            for job, outcome in zip(jobs, predict_all(jobs).outcomes, strict=True):
                bag = job.entries[0].open()
                asked.append(_judged(method, out.name, test[job.case], outcome.stored, bag))
    return asked


def _train(
    source: StudyBags, copies: Sequence[Copy], method: str, out: Path, sizes: Sizes
) -> Predictor:
    """Train on the labels of copies; of every ten of a kind some calibrate."""
    parts: tuple[list[CaseRow], list[CaseRow]] = ([], [])
    for kind in {one.family: None for one in copies}:
        for number, one in enumerate(copy for copy in copies if copy.family == kind):
            parts[number * sizes.validation % 10 < sizes.validation].append(one.row)
    classes = Classes(CLASSES)
    train, validation = (cohort_of(source, rows, classes) for rows in parts)
    space = SpaceRecord.of(source.opened(0).bags[0].header, source.dim)
    return MilTraining(
        out=out,
        choice=MethodChoice(name=method, width=sizes.width),
        train=train,
        validation=validation,
        provenance=Provenance(space=space, study="implanted copies of one real slide"),
        epochs=sizes.epochs,
        lr=sizes.lr,
        patience=None,
        evaluations=20,
        sampling=Sampling(bags=4),
        seed=sizes.seed,
        progress=False,
    ).run()


def _judged(method: str, model: str, copy: Copy, stored: StoredResult, bag: Bag) -> _Asked:
    """Compare the maps of a result inside the lesion and inside the sham."""
    lesion, sham = copy.implants
    names = [name for name in MAPS if name in stored.roles()]
    heats = {name: _heat(stored, name) for name in names}
    values = {name: stored.array(by_tile(name)) for name in names}
    values[_STAIN] = bag.features[:, _HAEMATOXYLIN].float().numpy()
    shown = TileValues(bag, values)
    inside = {
        words: np.isin(shown.items, items_inside(shown.grid, one.place.polygon()))
        for words, one in (("lesion", lesion), ("sham", sham))
    }
    rest = ~(inside["lesion"] | inside["sham"])
    pairs = {
        AGAINST_SHAM: (inside["lesion"], inside["sham"]),
        "lesion against other tissue": (inside["lesion"], rest),
        "sham against other tissue": (inside["sham"], rest),
    }
    areas = {
        (name, words): area_of(one, *pair)
        for name, one in shown.values.items()
        for words, pair in pairs.items()
    }
    return _Asked(
        method,
        model,
        str(copy.family),
        {name: mean_inside(heat, lesion.place) for name, heat in heats.items()},
        {name: mean_inside(heat, sham.place) for name, heat in heats.items()},
        {key: area for key, area in areas.items() if area is not None},
    )


def _heat(stored: StoredResult, name: str) -> HeatMap:
    place = stored.record(name).place
    assert place is not None  # noqa: S101  every map has one
    return HeatMap.from_place(stored.array(name), place)


def mean_inside(heat: HeatMap, place: Place) -> float:
    """Return the mean of a map over the pixels inside a place that it knows."""
    rows, columns = place.box
    down, right = np.nonzero(place.weights() >= 0.5)
    points = np.stack([right + columns.start + 0.5, down + rows.start + 0.5], axis=1)
    return float(np.nanmean(heat.sample(points)))


def area_of(
    values: Shaped[np.ndarray, " tiles"],
    first: Bool[np.ndarray, " tiles"],
    second: Bool[np.ndarray, " tiles"],
) -> float | None:
    """Return how often a tile of the first lies above one of the second; None without both."""
    if not (first.any() and second.any()):
        return None
    chosen = first | second
    score = torch.from_numpy(values[chosen].astype(np.float64))
    return area_under_roc(score, torch.from_numpy(first[chosen]))


def _report(asked: Sequence[_Asked], sizes: Sizes) -> BenchReport:
    rows, targets = list[BenchRow](), list[Target]()
    generator = Generator().manual_seed(sizes.seed)
    add_areas = partial(_area_rows, generator=generator, sizes=sizes)
    for method in sizes.methods:
        of_method = [one for one in asked if one.method == method]
        for name in MAPS:
            if not all(name in one.lesion for one in of_method):
                continue
            row, target = _contrast(method, name, of_method, generator, sizes)
            rows.append(row)
            targets += [target] if name == MAPS[0] else []
            rows.append(_by_model(f"{method}, {name}", name, of_method, generator, sizes))
            rows += add_areas(f"{method}, {name}", of_method, name)
            rows.append(_beyond_stain(f"{method}, {name}", name, of_method, generator, sizes))
            for family in sizes.families if name == MAPS[0] else ():
                of_family = [one for one in of_method if one.family == family]
                rows += add_areas(f"{method}, {name}, {family} unseen", of_family, name, most=1)
    first = [one for one in asked if one.method == sizes.methods[0]]
    rows += add_areas("haematoxylin of the tile, nothing trained", first, _STAIN)
    command = "medconsist bench implants"
    return BenchReport(command=command, rows=tuple(rows), targets=tuple(targets))


def _contrast(
    method: str, name: str, asked: Sequence[_Asked], generator: Generator, sizes: Sizes
) -> tuple[BenchRow, Target]:
    lesions, shams = (
        [part[name] for part in parts]
        for parts in zip(*((one.lesion, one.sham) for one in asked), strict=True)
    )
    found = paired_difference(lesions, shams, unit=UNIT, generator=generator)
    case = f"{method}, {name}"
    words = f"mean in the lesion {fmean(lesions):.3f} less in the sham {fmean(shams):.3f}"
    bounds = "" if found.ci_low is None else f" ({found.ci_low:.3f} to {found.ci_high:.3f})"
    target = Target(
        name=f"maps above shams, {case}",
        wanted="95 % interval of the paired difference above 0",
        seen=f"{found.mean:.3f}{bounds}",
        met=found.ci_low is not None and found.ci_low > 0,
    )
    return _row(case, words, found, sizes), target


def _by_model(
    case: str, name: str, asked: Sequence[_Asked], generator: Generator, sizes: Sizes
) -> BenchRow:
    """Return the same difference over models: what one says of several copies belongs together."""
    differences = defaultdict[str, list[float]](list)
    for one in asked:
        differences[one.model].append(one.lesion[name] - one.sham[name])
    found = interval(list(map(fmean, differences.values())), unit=MODEL, generator=generator)
    return _row(case, "mean in the lesion less in the sham, by model", found, sizes)


def _beyond_stain(
    case: str, name: str, asked: Sequence[_Asked], generator: Generator, sizes: Sizes
) -> BenchRow:
    """Return what the map tells better than the amount of haematoxylin does."""
    keys = (name, AGAINST_SHAM), (_STAIN, AGAINST_SHAM)
    both = [one for one in asked if all(key in one.areas for key in keys)]
    first, second = ([one.areas[key] for one in both] for key in keys)
    found = paired_difference(first, second, unit=UNIT, generator=generator)
    words = f"tile AUC, {AGAINST_SHAM}, less that of the haematoxylin (paired)"
    return _row(case, words, found, sizes)


def _area_rows(
    case: str,
    asked: Sequence[_Asked],
    name: str,
    *,
    generator: Generator,
    sizes: Sizes,
    most: int | None = None,
) -> Iterator[BenchRow]:
    """Yield the areas that tell pairs of places apart by one number a tile."""
    words = dict.fromkeys(pair for each in asked for one, pair in each.areas if one == name)
    for pair in list(words)[:most]:
        values = [each.areas[name, pair] for each in asked if (name, pair) in each.areas]
        found = interval(values, unit=UNIT, generator=generator)
        yield _row(case, f"tile AUC, {pair}", found, sizes)


def _row(case: str, metric: str, found: Estimate, sizes: Sizes) -> BenchRow:
    return BenchRow(
        case=case,
        metric=metric,
        value=found.mean,
        unit="1",
        n=found.n,
        unit_of_analysis=found.unit_of_analysis,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        seed=sizes.seed,
    )

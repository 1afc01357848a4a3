"""The job of ``wsi predict``: the bags of one case in, one result a slide out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from medconsist._digests import canonical_json, sha256_of_bytes
from medconsist._records import make_record
from medconsist.results.cases import Outcome, publish
from medconsist.results.digests import result_key
from medconsist.results.draft import Draft
from medconsist.results.schema import Metric, ModelRecord, ResultFields, Times
from medconsist.results.steps import timed
from medconsist.results.store import ResultStore
from medconsist.results.trust import Score, TrustRecord, judge_against_history
from medconsist.training.draws import generator_for
from medconsist.wsi.bags.bag_store import BAG_ROLE, BagEntry, case_bag
from medconsist.wsi.geojson import write_geojson
from medconsist.wsi.mil.card import CARD_NAME
from medconsist.wsi.mil.maps import MEANINGS, TileValues
from medconsist.wsi.mil.predictor import HIDDEN, REPEATS, Answer, Predictor
from medconsist.wsi.read_tiles import read_tiles_at
from medconsist.wsi.regions import Region
from medconsist.wsi.task import N_FACTS

__all__ = ["KIND", "RESULT_VERSION", "CaseJob", "by_tile", "predict_case"]

KIND = "wsi.prediction"
RESULT_VERSION = 2  # raise it when the arrays or scores of the same bags and model change
_COPIED = ("overview", "tissue", "pen", "fold", "blur")  # what the maps are drawn on
_MEANINGS = {
    "hidden_spread": "How much the probability changes while half of the tiles are hidden.",
    "novelty": "How far the tiles lie from those of training, on average.",
    "teacher_probability_gap": "How far model and teacher differ in probability.",
    "teacher_attention_gap": "How far model and teacher look at different tiles.",
}


@dataclass(frozen=True, kw_only=True)
class CaseJob:
    """One case to predict.

    Parameters
    ----------
    out, study
        The bags are there, and the results go there.
    entries
        The slides of the case.
    predictor
        The model.
    slides
        sha256 of a slide's file to its path, for pictures of its highest and lowest tiles; empty:
        no pictures.
    tiles_shown
        How many of each.
    seed
        Of the hidden repeats.
    """

    out: Path
    study: str
    entries: Sequence[BagEntry]
    predictor: Predictor
    slides: Mapping[str, Path] = field(default_factory=dict)
    tiles_shown: int = 8
    seed: int = 0

    @property
    def case(self) -> str:
        """Its id."""
        return self.entries[0].case

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Role to sha256 of what is read: the bag of every slide of the case."""
        return {f"bag_{one.slide}": one.stored.record(BAG_ROLE).sha256 for one in self.entries}

    @property
    def model(self) -> ModelRecord:
        """The weights."""
        card = self.predictor.card
        return ModelRecord(name=card.method, sha256=card.weights_sha256, card=CARD_NAME)

    def config(self, slide: str) -> dict[str, Any]:
        """Return what decides the result of a slide apart from bags and weights."""
        card = self.predictor.card
        return {
            "slide": slide,
            "classes": list(card.classes),
            "temperature": card.temperature,
            "hidden": HIDDEN,
            "repeats": REPEATS,
            "tiles_shown": 0 if self.file_of(slide) is None else self.tiles_shown,
            "seed": self.seed,
            # calibration lies in the card and not in the weights
            "card_sha256": sha256_of_bytes(card.model_dump_json().encode()),
        }

    def file_of(self, slide: str) -> Path | None:
        """Return the file of a slide, None if it was not given."""
        stored = next(one.stored for one in self.entries if (one.slide or "") == slide)
        return self.slides.get(stored.result.inputs.get("slide", ""))

    def key(self, slide: str) -> str:
        """Return the key of the result of a slide."""
        return result_key(
            inputs=self.inputs,
            config=self.config(slide),
            model_sha256=self.model.sha256,
            result_version=RESULT_VERSION,
        )


def predict_case(job: CaseJob) -> tuple[Outcome, ...]:
    """Predict one case into one result folder a slide, or find them done.

    The case is one bag of all its slides: its probability is in the result of each, the maps are
    those of the slide.

    Raises
    ------
    RefusedInputError
        The bags are of another encoder or grid than the model's.
    CorruptResultError
        A bag is not as it was stored.
    StorageError
        The result could not be written; nothing half-written is left.
    """
    store = ResultStore(job.out, job.study)
    missing = [one for one in job.entries if not store.is_done(job.case, job.key(one.slide or ""))]
    if missing:
        _predict(job, store, missing)
    outcomes = []
    for one in job.entries:
        stored = store.read(job.case, job.key(one.slide or ""))
        publish(store, stored.result, group=_group(job))
        outcomes.append(Outcome(stored, fresh=one in missing))
    return tuple(outcomes)


def _predict(job: CaseJob, store: ResultStore, missing: Sequence[BagEntry]) -> None:
    started, steps = datetime.now(UTC), dict[str, float]()
    with timed(steps, "read"):
        case = case_bag(job.entries)
        job.predictor.card.space.require(case)
        features = case.rows(torch.arange(len(case)))
    with timed(steps, "predict"):
        answer = job.predictor.answer(features, generator=generator_for(job.seed))
    for number, entry in enumerate(job.entries):
        if entry not in missing:
            continue
        first, end = case.offsets[number : number + 2].tolist()
        values = {name: one[first:end].numpy() for name, one in answer.tiles.items()}
        shown = TileValues(case.bags[number], values)
        _store(job, store, entry, answer, shown, started, steps)


def _store(
    job: CaseJob,
    store: ResultStore,
    entry: BagEntry,
    answer: Answer,
    shown: TileValues,
    started: datetime,
    steps: dict[str, float],
) -> None:
    slide = entry.slide or ""
    scores = judge_against_history(
        _scores(answer, tiles=sum(one.shape[0] for one in job.entries)),
        store.history.read().lines,
        case=job.case,
        group=_group(job),
    )
    fields = make_record(
        ResultFields,
        kind=KIND,
        patient=entry.patient,
        item=entry.slide,
        inputs=job.inputs,
        config=job.config(slide),
        model=job.model,
        result_version=RESULT_VERSION,
        seed=job.seed,
        device=str(job.predictor.device),
        times=Times(started=started, finished=datetime.now(UTC), steps_s=steps),
        metrics=_metrics(job, answer),
        trust=TrustRecord(scores=scores, settings={"hidden": HIDDEN, "repeats": REPEATS}),
        notes=_notes(job, answer, shown),
    )
    with store.draft(job.case, job.key(slide)) as draft:
        _copy(entry, draft)
        _draw(job, entry, draft, shown)
        draft.finish(fields)


def _copy(entry: BagEntry, draft: Draft) -> None:
    """Put the overview and the masks of the slide beside the maps that are drawn on them."""
    for role in _COPIED:
        if role in entry.stored.roles():
            record = entry.stored.record(role)
            draft.add_array(
                role,
                entry.stored.array(role),
                axes=record.axes,
                spacing_mm=record.spacing_mm,
                place=record.place,
                description=record.description,
            )


def _draw(job: CaseJob, entry: BagEntry, draft: Draft, shown: TileValues) -> None:
    method = job.predictor.card.method
    for name, values in shown.values.items():
        # a map averages tiles that overlap; this is each tile's own number
        draft.add_array(
            by_tile(name),
            values,
            axes=("tiles",),
            method=method,
            description=f"{MEANINGS[name]}; in the order of the bag",
        )
    if shown.undrawn is not None:
        return
    for name in shown.values:
        heat = shown.map(name)
        draft.add_array(
            name,
            heat.values,
            axes=("height", "width"),
            place=heat.place,
            method=method,
            description=MEANINGS[name],
        )
    ranked = _ranked_by(shown)
    if ranked is None:
        return
    regions = _regions(shown, ranked)
    draft.add_file(
        "regions",
        "regions.geojson",
        lambda path: write_geojson(path, regions, origin="slide"),
        axes=("regions",),
        shape=(len(regions),),
        dtype="geojson",
        method=method,
        description=f"outlines where {ranked} is high, and tiles with their numbers",
    )
    path = job.file_of(entry.slide or "")
    if path is not None:
        _add_pictures(draft, path, shown, ranked, job.tiles_shown)


def by_tile(name: str) -> str:
    """Return the role of the numbers of single tiles."""
    return f"{name}_by_tile"


def _ranked_by(shown: TileValues) -> str | None:
    names = ("instance_probability", "attention")
    return next((name for name in names if name in shown.values), None)


def _regions(shown: TileValues, name: str) -> list[Region]:
    threshold = 0.5 if name == "instance_probability" else 2.0  # twice an even share
    return shown.regions(name, threshold=threshold)


def _add_pictures(draft: Draft, path: Path, shown: TileValues, ranked: str, count: int) -> None:
    for role, chosen in zip(
        ("top_tiles", "bottom_tiles"), shown.extremes(ranked, count), strict=True
    ):
        if len(chosen):
            draft.add_array(
                role,
                read_tiles_at(path, shown.grid, shown.items[chosen]),
                axes=("tiles", "height", "width", "rgb"),
                description=f"tiles of the {role.split('_')[0]} {ranked}, in its order",
            )


def _metrics(job: CaseJob, answer: Answer) -> tuple[Metric, ...]:
    return tuple(
        Metric(name=f"probability of {name}", value=value, unit="1", n=1, unit_of_analysis="case")
        for name, value in zip(job.predictor.card.classes, answer.probabilities, strict=True)
    )


def _scores(answer: Answer, *, tiles: int) -> tuple[Score, ...]:
    return tuple(
        Score(name=name, value=value, unit="1", n=tiles, meaning=_MEANINGS[name])
        for name, value in answer.scores.items()
    )


def _notes(job: CaseJob, answer: Answer, shown: TileValues) -> tuple[str, ...]:
    card = job.predictor.card
    named = ", ".join(
        f"{name} {value:.3f}"
        for name, value in zip(card.classes, answer.probabilities, strict=True)
    )
    facts = [
        f"Model {card.method}, trained on {card.cases.get('train', 0)} cases of {card.study}.",
        f"Probabilities of the case: {named}.",
    ]
    if answer.assessment.can:
        only = card.classes[answer.assessment.classes[0]]
        error = job.predictor.verdict.error
        facts.append(f"With {error} allowed to be wrong, only {only} remains possible.")
    else:
        facts += [f"Cannot assess: {reason}" for reason in answer.assessment.reasons]
    if shown.undrawn is not None:
        facts.append(f"No maps: {shown.undrawn}")
    point = card.operating_point
    if point is not None:
        facts.append(
            f"Threshold of {card.classes[-1]} {point.threshold:.3f} ({point.rule}): sensitivity "
            f"{point.sensitivity:.2f} of {point.n_positive}, specificity {point.specificity:.2f} "
            f"of {point.n_negative} validation patients, on which it was chosen."
        )
    # what the features warn of, the prediction inherits: simulated, random weights, another stain
    warnings = (note for one in job.entries for note in one.stored.result.notes[N_FACTS:])
    return (*facts, *dict.fromkeys((*warnings, *card.notes)))


def _group(job: CaseJob) -> str:
    """Return the group of cases that compare: the same model."""
    return sha256_of_bytes(canonical_json({"kind": KIND, "weights": job.model.sha256}))

"""The job of the command line: one slide in, one result folder with its features out."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medconsist import SIMULATED_NOTE
from medconsist._atomic import storage_errors
from medconsist._digests import canonical_json, sha256_of_bytes, sha256_of_path
from medconsist._ids import safe_id
from medconsist._records import make_record
from medconsist.errors import NoMppError, RefusedInputError
from medconsist.results.cases import Outcome, owner_of_case, publish, same_file
from medconsist.results.digests import result_key
from medconsist.results.draft import Draft
from medconsist.results.safetensors_file import require_regular
from medconsist.results.schema import Metric, ModelRecord, Place, Result, ResultFields, Times
from medconsist.results.steps import timed
from medconsist.results.store import ResultStore
from medconsist.results.trust import Score, TrustRecord, judge_against_history
from medconsist.tiling.affine import Affine
from medconsist.tiling.loader import TileLoader
from medconsist.tiling.source import Source
from medconsist.wsi.bags.bag_file import read_bag
from medconsist.wsi.bags.bag_store import BAG_ROLE
from medconsist.wsi.bags.bag_writer import BagPlan, BagWriter
from medconsist.wsi.bags.header import BagGrid, BagHeader, EncoderRecord
from medconsist.wsi.encoders.batching import AutoBatch
from medconsist.wsi.encoders.encoder import Encoder
from medconsist.wsi.feature_colours import feature_colours
from medconsist.wsi.geojson import write_geojson
from medconsist.wsi.look import Look, look_at
from medconsist.wsi.mpp import Mpp, mpp_of
from medconsist.wsi.readers.open import open_slide
from medconsist.wsi.regions import Region
from medconsist.wsi.settings import KIND, Embedding
from medconsist.wsi.simulated.layout import SOFTWARE
from medconsist.wsi.slide import Slide
from medconsist.wsi.tissue.polygons import tissue_polygons

__all__ = ["N_FACTS", "RANDOM_NOTE", "RESULT_VERSION", "SlideJob", "embed_slide"]

RESULT_VERSION = 1  # raise it when the features or arrays of the same input and settings change
DEFAULT_THREADS = 2
N_FACTS = 3  # notes that every result begins with; what follows is a warning
RANDOM_NOTE = "The weights are random, for timings alone: these features say nothing of the tissue."
ANOTHER_SCALE = 0.1  # share by which tiles may differ from those that an encoder was made for

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SlideJob:
    """One slide to embed, and where the result goes.

    Parameters
    ----------
    slide
        File.
    out, study, case, patient
        The result is ``out/study/case/<key>``; ids are opaque. The case is by default the name of
        the file without its suffix, the patient that of the case's other results, else the case.
    item
        The slide within its case; None takes the name of the file without its suffix.
    settings, encoder
        See their classes; tiles have the encoder's side.
    mpp
        Microns per pixel of the slide, given instead of what it says; None asks the slide.
    batch, threads
        Most tiles at once, and threads that decode; neither decides the features.

    Raises
    ------
    RefusedInputError
        An id is not a safe name, or a number is below 1.
    NoMppError
        The given microns per pixel are not plausible.
    """

    slide: Path
    out: Path
    encoder: Encoder
    settings: Embedding
    study: str = "wsi"
    case: str | None = None
    patient: str | None = None
    item: str | None = None
    mpp: float | tuple[float, float] | None = None
    batch: int = 64
    threads: int = DEFAULT_THREADS

    def __post_init__(self) -> None:
        if min(self.batch, self.threads) < 1:
            msg = f"batch and threads must be 1 or more, got {self.batch} and {self.threads}."
            raise RefusedInputError(msg)
        if self.mpp is not None:
            mpp_of({}, given=self.mpp)
        for what, value in {
            "study": self.study,
            "patient": self.patient,
            "item": self.item,
        }.items():
            if value is not None:
                safe_id(value, what=f"{what} id")
        for what, value in {"case": self.case_id, "item": self.item_id}.items():
            try:
                safe_id(value, what=f"{what} id")
            except RefusedInputError as error:
                msg = f"{error} Give the case another name by --case NAME, or rename the file."
                raise RefusedInputError(msg) from error

    @property
    def case_id(self) -> str:
        """The case id: as given, else the name of the slide."""
        return self.slide.stem if self.case is None else self.case

    @property
    def item_id(self) -> str:
        """The item id: as given, else the name of the slide."""
        return self.slide.stem if self.item is None else self.item

    @cached_property
    def inputs(self) -> dict[str, str]:
        """Role to sha256 of what is read: the file, and the folder beside it that MIRAX needs."""
        path = self.slide.resolve()
        folder = path.with_suffix("")
        digests = {"slide": sha256_of_path(path)}
        if path.suffix.lower() == ".mrxs" and folder.is_dir():
            digests["slide_data"] = sha256_of_path(folder)
        return digests

    @property
    def config(self) -> dict[str, Any]:
        """What decides the bytes apart from the slide, as plain JSON values."""
        given = {} if self.mpp is None else {"mpp": self.mpp}
        return {**self.settings.as_config(), **given, "encoder": self.encoder.card.as_dict()}

    @property
    def model(self) -> ModelRecord | None:
        """The weights of the encoder; None for one that needs none."""
        card = self.encoder.card
        if not self.encoder.has_weights:
            return None
        return ModelRecord(name=card.name, sha256=card.sha256)

    @cached_property
    def key(self) -> str:
        """Of the result."""
        return result_key(
            inputs=self.inputs,
            config=self.config,
            model_sha256=None if self.model is None else self.model.sha256,
            result_version=RESULT_VERSION,
        )


def embed_slide(job: SlideJob) -> Outcome:
    """Embed a slide into its result folder, or find it done.

    The key is the hash of the slide, the settings, the encoder and `RESULT_VERSION`. A result is
    seen only whole; a second run with the same key computes nothing, and a run after one that was
    killed goes on behind its last stored block of tiles.

    Raises
    ------
    MissingInputError, CorruptInputError, UnsupportedInputError, NoMppError, NoTissueError
        The slide cannot be used; nothing was written. The error's ``reason`` is its class.
    RefusedInputError
        The case is that of another patient or slide.
    StorageError
        The result could not be written; nothing half-written is left.
    """
    started, steps = datetime.now(UTC), dict[str, float]()
    _require_slide(job.slide)
    store = ResultStore(job.out, job.study)
    with timed(steps, "hash"), storage_errors(job.slide, doing="read"):
        inputs = job.inputs
    patient = owner_of_case(store, job.case_id, patient=job.patient, refuse=_refuse_other(job))
    if store.is_done(job.case_id, job.key):
        stored = store.read(job.case_id, job.key)
        publish_result(store, stored.result, slide=job.slide)
        return Outcome(stored, fresh=False)
    draft = store.draft(job.case_id, job.key)  # a damaged result is refused before hours of work
    with timed(steps, "open"):
        slide = open_slide(job.slide, engine=job.settings.engine)
    with slide:
        mpp = _mpp(slide, job)
        with timed(steps, "look"):
            look = look_at(slide, mpp=mpp, tile_px=job.encoder.input_px, settings=job.settings)
        source = slide.tiles(look.grid, look.choice.items)
        plan = BagPlan(
            _header(job, slide, look, patient),
            torch.from_numpy(look.grid.index(look.choice.items[source.order])),
            dim=job.encoder.dim,
        )
        with BagWriter(store.case_path(job.case_id), plan) as writer:
            with timed(steps, "embed"):
                _embed(slide, look, source, job, writer)
            scores = judge_against_history(
                _scores(look),
                store.history.read().lines,
                case=job.case_id,
                group=_group(job.config),
            )
            fields = make_record(
                ResultFields,
                kind=KIND,
                patient=patient,
                item=job.item_id,
                inputs=inputs,
                config=job.config,
                model=job.model,
                result_version=RESULT_VERSION,
                device=str(job.encoder.device),
                times=Times(started=started, finished=datetime.now(UTC), steps_s=steps),
                metrics=_metrics(look),
                trust=TrustRecord(scores=scores),
                notes=_notes(slide, look, job.encoder),
            )
            with draft:
                _write(draft, look, writer)
                result = draft.finish(fields)
            publish_result(store, result, slide=job.slide)
            writer.discard()
    return Outcome(store.read(job.case_id, job.key), fresh=True)


def _require_slide(path: Path) -> None:
    if path.is_dir():
        msg = f"{path} is a folder; give a slide, e.g. {path}/slide.svs."
        raise RefusedInputError(msg)
    require_regular(path, what="slide", allowed="a slide")


def _refuse_other(job: SlideJob) -> Callable[[Result], None]:
    """Return a check that the case holds no other slide of this name."""
    if job.case is None:
        return same_file(job.inputs, role="slide", what="slide", name=str(job.slide))

    def refuse(result: Result) -> None:
        theirs = result.inputs.get("slide")
        if result.item == job.item_id and theirs not in (None, job.inputs["slide"]):
            msg = (
                f"case {result.case} of study {result.study} holds results of another slide named "
                f"{result.item}, and {job.slide} is named alike. Rename the file, or give another "
                "--case."
            )
            raise RefusedInputError(msg)

    return refuse


def _mpp(slide: Slide, job: SlideJob) -> Mpp:
    try:
        return slide.facts.mpp(given=job.mpp)
    except NoMppError as error:
        msg = f"{job.slide.name}: {error}"
        raise NoMppError(msg) from error


def _header(job: SlideJob, slide: Slide, look: Look, patient: str) -> BagHeader:
    card, mpp, bounds = job.encoder.card, look.grid.mpp, slide.facts.bounds
    return make_record(
        BagHeader,
        slide=job.item_id,
        slide_sha256=job.inputs["slide"],
        patient=patient,
        case=job.case_id,
        encoder=EncoderRecord(
            name=card.name,
            sha256=card.sha256,
            input_px=card.preprocessing.input_px,
            mean=card.preprocessing.mean,
            std=card.preprocessing.std,
            precision=card.precision,
        ),
        grid=BagGrid.of_tile_grid(look.grid),
        mpp_x=mpp.x,
        mpp_y=mpp.y,
        mpp_source=mpp.source,
        bounds_x=0 if bounds is None else bounds.x,
        bounds_y=0 if bounds is None else bounds.y,
        engine=slide.engine,
        notes=_notes(slide, look, job.encoder),
    )


def _notes(slide: Slide, look: Look, encoder: Encoder) -> tuple[str, ...]:
    mpp = look.grid.mpp
    facts = (
        f"Microns per pixel {mpp.x:.6g} x {mpp.y:.6g}, source: {mpp.source}.",
        f"Decoded by the engine {slide.engine}.",
        f"Stain: {look.tissue.stain.kind} ({look.tissue.stain.reason}).",
    )
    drawn = slide.facts.properties.get("tiff.Software") == SOFTWARE
    simulated = (SIMULATED_NOTE,) if drawn else ()
    scale = _scale_notes(encoder, look.grid.target_mpp)
    drawn_weights = (RANDOM_NOTE,) if encoder.name.endswith("-random") else ()
    return (*facts, *slide.notes, *look.notes, *scale, *drawn_weights, *simulated)


def _scale_notes(encoder: Encoder, target_mpp: float | int) -> tuple[str, ...]:
    made_at = encoder.mpp
    if made_at is None or abs(target_mpp / made_at - 1) <= ANOTHER_SCALE:
        return ()
    return (
        f"{encoder.name} was made for tiles of {made_at:g} um/px, these have {target_mpp:g}: its "
        "features may mean something else.",
    )


def _embed(slide: Slide, look: Look, source: Source, job: SlideJob, writer: BagWriter) -> None:
    """Append the features of the tiles that are not there yet, in the order of the source."""
    encoder = AutoBatch(job.encoder, start=job.batch)
    if writer.done:
        logger.info("%s: %d tiles were embedded before", job.item_id, writer.done)
        rest = look.choice.items[source.order[writer.done :]]
        source = slide.tiles(look.grid, rest)
    if not len(source):
        return
    loader = TileLoader(source, batch=job.batch, threads=job.threads, device=job.encoder.device)
    waiting: Tensor | None = None
    for batch in loader:
        features = encoder(batch.tiles)
        if waiting is not None:  # the device works on this batch while the last one is stored
            writer.append(waiting.cpu())
        waiting = features
    if waiting is not None:
        writer.append(waiting.cpu())
    if loader.report is not None:
        report = loader.report
        logger.info(
            "%s: %d tiles in %.1f s, %.0f a second; waited %.1f s for tiles",
            job.item_id,
            report.items,
            report.seconds,
            report.per_second,
            report.wait,
        )


def _write(draft: Draft, look: Look, writer: BagWriter) -> None:
    small = look.overview
    place = _place(small.affine)
    spacing = tuple(um / 1000 for um in small.pixel_um)
    draft.add_array(
        "overview",
        small.picture,
        axes=("height", "width", "rgb"),
        spacing_mm=(*spacing, None),
        place=place,
        description="the slide as it was scanned",
    )
    for role, mask in {"tissue": look.tissue.mask, **look.quality.masks}.items():
        draft.add_array(role, mask, axes=("height", "width"), spacing_mm=spacing, place=place)
    plan = writer.plan
    draft.add_file(
        BAG_ROLE,
        "bag.safetensors",
        writer.finish,
        axes=("tiles", "features"),
        shape=(plan.tiles, plan.dim),
        dtype="float16",
        method=plan.header.encoder.name,
    )
    draft.add_array(
        "feature_colours",
        _colours(draft.folder / "bag.safetensors", look.grid.shape),
        axes=("height", "width", "rgb"),
        place=_place(look.grid.affine),
        method=plan.header.encoder.name,
        description="tiles of like features in like colours (three principal components)",
    )
    polygons = tissue_polygons(look.tissue.mask, small.affine)
    outlines = [Region(geometry=polygon, name="Tissue") for polygon in polygons]
    draft.add_file(
        "regions",
        "regions.geojson",
        lambda path: write_geojson(path, outlines, origin="slide"),
        axes=("regions",),
        shape=(len(outlines),),
        dtype="geojson",
        description="outlines of the tissue in level-0 pixels",
    )


def _colours(bag: Path, shape: tuple[int, ...]) -> np.ndarray:
    stored = read_bag(bag, verify=False)
    rows, columns = shape
    return feature_colours(stored.features, stored.index, shape=(rows, columns))


def _place(affine: Affine) -> Place:
    return Place(of="slide", unit="level-0 px", offset=affine.offset, scale=affine.scale)


def _metrics(look: Look) -> tuple[Metric, ...]:
    counted = (
        ("tissue_area", look.tissue.area_mm2, "mm^2"),
        ("tiles", float(len(look.choice.items)), "1"),
    )
    return tuple(
        Metric(name=name, value=value, unit=unit, n=1, unit_of_analysis="slide")
        for name, value, unit in counted
    )


MEANINGS = {
    "pen": "Share of the tissue under pen strokes.",
    "fold": "Share of the tissue in folds.",
    "blur": "Share of the tissue out of focus.",
    "blank": "Share of the tissue that is empty.",
}


def _scores(look: Look) -> tuple[Score, ...]:
    pixels = int(look.tissue.mask.sum())
    area = Score(
        name="tissue_area",
        value=look.tissue.area_mm2,
        unit="mm^2",
        n=pixels,
        meaning="How much tissue was found.",
        direction="two_sided",
    )
    flagged = (
        Score(
            name=f"{kind}_share",
            value=share,
            unit="1",
            n=pixels,
            meaning=MEANINGS[kind],
        )
        for kind, share in look.quality.shares.items()
        if share is not None
    )
    return (area, *flagged)


def publish_result(store: ResultStore, result: Result, *, slide: Path | None = None) -> None:
    """Show a finished result of this task; again on a rerun, as its job may have been killed."""
    files = {} if slide is None else {"slide": slide}
    publish(store, result, group=_group(result.config), files=files)


def _group(config: Mapping[str, Any]) -> str:
    """Return what later slides are compared within: the same settings, whatever the encoder."""
    alike = {name: value for name, value in config.items() if name not in ("encoder", "mpp")}
    return sha256_of_bytes(canonical_json({**alike, "result_version": RESULT_VERSION}))

"""``medconsist wsi``: embed, doctor, simulate, export; train, probe, evaluate, predict, audit."""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg, subcommand

from medconsist.cli.batch_options import Batching
from medconsist.cli.options import Common
from medconsist.cli.wsi_mil import Audit, Evaluate, Predict, Probe, TrainBags

if TYPE_CHECKING:  # the room imports nothing heavy
    from medconsist.batch.work import Case
    from medconsist.wsi.batch import EmbedWork
    from medconsist.wsi.encoders.encoder import Encoder
    from medconsist.wsi.settings import Embedding
    from medconsist.wsi.task import SlideJob

__all__ = ["Doctor", "Embed", "Export", "Simulate", "Wsi"]

logger = logging.getLogger(__name__)

Stain = Literal["he", "ihc", "fluorescence", "any"]


@dataclass(frozen=True, kw_only=True)
class Embed(Batching):
    """Cut slides into tiles of equal microns and store the features of those with tissue.

    INPUT is one or more slides, or a manifest (.csv, .parquet) with a row for each slide. A slide
    that cannot be used is named with its reason and the others go on (exit code 3). A second run
    with the same slides, encoder and settings computes nothing; one that was killed goes on behind
    the last stored block of tiles. Many slides are a batch: --engine.
    """

    inputs: Annotated[Positional[tuple[Path, ...]], arg(metavar="INPUT")]
    """Slides, or one manifest."""
    out: Path
    """Folder of results; made if it is not there."""
    encoder: str = "colour-texture"
    """colour-texture (needs no weights), resnet18 (also for weights of pipelines/wsi_simclr.py),
    resnet50, vit-s, vit-b, vit-l, uni, uni2, phikon, phikon-v2, dinov2-s ..."""
    weights: Annotated[Path | None, arg(metavar="FILE")] = None
    """Weights of the encoder, a local safetensors or torch file; nothing is ever fetched."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the computation; features are stored in fp16."""
    tile_mpp: float = 0.5
    """Microns per pixel of the tiles."""
    overlap: int = 0
    """Pixels that neighbouring tiles share."""
    min_tissue: float = 0.25
    """Least share of tissue of a tile that is kept."""
    mpp: float | None = None
    """Microns per pixel of the slide, where it does not say them or says them wrongly."""
    stain: Stain = "he"
    """Stain that the encoder was made for; another one is flagged. any: do not ask."""
    refuse_other_stain: Annotated[
        bool, arg(help="Refuse a slide of another stain instead of flagging it.")
    ] = False
    upsampling: Annotated[bool, arg(help="Allow tiles finer than the slide.")] = False
    decoder: Literal["auto", "openslide", "direct", "cucim"] = "auto"
    """What decodes; auto takes the direct engine where it gives the pixels of OpenSlide."""
    batch: int = 64
    """Most tiles at once; halved where memory runs out."""
    threads: int | None = None
    """CPU threads, of decoding too; by default 2 decode, and torch chooses for the rest."""
    study: str = "wsi"
    """Study that the cases belong to."""
    patient: str | None = None
    """Patient id; by default that of the case's other results, else the case id."""
    case: str | None = None
    """Case id; by default the name of the slide. Several slides may be of one case."""

    def run(self) -> int:
        """Embed, and print where the results are."""
        self.set_up()
        if self.engine is not None:
            return self._run_batch(self.engine)
        from medconsist.wsi.jobs import Done, embed_all
        from medconsist.wsi.report import as_json, as_text
        from medconsist.wsi.task import embed_slide

        jobs = self._jobs(self._make()(device=self.device))
        # a slide alone ends with its own error, as every command with one input does
        done = Done((embed_slide(jobs[0]),), ()) if len(jobs) == 1 else embed_all(jobs)
        sys.stdout.write((json.dumps(as_json(done)) if self.json else as_text(done)) + "\n")
        return done.exit_code

    def _run_batch(self, engine: str) -> int:
        work, cases = self._work()
        return self.run_cases(work, cases, out=self.out, study=self.study, engine=engine)

    def _work(self) -> "tuple[EmbedWork, list[Case]]":
        from medconsist.wsi.batch import EmbedWork, slide_cases

        make = self._make()
        jobs = self._jobs(make(device="cpu"))  # refused here, before any worker loads it
        return EmbedWork.of(jobs[0], make=make), slide_cases(jobs)

    def _jobs(self, encoder: "Encoder") -> "list[SlideJob]":
        from medconsist.wsi.jobs import slide_jobs
        from medconsist.wsi.task import DEFAULT_THREADS

        return slide_jobs(
            self.inputs,
            out=self.out,
            settings=self._settings(),
            encoder=encoder,
            batch=self.batch,
            threads=self.threads or DEFAULT_THREADS,
            study=self.study,
            patient=self.patient,
            case=self.case,
            mpp=self.mpp,
        )

    def _make(self) -> "Callable[..., Encoder]":
        from functools import partial

        from medconsist.wsi.encoders.choice import make_encoder

        weights = None if self.weights is None else self.weights.absolute()
        return partial(make_encoder, self.encoder, weights=weights, precision=self.precision)

    def _settings(self) -> "Embedding":
        from medconsist.wsi.settings import Embedding

        return Embedding(
            target_mpp=self.tile_mpp,
            overlap_px=self.overlap,
            min_tissue=self.min_tissue,
            stains=None if self.stain == "any" else (self.stain,),
            other_stain="refuse" if self.refuse_other_stain else "flag",
            engine=self.decoder,
            upsampling=self.upsampling,
        )


@dataclass(frozen=True, kw_only=True)
class Doctor(Common):
    """Say what is known of a slide, which engine reads it, how fast, and what is wrong with it."""

    slide: Annotated[Positional[Path], arg(metavar="SLIDE")]
    """The slide."""
    tile_mpp: float = 0.5
    """Microns per pixel of the tiles that the time is estimated for."""
    tile_px: int = 224
    """Side of these tiles [px]; 224 is what the encoders take."""
    mpp: float | None = None
    """Microns per pixel of the slide, where it does not say them."""
    picture: Path | None = None
    """Write the overview with tissue and flags drawn on it to this PNG file."""

    def run(self) -> int:
        """Examine and print."""
        self.set_up()
        from medconsist._atomic import atomic_write_bytes
        from medconsist.wsi.doctor import examine

        report = examine(self.slide, target_mpp=self.tile_mpp, tile_px=self.tile_px, mpp=self.mpp)
        if self.picture is not None and report.picture:
            atomic_write_bytes(self.picture, report.picture)
        elif self.picture is not None:
            logger.warning("%s was not written: the tissue was not looked at.", self.picture)
        sys.stdout.write((json.dumps(report.as_json()) if self.json else report.text) + "\n")
        return report.exit_code


@dataclass(frozen=True, kw_only=True)
class Simulate(Common):
    """Make slides of the simulator: H&E-like texture, tumour, planted faults; nobody's tissue."""

    out: Path
    """Folder for the files slide-000.svs, slide-001.svs, ..."""
    slides: int = 1
    """How many; tissue and nuclei differ."""
    width: int = 4096
    """Width of level 0 [px]."""
    height: int = 3072
    """Height of level 0 [px]."""
    slide_mpp: float = 0.5
    """Microns per pixel that the files state."""
    layout: Literal["svs", "tiff"] = "svs"
    """As Aperio writes it, or a generic tiled pyramid."""
    stain: Literal["he", "ihc", "fluorescence"] = "he"
    """Stain."""
    scanner: Literal["a", "b", "c"] = "a"
    """Colour profile."""
    tumour: float = 0.3
    """Share of the tissue that is tumour."""
    faults: tuple[str, ...] = ()
    """Any of pen-blue, pen-green, pen-black, fold, blur, blank."""

    def run(self) -> int:
        """Simulate and print one path a line."""
        self.set_up()
        from medconsist.wsi.simulate import SlideConfig
        from medconsist.wsi.slide_series import write_slides

        config = SlideConfig(
            width=self.width,
            height=self.height,
            mpp=self.slide_mpp,
            layout=self.layout,
            stain=self.stain,
            scanner=self.scanner,
            tumour=self.tumour,
            faults=self.faults,
            seed=self.seed,
        )
        paths = [str(path) for path in write_slides(config, self.out, slides=self.slides)]
        sys.stdout.write((json.dumps(paths) if self.json else "\n".join(paths)) + "\n")
        return 0


@dataclass(frozen=True, kw_only=True)
class Export(Common):
    """Write the features of a study as CLAM's or TRIDENT's HDF5 files."""

    results: Annotated[Positional[Path], arg(metavar="RESULTS")]
    """Folder of results, as given to --out of embed."""
    out: Path
    """Folder for the files."""
    layout: Literal["clam", "trident"]
    """Whose."""
    study: str = "wsi"
    """Study to export."""

    def run(self) -> int:
        """Export and print one path a line."""
        self.set_up()
        from medconsist.wsi.exchange import export_study

        written = export_study(self.results, self.study, out=self.out, layout=self.layout)
        paths = [str(path) for path in written]
        sys.stdout.write((json.dumps(paths) if self.json else "\n".join(paths)) + "\n")
        return 0


@dataclass(frozen=True)
class Wsi:
    """Whole slides: embed, doctor, simulate, export; train, probe, evaluate, predict, audit."""

    verb: (
        Annotated[Embed, subcommand("embed", prefix_name=False)]
        | Annotated[Doctor, subcommand("doctor", prefix_name=False)]
        | Annotated[Simulate, subcommand("simulate", prefix_name=False)]
        | Annotated[Export, subcommand("export", prefix_name=False)]
        | Annotated[TrainBags, subcommand("train", prefix_name=False)]
        | Annotated[Probe, subcommand("probe", prefix_name=False)]
        | Annotated[Evaluate, subcommand("evaluate", prefix_name=False)]
        | Annotated[Predict, subcommand("predict", prefix_name=False)]
        | Annotated[Audit, subcommand("audit", prefix_name=False)]
    )

    def run(self) -> int:
        """Run the verb."""
        return self.verb.run()

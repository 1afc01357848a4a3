"""Slides as cases of a batch: what each worker process embeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from medconsist.batch.work import Case, Finished, Work, Worker, file_case
from medconsist.errors import RefusedInputError
from medconsist.results.store import ResultStore
from medconsist.wsi.encoders.encoder import Encoder, EncoderCard
from medconsist.wsi.settings import Embedding
from medconsist.wsi.task import SlideJob, embed_slide, publish_result

__all__ = ["EmbedWork", "slide_cases"]

# Formats whose slides are one file each; others have companions or are told by content alone.
_ONE_FILE = frozenset({".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif", ".svslide", ".czi"})


@dataclass(frozen=True, kw_only=True)
class EmbedWork(Work):
    """Embeds the slide of a case by `embed_slide`.

    Parameters
    ----------
    out, study, settings, batch, threads
        Of `SlideJob`.
    card, has_weights
        Of the encoder, so that a finished result is found without loading it.
    make
        Called with ``device=...`` once a process; returns the encoder. It travels to other
        processes: a function of a module, or a `functools.partial` of one.

    Examples
    --------
    >>> from medconsist.wsi.encoders.colour_texture import ColourTexture
    >>> job = SlideJob(slide=Path("a.svs"), out=Path("results"), encoder=ColourTexture(),
    ...                settings=Embedding())
    >>> EmbedWork.of(job, make=ColourTexture).has_weights
    False
    """

    make: Callable[..., Encoder]
    card: EncoderCard
    has_weights: bool
    out: Path
    settings: Embedding
    study: str = "wsi"
    batch: int = 64
    threads: int = 2

    @classmethod
    def of(cls, job: SlideJob, *, make: Callable[..., Encoder]) -> "EmbedWork":
        """Return the work that jobs like this one share; its encoder is the one that is made."""
        return cls(
            make=make,
            card=job.encoder.card,
            has_weights=job.encoder.has_weights,
            out=job.out.absolute(),
            settings=job.settings,
            study=job.study,
            batch=job.batch,
            threads=job.threads,
        )

    def find(self, case: Case) -> str | None:
        """Return the key of a result that verifies; the slide is hashed if its case has any."""
        store = ResultStore(self.out, self.study)
        if not store.keys(case.spec["case"]):
            return None
        key = self.job(case, _Nameplate(self)).key
        if not store.is_done(case.spec["case"], key):
            return None
        if store.current(case.spec["case"]) != key:  # killed between its end and being shown
            publish_result(store, store.read(case.spec["case"], key).result)
        return key

    def open(self, device: str) -> Worker:
        """Return a worker with the encoder on its device."""
        encoder = self.make(device=device)
        if encoder.card != self.card:
            msg = (
                f"the weights of {self.card.name} are not those that the batch began with; put "
                "them back, or run the same command again to begin with the new ones."
            )
            raise RefusedInputError(msg)
        return _EmbedWorker(self, encoder)

    def job(self, case: Case, encoder: Encoder) -> SlideJob:
        """Return the job of a case."""
        mpp = case.spec["mpp"]
        return SlideJob(
            slide=case.source,
            out=self.out,
            encoder=encoder,
            settings=self.settings,
            study=self.study,
            batch=self.batch,
            threads=self.threads,
            mpp=tuple(mpp) if isinstance(mpp, list) else mpp,
            **case.spec["given"],
        )


def slide_cases(jobs: Sequence[SlideJob]) -> list[Case]:
    """Return one case for each job of `medconsist.wsi.jobs.slide_jobs`."""
    return [
        file_case(
            job.slide,
            case=job.case_id,
            item=job.item_id,
            config=job.config,
            spec={
                "given": {"case": job.case, "patient": job.patient, "item": job.item},
                "mpp": list(job.mpp) if isinstance(job.mpp, tuple) else job.mpp,
            },
            one_file=job.slide.suffix.lower() in _ONE_FILE,
        )
        for job in jobs
    ]


class _EmbedWorker(Worker):
    def __init__(self, work: EmbedWork, encoder: Encoder) -> None:
        self._work = work
        self._encoder = encoder

    def run(self, case: Case) -> Finished:
        outcome = embed_slide(self._work.job(case, self._encoder))
        result = outcome.stored.result
        tiles = next(metric.value for metric in result.metrics if metric.name == "tiles")
        return Finished(result.key, items=int(tiles), fresh=outcome.fresh)


class _Nameplate(Encoder):
    """What an encoder says of itself, for a key; it embeds nothing."""

    def __init__(self, work: EmbedWork) -> None:
        super().__init__(work.card, device="cpu")
        self.has_weights = work.has_weights

    def _features(self, tiles: Tensor) -> Tensor:
        msg = f"{self.name} was not loaded; {len(tiles)} tiles cannot be embedded."
        raise RefusedInputError(msg)

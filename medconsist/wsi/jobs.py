"""Several slides one after the other: what cannot be used is named with its reason."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medconsist.batch.attempt import no_room
from medconsist.errors import MedconsistError, MissingInputError, RefusedInputError
from medconsist.manifests.case_manifest import is_manifest, read_case_manifest
from medconsist.results.cases import Outcome
from medconsist.wsi.task import SlideJob, embed_slide

__all__ = ["Done", "Refused", "embed_all", "slide_jobs"]

logger = logging.getLogger(__name__)
_OF_ROW = {"patient", "case", "item", "mpp"}


@dataclass(frozen=True)
class Refused:
    """A slide that could not be embedded.

    Parameters
    ----------
    slide
        Its file.
    reason
        Class of the error: corrupt, unsupported, no mpp, no tissue, out of memory or failed.
    sentence
        What was found, and what to do.
    exit_code
        Of the error.

    Examples
    --------
    >>> Refused(Path("a.svs"), "no mpp", "a.svs does not say its mpp.", 2).reason
    'no mpp'
    """

    slide: Path
    reason: str
    sentence: str
    exit_code: int


@dataclass(frozen=True)
class Done:
    """What became of a list of slides, in its order.

    Examples
    --------
    >>> Done(outcomes=(), refused=()).exit_code
    0
    """

    outcomes: tuple[Outcome, ...]
    refused: tuple[Refused, ...]

    @property
    def exit_code(self) -> int:
        """0 if all are done; 3 if some are; that of the error if there was only one slide."""
        if not self.refused:
            return 0
        alone = len(self.refused) == 1 and not self.outcomes
        return self.refused[0].exit_code if alone else 3


def slide_jobs(
    inputs: Sequence[Path],
    **common: Any,  # noqa: ANN401  checked by SlideJob
) -> list[SlideJob]:
    """Return one job for each slide, or for each row of a manifest.

    Parameters
    ----------
    inputs
        Slides, or one manifest (.csv, .parquet) that names path, ids and mpp of each.
    **common
        Other fields of `SlideJob`, the same for all.

    Raises
    ------
    MissingInputError
        Nothing was named, or the manifest is not there.
    RefusedInputError
        A name is no safe id, the manifest has faults, or it comes with slides, a case, a patient
        or microns per pixel.
    """
    if not inputs:
        msg = "no slide was named; give one or more slides, or a manifest."
        raise MissingInputError(msg)
    if any(map(is_manifest, inputs)):
        return _of_manifest(inputs, common)
    return [SlideJob(slide=path, **common) for path in inputs]


def _of_manifest(inputs: Sequence[Path], common: Mapping[str, Any]) -> list[SlideJob]:
    if len(inputs) > 1:
        msg = f"{len(inputs)} inputs were named, and one is a manifest; give it alone."
        raise RefusedInputError(msg)
    given = [name for name in ("case", "patient", "mpp") if common.get(name) is not None]
    if given:
        flags = ", ".join(f"--{name}" for name in given)
        msg = f"{flags} and a manifest were given; write it into the columns of {inputs[0]}."
        raise RefusedInputError(msg)
    return [
        SlideJob(slide=row.path, **{**common, **row.model_dump(include=_OF_ROW)})
        for row in read_case_manifest(inputs[0]).rows
    ]


def embed_all(jobs: Sequence[SlideJob]) -> Done:
    """Embed slide after slide; an error of one is named and the next one begins.

    For a few slides, in this process, without records of failures; many are a batch, see
    `medconsist.wsi.batch`.

    Raises
    ------
    StorageError
        No further slide could be stored: the disk is full or read-only.
    """
    outcomes, refused = list[Outcome](), list[Refused]()
    for number, job in enumerate(jobs, start=1):
        logger.info("slide %d of %d: %s ...", number, len(jobs), job.slide)
        try:
            outcomes.append(embed_slide(job))
        except MedconsistError as error:
            if len(jobs) > 1 and no_room(error):
                raise
            logger.info("%s is left out (%s): %s", job.slide, error.reason, error)
            refused.append(Refused(job.slide, error.reason, str(error), error.exit_code))
    return Done(tuple(outcomes), tuple(refused))
